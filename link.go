package wspulse

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/zap"

	"github.com/wspulse/server/internal/control"
	"github.com/wspulse/server/internal/poll"
	"github.com/wspulse/server/internal/wire"
)

const (
	closeGrace = time.Second // that a peer gets to read the answer to its close frame before its socket is closed
	maxControl = 16          // pings and pongs that wait to be written; RFC 6455, section 5.5.3 asks for the latest pong
)

// A link is one WebSocket under a session. It has a goroutine while there is something to read, or where nobody else
// would wait for that, and one while there is something to write.
type link struct {
	// Set before the pumps start, then read-only.
	session *session
	hub     *hub
	socket  wire.Socket

	pulse pulse // owned by the hub goroutine

	in       inbound
	watched  atomic.Bool           // a watch has it
	replaced atomic.Bool           // another link has taken over its session, which it touches no more
	owed     atomic.Int32          // pings that no pong has come for
	reads    atomic.Uint32         // grows with each read that brings something; odd while one waits
	cause    atomic.Pointer[error] // why reading is to end; nil: it is not
	readDone latch                 // closed when reading has ended
	v1       *numbering            // of a peer that speaks wspulse.v1; nil: it does not; set before the pumps start

	// Owned by the goroutine that reads; the last is read-only once readDone is closed.
	reader    *wire.Reader  // nil while the link is parked
	worker    *poll.Worker  // of the poller, while the goroutine that reads is one; nil: it reads for this link alone
	messageBy time.Duration // since the hub was made: the message that is coming in must be there; 0: there is none
	calledAt  time.Duration // the same: the callback that it is in began, where somebody wants to know
	received  *meter        // of WithMessageRate; nil: there is none
	malformed *meter        // of WithMalformedLimit; nil: none since a message that was in order
	verdict   *verdict      // on what ended reading

	slow    bool // the last OnMessage took long, where the link is polled; owned by the goroutine that reads, as is
	alarmed bool // a deadline is set, for the message that is coming in or for one before it

	// Set before the pumps start, then read-only.
	deflate  bool  // the peer takes compressed messages
	selected int32 // the place of its subprotocol among those of WithSubprotocols, from 1; 0: it is none of them

	seenState uint32 // of in; owned by the goroutine of the watch
}

// newLink returns a link over a connection that is yet to be upgraded.
func newLink(h *hub, conn net.Conn) *link {
	l := &link{
		hub:    h,
		socket: wire.NewSocket(conn),
	}
	l.in.state.Store(inInline)
	if h.cfg.messageRate.burst > 0 {
		l.received = &meter{}
	}
	if l.socket.Polled() {
		l.socket.Handle(l)
	}
	return l
}

// upgraded says how the connection has been upgraded, and what has been read from it already.
func (l *link) upgraded(early []byte, chosen wire.Chosen) {
	l.deflate = chosen.Extensions != ""
	l.selected = int32(slices.Index(l.hub.cfg.subprotocols, chosen.Protocol) + 1)
	if chosen.Protocol == control.Protocol {
		l.v1 = &numbering{}
	}
	l.takeReader(early)
}

// endReading says why reading has ended, and tells the write pump, which closes the socket. A write in progress gets as
// long as there is somebody to read it: no time, or that of a close frame.
func (l *link) endReading(err error) {
	l.uncork() // what the callbacks have sent comes before the answer to a close frame
	l.hub.putReader(l.reader)
	l.reader = nil
	if cause := l.cause.Load(); cause != nil && *cause != errPongTime { //nolint:errorlint // it is never wrapped
		err = *cause // a callback's, of a message before what has been read since
	}
	v := judge(err, l.hub.cfg)
	l.report(v)
	l.verdict = &v
	l.in.end()
	l.readDone.close()
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
		if v.ends == endCounts {
			l.hub.cfg.lossless.CountMismatch(l.session.RoomID(), l.session.id)
		}
		l.hub.limited.Warn("wspulse: peer broke the protocol", l.session.field(),
			zap.Stringer("remoteAddr", l.socket.RemoteAddr()), zap.Error(v.err))
	}
}

// closeWait is how long a peer whose reading has ended may keep the write pump. Once readDone is closed.
func (l *link) closeWait() time.Duration {
	if l.verdict.closeFrame == nil {
		return 0
	}
	return min(closeGrace, l.hub.cfg.writeWait)
}

// answerPing queues a pong. A peer that pings faster than it reads gets the latest ones.
func (l *link) answerPing(payload []byte) { l.session.signal(l, wire.Pong(payload)) }

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
			fmt.Sprintf("a message took longer than %v (WithMessageTimeout)", l.hub.cfg.messageTimeout)}
	}
	l.alarm(l.messageBy)
	return nil
}

// interrupt ends reading with that error, unless another one has ended it before. Any goroutine.
func (l *link) interrupt(err error) {
	if l.cause.CompareAndSwap(nil, &err) {
		if l.v1 != nil {
			l.v1.interrupted.close()
		}
		_ = l.socket.SetReadDeadline(longAgo)
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
