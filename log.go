package wspulse

import (
	"os"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

const (
	maxLogLines = 1024                   // that wait for the sink
	logPatience = time.Second            // of NewServer and Close, for what they have logged to be written
	logHaste    = 100 * time.Millisecond // the same of a request that is refused
)

// A logQueue holds the lines that the logger's sink has not taken yet. A goroutine, write, hands them over while there
// are any, so that nobody else waits for a sink: not the hub, not a pump, and none of the application's goroutines in
// Send.
type logQueue struct {
	root zapcore.Core // of the application's logger; set at construction, then read-only

	// mu guards what follows.
	mu      sync.Mutex
	lines   []*logLine // the first is being written; maxLogLines at the most
	lost    int        // lines that found the queue full, since the last one that did not
	writing bool       // write runs
}

// A logLine is a line of the log. All that it refers to stays as it is.
type logLine struct {
	core    zapcore.Core
	entry   zapcore.Entry
	fields  []zapcore.Field
	lost    int           // lines just before it
	written chan struct{} // closed by write; nil: nobody waits for it
}

// setLogger puts a queue between the server and what it logs to.
func (c *serverConfig) setLogger(logger *zap.Logger) {
	c.logs = &logQueue{root: logger.Core()}
	queued := func(core zapcore.Core) zapcore.Core { return queuedCore{core, c.logs} }
	c.logger = logger.WithOptions(zap.WrapCore(queued))
}

// A queuedCore is a zapcore.Core whose Write never waits. Levels and Sync are those of the Core that it writes to.
type queuedCore struct {
	zapcore.Core
	queue *logQueue
}

// With implements zapcore.Core.
func (c queuedCore) With(fields []zapcore.Field) zapcore.Core {
	return queuedCore{c.Core.With(fields), c.queue}
}

// Check implements zapcore.Core. What else the Core below asks of an entry, it asks when that is written.
func (c queuedCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

// Write implements zapcore.Core.
func (c queuedCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	c.queue.add(&logLine{core: c.Core, entry: entry, fields: slices.Clone(fields)})
	return nil
}

func (q *logQueue) add(line *logLine) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.lines) == maxLogLines {
		q.lost++
		return
	}
	line.lost, q.lost = q.lost, 0
	q.lines = append(q.lines, line)
	if !q.writing {
		q.writing = true
		go q.write()
	}
}

// write writes until nothing is left.
func (q *logQueue) write() {
	for line := q.first(); line != nil; line = q.next() {
		if line.lost > 0 {
			q.reportLost(line.lost, line.entry.LoggerName)
		}
		line.write()
	}
}

func (q *logQueue) first() *logLine {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lines[0]
}

// next takes the line that has been written from the queue, and returns the one behind it. There is none when write has
// to end.
func (q *logQueue) next() (line *logLine) {
	q.mu.Lock()
	written := q.lines[0].written
	q.lines[0] = nil
	q.lines = q.lines[1:]
	switch {
	case len(q.lines) > 0:
		line = q.lines[0]
	case q.lost > 0: // nobody has said so yet
		line = &logLine{lost: q.lost}
		q.lines, q.lost = append(q.lines, line), 0
	default:
		q.lines, q.writing = nil, false
	}
	q.mu.Unlock()
	if written != nil {
		close(written)
	}
	return line
}

func (l *logLine) write() {
	if l.core == nil {
		return
	}
	if checked := l.core.Check(l.entry, nil); checked != nil {
		checked.ErrorOutput = logErrors
		checked.Write(l.fields...)
	}
}

// logErrors is where zap complains of a sink, unless it is told otherwise.
var logErrors = zapcore.Lock(os.Stderr)

func (q *logQueue) reportLost(lines int, loggerName string) {
	entry := zapcore.Entry{Level: zap.WarnLevel, Time: time.Now(), LoggerName: loggerName}
	entry.Message = "wspulse: log lines lost"
	(&logLine{core: q.root, entry: entry, fields: []zapcore.Field{zap.Int("count", lines)}}).write()
}

// wait returns when what has been logged is written, or d has passed.
func (q *logQueue) wait(d time.Duration) {
	q.mu.Lock()
	if len(q.lines) == 0 {
		q.mu.Unlock()
		return
	}
	last := q.lines[len(q.lines)-1]
	if last.written == nil {
		last.written = make(chan struct{})
	}
	written := last.written
	q.mu.Unlock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-written:
	case <-timer.C:
	}
}
