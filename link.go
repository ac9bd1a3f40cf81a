package wspulse

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/zap"

	"github.com/wspulse/server/internal/wire"
)

const (
	closeGrace = time.Second // that a peer gets to read the answer to its close frame before its socket is closed
	maxControl = 16          // pings and pongs that wait to be written; RFC 6455, section 5.5.3 asks for the latest pong
)

// A link is one WebSocket under a session, with its two pumps. The write pump runs only while there is something to
// write.
type link struct {
	// Set before the pumps start, then read-only.
	session *session
	hub     *hub
	socket  wire.Socket
	pump    func() // writePump by itself, so that starting it allocates nothing

	pulse pulse // owned by the hub goroutine

	in       inbound
	watched  atomic.Bool           // a watch has it
	owed     atomic.Int64          // pings that no pong has come for
	reads    atomic.Uint32         // grows with each read that brings something; odd while one waits
	cause    atomic.Pointer[error] // why reading is to end; nil: it is not
	readDone chan struct{}         // closed when reading has ended

	// Owned by the goroutine that reads; the last two are read-only once readDone is closed.
	reader     wire.Reader
	messageBy  time.Duration // since the hub was made: the message that is coming in must be there; 0: there is none
	calledAt   time.Duration // the same: the callback that it is in began, if there is a message rate
	received   *meter        // of WithMessageRate; nil: there is none
	malformed  *meter        // of WithMalformedLimit; nil: none since a message that was in order
	readErr    error         // why reading ended; nil when the peer closed cleanly
	closeFrame *wire.Frame   // that the peer should get; nil when it is not there to read it

	alarmed bool // a deadline is set, for the message that is coming in or for one before it

	deflate   bool   // the peer takes compressed messages; set before the pumps start, then read-only
	seenState uint32 // of in; owned by the goroutine of the watch
}

// newLink returns a link over a connection that is yet to be upgraded.
func newLink(h *hub, conn net.Conn) *link {
	l := &link{
		hub:      h,
		socket:   wire.NewSocket(conn),
		in:       inbound{left: make(chan struct{})},
		readDone: make(chan struct{}),
	}
	l.in.state.Store(inInline)
	l.pump = func() { l.writePump(nil) }
	if h.cfg.messageRate.burst > 0 {
		l.received = &meter{}
	}
	return l
}

// upgraded says how the connection has been upgraded, and what has been read from it already.
func (l *link) upgraded(early []byte, deflate bool) {
	l.deflate = deflate
	l.reader = wire.NewReader(l, early, l.hub.cfg.readBufferSize, l.hub.cfg.maxMessageSize)
	l.reader.Inflate = deflate
	if l.hub.cfg.messageTimeout > 0 {
		l.reader.Partial = l.messageBegun
	}
}

// start starts the write pump of a link that an outbox returned, if it did.
func (l *link) start() {
	if l != nil {
		go l.pump()
	}
}

// readPump runs the callback that opens the link, after prev is closed, and then reads until the peer is gone, or has
// to go, or until a callback has lost it the reading. Without a name of that callback it goes on reading. While it
// waits for a message its stack must not need more than the 2 KiB that it starts with, so the way from here to the
// socket is flat.
func (l *link) readPump(prev <-chan struct{}, name string, opening func(Connection)) {
	if name == "" {
		l.credit(l.calledAt)
	} else if !l.begin(prev, name, opening) {
		return
	}
	var err error
	for err == nil {
		err = l.readNext()
	}
	if err != errPassedOn { //nolint:errorlint // it is never wrapped
		l.endReading(err)
	}
}

// begin runs the opening callback, in which a link begins, and says whether reading has not passed on meanwhile. What
// came in until then is not held against the peer.
func (l *link) begin(prev <-chan struct{}, name string, opening func(Connection)) (reads bool) {
	var err error
	returned := false
	defer l.afterCallback(&returned, &err)
	if prev != nil || opening != nil {
		l.hub.watch.add(l)
	}
	if prev != nil {
		<-prev
	}
	if opening != nil {
		l.hub.contain(name, l.session.ID(), func() { opening(l.session) })
	}
	returned = true
	if !l.in.exit() {
		l.workOff(nil)
		return false
	}
	l.credit(l.calledAt)
	return true
}

// passReadingOn lets another goroutine read if the one that reads is in a callback.
func (l *link) passReadingOn() {
	if l.in.passOn() {
		go l.readPump(nil, "", nil)
	}
}

