package wspulse

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/wspulse/server/internal/control"
	"github.com/wspulse/server/internal/poll"
	"github.com/wspulse/server/internal/wire"
)

// open runs the callbacks that open the link, after prev is closed, and then reads.
func (l *link) open(prev *latch, opening []callback) {
	if l.begin(prev, opening) {
		l.read()
	}
}

// begin runs the opening callbacks, in which a link begins, and says whether reading has not passed on meanwhile. What
// came in until then is not held against the peer.
func (l *link) begin(prev *latch, opening []callback) (reads bool) {
	var err error
	returned := false
	defer l.afterCallback(&returned, &err)
	switch {
	case (l.v1 != nil || l.session.requests.Load().any()) && !prev.closed():
		l.passReadingOn()
	case prev != nil || slices.ContainsFunc(opening, func(c callback) bool { return c.fn != nil }):
		l.hub.watch.add(l)
	}
	prev.wait()
	runAll(opening, l.session)
	returned = true
	if !l.in.exit() {
		l.workOff(nil)
		return false
	}
	l.credit(l.calledAt)
	return true
}

// passReadingOn lets another goroutine read if the one that reads is in a callback. l may be nil.
func (l *link) passReadingOn() {
	if l != nil && l.in.passOn() {
		l.Overdue()
		go l.readOn()
	}
}

// readOn reads after another goroutine, which a callback keeps.
func (l *link) readOn() {
	l.paced(watchPeriod) // at the least
	l.worker = nil
	l.credit(l.calledAt)
	l.read()
}

// Ready implements poll.Handler.
func (l *link) Ready(w *poll.Worker) {
	l.reads.Add(^uint32(0)) // it waits no more
	l.takeReader(nil)
	switch {
	case w == nil:
		l.read()
	case l.readsAlone():
		go l.read()
	default:
		l.worker = w
		l.read()
	}
}

// Overdue implements poll.Handler: a callback lasts, and nobody sees any more that it ends.
func (l *link) Overdue() {
	if l.session.outbox.uncork(l) {
		l.hub.crew.add(l)
	}
}

// read reads until nothing more has come, the peer is gone or has to go, or a callback has lost it the reading. While
// it waits for a message its stack must not need more than the 2 KiB that it starts with, so the way from here to the
// socket is flat.
func (l *link) read() {
	for {
		var err error
		for l.cork(); err == nil; {
			err = l.readNext()
		}
		switch {
		case errors.Is(err, errPassedOn):
			return
		case errors.Is(err, errNothing):
			if l.park() {
				return
			}
		default:
			l.endReading(err)
			return
		}
	}
}

// cork has what the callbacks send leave when all has been read, if the poller sees to it that this does not take long.
func (l *link) cork() {
	if !l.worker.Guarded() || l.deflate {
		return
	}
	if l.session.outbox.cork(l); !l.worker.Guarded() { // any more
		l.Overdue()
	}
}

// uncork writes what has waited for it.
func (l *link) uncork() {
	if l.session.outbox.uncork(l) {
		batch := l.newBatch()
		if l.writeReady(batch) {
			l.hub.crew.add(l)
		}
		l.hub.batches.Put(batch)
	}
}

// takeReader takes a reader for what has come.
func (l *link) takeReader(early []byte) {
	l.reader = l.hub.readers.Get().(*wire.Reader)
	l.reader.Reset(l, early, l.hub.cfg.maxMessageSize, l.deflate)
	if l.v1 != nil {
		l.reader.AllowSmall(l.hub.cfg.controlOpcode)
	}
}

// putReader takes back the reader of a link that has none any more.
func (h *hub) putReader(r *wire.Reader) {
	r.Reset(nil, nil, 0, false)
	h.readers.Put(r)
}

// park gives up reading until something comes: then the poller calls Ready. It returns false if something has come
// meanwhile.
func (l *link) park() bool {
	r, w := l.reader, l.worker
	l.reader, l.worker = nil, nil
	l.reads.Add(1)
	if l.socket.Park() { // and somebody else may be reading
		l.hub.putReader(r)
		return true
	}
	l.reads.Add(^uint32(0))
	l.reader, l.worker = r, w
	return false
}

func (l *link) readNext() error {
	opcode, data, err := l.reader.Next()
	if err != nil {
		return l.refused(err)
	}
	if !l.reader.Gathering() {
		l.messageBy = 0
	}
	if err := l.checkRate(opcode); err != nil {
		return err
	}
	switch opcode {
	case wire.OpPing:
		l.answerPing(data)
		return nil
	case wire.OpPong:
		return nil
	case wire.OpClose:
		return closeError(data)
	default: // a message
		if l.v1 != nil && opcode == l.hub.cfg.controlOpcode {
			return l.control(data)
		}
		return l.receive(data)
	}
}

// refused counts a message of wspulse.v1 that the reader has refused: it would come again for ever.
func (l *link) refused(err error) error {
	if l.v1 == nil || !errors.Is(err, wire.ErrTooLarge) && !errors.Is(err, wire.ErrNotUTF8) {
		return err
	}
	if l.reader.Refused() == l.hub.cfg.controlOpcode {
		return &protocolError{reason: fmt.Sprintf("control message of more than %d bytes, or no UTF-8", control.MaxSize)}
	}
	if l.session.outbox.accept(l) {
		return l.countRefused(0, err)
	}
	return err
}

// control takes a control message of wspulse.v1. Read pump.
func (l *link) control(data []byte) error {
	m, err := control.Parse(data, control.Ack, control.Ping, control.Bye)
	if err != nil {
		return &protocolError{reason: err.Error()}
	}
	woken, age, err := l.session.outbox.hear(l, m)
	woken.start()
	if age > 0 {
		l.hub.cfg.lossless.AcknowledgementAge(l.session.RoomID(), l.session.id, age)
		l.hub.overBudget()
	}
	return err
}

// Read reads from the socket for the reader. It notes that something has come, and ends when a message takes too long
// or reading is to end. Between two messages it does not wait where the link can be parked: it returns errNothing.
func (l *link) Read(p []byte) (n int, err error) {
	for err == nil {
		if n, err = l.socket.TryRead(p); n > 0 {
			l.reads.Add(2)
			return n, nil
		}
		if err == nil && l.socket.Polled() {
			l.uncork()
			if !l.reader.Begun() {
				return 0, errNothing
			}
			l.worker.PassOn()
		}
		if err == nil {
			l.messageBegun()
			l.reads.Add(1)
			if n, err = l.socket.Conn.Read(p); n > 0 {
				l.reads.Add(1)
				return n, nil
			}
			l.reads.Add(^uint32(0))
		}
		err = l.woken(err)
	}
	return 0, err
}

// messageBegun gives a message of which a part is there its time. An alarm that is set already will find that out.
func (l *link) messageBegun() {
	if l.hub.cfg.messageTimeout == 0 || l.messageBy > 0 || !l.reader.Begun() {
		return
	}
	l.messageBy = time.Since(l.hub.start) + l.hub.cfg.messageTimeout
	if !l.alarmed {
		l.alarm(l.messageBy)
	}
}

var errNothing = errors.New("wspulse: nothing has come") // is never seen outside
