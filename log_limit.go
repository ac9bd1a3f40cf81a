package wspulse

import (
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

const (
	logEvery   = time.Second // at the most, for each cause
	maxDetails = 4           // causes of one kind that are told apart at a time
)

// A limitedLog writes a line a second for each cause. A line has the field "suppressed" when it is not the only one
// since the line before it.
type limitedLog struct {
	logger *zap.Logger

	mu    sync.Mutex // guards kinds
	kinds map[string]*logKind
}

// A logKind is what is known of the causes of one kind. The program has a fixed number of kinds; who connects may
// choose the details.
type logKind struct {
	own     logTurn
	details map[string]*logTurn // maxDetails at the most; what is beyond them takes its turn with own
}

// A logTurn is the history of one cause.
type logTurn struct {
	last       time.Time // zero: there has been no line
	suppressed int       // lines since
}

func newLimitedLog(logger *zap.Logger) *limitedLog {
	return &limitedLog{logger: logger, kinds: make(map[string]*logKind)}
}

// Warn logs a message that is its own cause.
func (l *limitedLog) Warn(message string, fields ...zap.Field) {
	if entry := l.Check(zap.WarnLevel, message); entry != nil {
		entry.Write(fields...)
	}
}

// Check is Warn for fields that take time to make, and for any level. It returns nil when nothing is to be written.
func (l *limitedLog) Check(level zapcore.Level, message string) *zapcore.CheckedEntry {
	return l.checkCause(level, message, message, "")
}

// checkCause is Check for a message that has several causes: some kinds, which are fixed, and details of theirs, which
// need not be.
func (l *limitedLog) checkCause(level zapcore.Level, message, kind, detail string) *zapcore.CheckedEntry {
	if !l.logger.Core().Enabled(level) {
		return nil
	}
	suppressed, ok := l.take(kind, detail, time.Now())
	if !ok {
		return nil
	}
	logger := l.logger
	if suppressed > 0 {
		logger = logger.With(zap.Int("suppressed", suppressed))
	}
	return logger.Check(level, message)
}

// take says whether a cause may have a line now, and how many it has not had.
func (l *limitedLog) take(kind, detail string, now time.Time) (suppressed int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.kinds[kind]
	if k == nil {
		k = &logKind{details: make(map[string]*logTurn)}
		l.kinds[kind] = k
	}
	turn := k.turn(detail, now)
	if !turn.last.IsZero() && now.Sub(turn.last) < logEvery {
		turn.suppressed++
		return 0, false
	}
	suppressed = turn.suppressed
	if turn != &k.own { // it also tells of those that were forgotten
		suppressed += k.own.suppressed
		k.own.suppressed = 0
	}
	*turn = logTurn{last: now}
	return suppressed, true
}

// turn returns the history of a detail. Where there is no room for it, that is the history of the whole kind.
func (k *logKind) turn(detail string, now time.Time) *logTurn {
	if detail == "" {
		return &k.own
	}
	if turn := k.details[detail]; turn != nil {
		return turn
	}
	if len(k.details) == maxDetails {
		for old, turn := range k.details {
			if now.Sub(turn.last) >= logEvery {
				k.own.suppressed += turn.suppressed
				delete(k.details, old)
			}
		}
	}
	if len(k.details) == maxDetails {
		return &k.own
	}
	k.details[detail] = &logTurn{}
	return k.details[detail]
}
