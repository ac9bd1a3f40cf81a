package wspulse

import (
	"container/list"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/gorilla/websocket"

	"github.com/wspulse/server/internal/wire"
)

const (
	closeGrace = time.Second      // that a peer gets to answer a close frame before its socket is closed
	maxControl = 16               // pings and pongs that wait to be written; RFC 6455, section 5.5.3 asks for the latest pong
	stallStep  = time.Millisecond // of callback time, before the read deadline is moved
)

// A link is one WebSocket under a session, with its two pumps. The write pump runs only while there is something to write.
type link struct {
	// Set before the pumps start, then read-only.
	session *session
	hub     *hub
	socket  wire.Socket
	pump    func() // writePump by itself, so that starting it allocates nothing
	deflate bool   // the peer takes compressed messages

	writeBy time.Time // deadline of writing that was set last; owned by the running write pump

	// Owned by the hub goroutine.
	beat     *list.Element // in the line of heartbeats
	nextPing time.Time

	gate     gate
	owed     atomic.Int64  // pings that no pong has come for
	readDone chan struct{} // closed by readPump when it has ended

	// Owned by readPump; the last two are read-only once readDone is closed.
	reader     wire.Reader
	deadline   time.Time     // of the next pong
	stalled    time.Duration // callback time by which deadline is to be moved
	messageBy  time.Time     // the message that is coming in must be there; zero: there is none
	received   meter         // of WithMessageRate
	malformed  int           // messages in a row
	readErr    error         // why reading ended; nil when the peer closed cleanly
	closeFrame *wire.Frame   // the close frame that the peer should get; nil when it is not there to read it
}

// newLink returns a link over a connection that has been upgraded, and from which early has been read already.
func newLink(h *hub, conn net.Conn, early []byte, deflate bool) *link {
	l := &link{
		hub:      h,
		socket:   wire.NewSocket(conn),
		reader:   wire.NewReader(conn, early, h.cfg.readBufferSize, h.cfg.maxMessageSize),
		deflate:  deflate,
		gate:     gate{left: make(chan struct{})},
		readDone: make(chan struct{}),
	}
	l.pump = func() { l.writePump(nil) }
	l.reader.Inflate = deflate
	if h.cfg.messageTimeout > 0 {
		l.reader.Partial = l.messageBegun
	}
	return l
}

// start starts the write pump of a link that an outbox returned, if it did.
func (l *link) start() {
	if l != nil {
		go l.pump()
	}
}

// readPump runs the callback that opens the link, after prev is closed, and then gives each message to OnMessage. It
// ends when the socket does. While it waits for a message its stack must not need more than the 2 KiB that it starts with.
func (l *link) readPump(prev <-chan struct{}, name string, opening func(Connection)) {
	defer l.readEnded()
	l.readErr = errGoexit // until reading has ended in another way
	l.begin(prev, name, opening)
	l.readErr = l.read()
}

// begin runs the opening callback inside the gate, which readPump starts in. What came in meanwhile is not held against the
// peer.
func (l *link) begin(prev <-chan struct{}, name string, opening func(Connection)) {
	defer l.gate.exit()
	start := time.Now()
	if prev != nil {
		<-prev
	}
	if opening != nil {
		l.hub.contain(name, l.session.ID(), func() { opening(l.session) })
	}
	now := time.Now()
	l.received.credit(l.hub.cfg.messageRate, now, now.Sub(start))
}

// readEnded tells the write pump, which closes the socket. A write in progress gets as long as there is somebody to read
// it: no time, or that of a closeFrame.
func (l *link) readEnded() {
	l.gate.shut()
	close(l.readDone)
	_ = l.socket.Conn.SetWriteDeadline(time.Now().Add(l.closeWait()))
	l.session.outbox.readEnded(l).start()
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

// read reads until the peer is gone, or has to go.
func (l *link) read() error {
	err := l.expectPong()
	for err == nil {
		err = l.readNext()
	}
	if isTimeout(err) && l.late() {
		err = &LimitError{LimitMessageTime, websocket.ClosePolicyViolation,
			fmt.Sprintf("a message took longer than %v", l.hub.cfg.messageTimeout)}
	}
	v := judge(err, l.hub.cfg)
	l.closeFrame = v.closeFrame
	l.report(v)
	return v.err
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

func (l *link) readNext() error {
	opcode, data, err := l.reader.Next()
	if err != nil {
		return err
	}
	if !l.reader.Gathering() {
		l.messageDone()
	}
	if err := l.checkRate(opcode); err != nil {
		return err
	}
	switch opcode {
	case wire.OpPing:
		l.pinged(data)
		return nil
	case wire.OpPong:
		return l.expectPong()
	case wire.OpClose:
		return closeError(data)
	default: // a message
		return l.receive(data)
	}
}

// expectPong gives the peer pongWait, from now on, for its next pong.
func (l *link) expectPong() error {
	l.deadline, l.stalled = time.Now().Add(l.hub.cfg.pongWait), 0
	return l.setReadDeadline()
}

// pinged queues a pong. A peer that pings faster than it reads gets the latest ones.
func (l *link) pinged(payload []byte) {
	l.session.outbox.signal(l, wire.Pong(payload)).start()
}

// setReadDeadline sets the deadline of reading: that of the next pong, or that of the message that is coming in.
func (l *link) setReadDeadline() error {
	if l.late() {
		return l.socket.SetReadDeadline(l.messageBy)
	}
	return l.socket.SetReadDeadline(l.deadline)
}

// late says that the message that is coming in has less time than the next pong.
func (l *link) late() bool { return !l.messageBy.IsZero() && l.messageBy.Before(l.deadline) }

// messageBegun gives a message of which a part is there its time, pongs or not.
func (l *link) messageBegun() {
	l.messageBy = time.Now().Add(l.hub.cfg.messageTimeout)
	if l.late() {
		_ = l.setReadDeadline() // reading fails at once where this does
	}
}

func (l *link) messageDone() {
	late := l.late()
	l.messageBy = time.Time{}
	if late {
		_ = l.setReadDeadline()
	}
}

// limitReached tells of a limit that ends the link, unless the session has ended before.
func (l *link) limitReached(limit Limit) {
	if !l.session.ended() {
		l.hub.limitReached(limit, l.session.RoomID(), l.session.id, zap.Stringer("remoteAddr", l.socket.RemoteAddr()))
	}
}

var (
	pingFrame = wire.Ping()
	errGoexit = errors.New("wspulse: a callback ended its goroutine")
)