// endReading says why reading has ended, and tells the write pump, which closes the socket. A write in progress gets as
// long as there is somebody to read it: no time, or that of a close frame.
func (l *link) endReading(err error) {
	if cause := l.cause.Load(); cause != nil && *cause != errPongTime { //nolint:errorlint // it is never wrapped
		err = *cause // a callback's, of a message before what has been read since
	}
	v := judge(err, l.hub.cfg)
	l.report(v)
	l.readErr, l.closeFrame = v.err, v.closeFrame
	l.in.end()
	close(l.readDone)
	l.socket.Cut(time.Now().Add(l.closeWait()))
	l.session.readEnded(l)
}

// report tells of a verdict those who ought to know.
func (l *link) report(v verdict) {
	switch {
	case v.limit != "":
		l.limitReached(v.limit)
	case v.fault == answeredNone && !l.session.ended():
		l.hub.cfg.metrics.PongTimeout(l.session.RoomID(), l.session.id)
	case v.fault == brokeRules:
		l.hub.limited.Warn("wspulse: peer broke the protocol", l.session.field(),
			zap.Stringer("remoteAddr", l.socket.RemoteAddr()), zap.Error(v.err))
	}
}

func (l *link) readHasEnded() bool {
	select {
	case <-l.readDone:
		return true
	default:
		return false
	}
}

// closeWait is how long a peer whose reading has ended may keep the write pump. Once readDone is closed.
func (l *link) closeWait() time.Duration {
	if l.closeFrame == nil {
		return 0
	}
	return min(closeGrace, l.hub.cfg.writeWait)
}

func (l *link) readNext() error {
	opcode, data, err := l.reader.Next()
	if err != nil {
		return err
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
		return l.receive(data)
	}
}

// answerPing queues a pong. A peer that pings faster than it reads gets the latest ones.
func (l *link) answerPing(payload []byte) { l.session.signal(l, wire.Pong(payload)) }

// Read reads from the socket for the reader. It notes that something has come, and ends when a message takes too long
// or reading is to end.
func (l *link) Read(p []byte) (n int, err error) {
	for err == nil {
		l.reads.Add(1)
		n, err = l.socket.Conn.Read(p)
		if n > 0 {
			l.reads.Add(1)
			return n, nil
		}
		l.reads.Add(^uint32(0))
		err = l.woken(err)
	}
	return 0, err
}

// woken says what a read that brought nothing means; nil is to read again.
func (l *link) woken(err error) error {
	if !isTimeout(err) {
		return err
	}
	if cause := l.cause.Load(); cause != nil {
		return *cause
	}
	if l.messageBy > 0 && time.Since(l.hub.start) >= l.messageBy {
		return &LimitError{LimitMessageTime, websocket.ClosePolicyViolation,
			fmt.Sprintf("a message took longer than %v", l.hub.cfg.messageTimeout)}
	}
	l.alarm(l.messageBy)
	return nil
}

// interrupt ends reading with that error, unless another one has ended it before. Any goroutine.
func (l *link) interrupt(err error) {
	if l.cause.CompareAndSwap(nil, &err) {
		_ = l.socket.SetReadDeadline(longAgo)
	}
}

// messageBegun gives a message of which a part is there its time. An alarm that is set already will find that out.
func (l *link) messageBegun() {
	l.messageBy = time.Since(l.hub.start) + l.hub.cfg.messageTimeout
	if !l.alarmed {
		l.alarm(l.messageBy)
	}
}

// alarm wakes reading up at that time, or never if it is 0. An interrupt counts more.
func (l *link) alarm(at time.Duration) {
	var t time.Time
	if l.alarmed = at > 0; l.alarmed {
		t = l.hub.start.Add(at)
	}
	_ = l.socket.SetReadDeadline(t) // reading fails at once where this does
	if l.cause.Load() != nil {
		_ = l.socket.SetReadDeadline(longAgo)
	}
}

// credit lets the peer send what was due since start, during a callback.
func (l *link) credit(start time.Duration) {
	if l.received != nil {
		now := time.Now()
		l.received.credit(l.hub.cfg.messageRate, now, now.Sub(l.hub.start)-start)
	}
}

// limitReached tells of a limit that ends the link, unless the session has ended before.
func (l *link) limitReached(limit Limit) {
	if !l.session.ended() {
		l.hub.limitReached(limit, l.session.RoomID(), l.session.id, zap.Stringer("remoteAddr", l.socket.RemoteAddr()))
	}
}

var (
	longAgo = time.Unix(1, 0) // a deadline that has passed

	errGoexit   = errors.New("wspulse: a callback ended its goroutine")
	errPassedOn = errors.New("wspulse: another goroutine reads") // is never seen outside
	errPongTime = fmt.Errorf("wspulse: the peer has answered no ping: %w", os.ErrDeadlineExceeded)
)
