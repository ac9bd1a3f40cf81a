package wspulse

import (
	"container/list"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/zap"

	"github.com/wspulse/server/internal/wire"
)

// Connection is a session: one peer, in one room. With a resume window it outlives the WebSocket that carries it, and
// stays the same value. All methods may be called from any goroutine, callbacks included, and never wait for the peer.
type Connection interface {
	// ID returns the connectionID that ConnectFunc gave, or the UUID made in its place.
	ID() string

	// RoomID returns the room that the session joined when it opened.
	RoomID() string

	// Send queues a frame for the peer, behind everything the calling goroutine has sent or broadcast before. A nil error
	// means queued, not delivered. Errors: ErrSendBufferFull, the frame is dropped; ErrConnectionClosed, the session
	// has ended; or the codec's error, nothing is queued.
	Send(f Frame) error

	// Close ends the session, suspended or not: what is queued is written within writeWait, then a close frame (1000). It
	// returns when the session is out of its room and Done is closed, before the peer has read anything. It always
	// returns nil, also when the session had ended before.
	Close() error

	// Done returns a channel that is closed when the session has ended. OnDisconnect may run later than that.
	Done() <-chan struct{}
}

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
	reader    wire.Reader
	deadline  time.Time     // of the next pong
	stalled   time.Duration // callback time by which deadline is to be moved
	messageBy time.Time     // the message that is coming in must be there; zero: there is none
	received  meter         // of WithMessageRate
	malformed int           // messages in a row
	readErr   error         // why reading ended; nil when the peer closed cleanly
	farewell  *wire.Frame   // the close frame that the peer should get; nil when it is not there to read it
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
	defer l.gate.leave()
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
// it: no time, or that of a farewell.
func (l *link) readEnded() {
	l.gate.shut()
	close(l.readDone)
	_ = l.socket.Conn.SetWriteDeadline(time.Now().Add(l.farewellWait()))
	l.session.outbox.leave(l).start()
}

func (l *link) readHasEnded() bool {
	select {
	case <-l.readDone:
		return true
	default:
		return false
	}
}

// farewellWait is how long a peer whose reading has ended may keep the write pump. Once readDone is closed.
func (l *link) farewellWait() time.Duration {
	if l.farewell == nil {
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
	return l.explain(err)
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

// closeError returns what a peer says with a close frame.
func closeError(data []byte) error {
	code, reason, err := wire.ParseClose(data)
	if err != nil {
		return err
	}
	return &websocket.CloseError{Code: code, Text: reason}
}

// receive decodes a message and gives it to OnMessage. A session that has ended gets none. The error is a *PanicError.
func (l *link) receive(data []byte) (err error) {
	s, cfg := l.session, l.hub.cfg
	if !l.gate.enter() {
		return nil
	}
	defer l.gate.leave()
	cfg.metrics.MessageReceived(s.RoomID(), len(data))
	if cfg.onMessage == nil {
		return nil
	}
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
			l.hub.logPanic("OnMessage", s.id, v)
		}
	}()
	start := time.Now()
	f, err := cfg.decode(data)
	if err != nil {
		if entry := l.hub.limited.Check(zap.WarnLevel, "wspulse: malformed message dropped"); entry != nil {
			reason := zap.Error(err)
			if !cfg.json {
				reason = zap.String("errorType", fmt.Sprintf("%T", err)) // its text may quote the message
			}
			entry.Write(s.field(), zap.Int("bytes", len(data)), reason)
		}
		return l.checkMalformed()
	}
	l.malformed = 0
	cfg.onMessage(s, f)
	now := time.Now()
	took := now.Sub(start)
	l.received.credit(cfg.messageRate, now, took)
	l.stalled += took
	if l.stalled >= stallStep {
		l.deadline = l.deadline.Add(l.stalled)
		l.stalled = 0
		_ = l.socket.SetReadDeadline(l.deadline) // reading fails at once where this does
	}
	return nil
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

// explain turns the error that ended reading into the one for the application, nil for a clean close, and decides on
// the farewell.
func (l *link) explain(err error) error {
	var (
		closed    *websocket.CloseError
		panicked  *PanicError
		violation *wire.Violation
		exceeded  *LimitError
	)
	switch {
	case errors.As(err, &panicked):
		l.farewell = wire.Close(websocket.CloseInternalServerErr, "")
		return err
	case errors.Is(err, io.ErrUnexpectedEOF): // the stream ended without a close frame: RFC 6455, section 7.1.5
		return &websocket.CloseError{Code: websocket.CloseAbnormalClosure, Text: err.Error()}
	case errors.As(err, &closed):
		l.farewell = wire.Close(closed.Code, "") // RFC 6455, section 5.5.1: answer with the peer's code
		switch closed.Code {
		case websocket.CloseNormalClosure, websocket.CloseGoingAway, websocket.CloseNoStatusReceived:
			return nil
		}
		return err
	case errors.Is(err, wire.ErrTooLarge):
		l.farewell = wire.Close(websocket.CloseMessageTooBig, "")
		l.limitReached(LimitMaxMessageSize)
		return fmt.Errorf("wspulse: message larger than %d bytes: %w", l.hub.cfg.maxMessageSize, websocket.ErrReadLimit)
	case errors.As(err, &violation):
		l.farewell = wire.Close(violation.Code, violation.Reason)
	case isTimeout(err) && l.late():
		d := l.hub.cfg.messageTimeout
		return l.explain(&LimitError{LimitMessageTime, websocket.ClosePolicyViolation, fmt.Sprintf("a message took longer than %v", d)})
	case errors.As(err, &exceeded):
		l.farewell = wire.Close(exceeded.Code, exceeded.Reason)
		l.limitReached(exceeded.Limit)
		return err
	case isTimeout(err):
		if !l.session.ended() {
			l.hub.cfg.metrics.PongTimeout(l.session.RoomID(), l.session.id)
		}
		return fmt.Errorf("wspulse: no pong within %v: %w", l.hub.cfg.pongWait, err)
	default:
		return err
	}
	l.hub.limited.Warn("wspulse: peer broke the protocol", l.session.field(),
		zap.Stringer("remoteAddr", l.socket.RemoteAddr()), zap.Error(err))
	return err
}

// isTimeout says that a deadline of ours has passed, which other timeouts are not: that of TCP, for one.
func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

var (
	pingFrame = wire.Ping()
	errGoexit = errors.New("wspulse: a callback ended its goroutine")
)
