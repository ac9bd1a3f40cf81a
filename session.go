package wspulse

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/wspulse/server/internal/control"
	"github.com/wspulse/server/internal/line"
	"github.com/wspulse/server/internal/wire"
)

// A session is what a Connection is: identity, the queue to the peer, and the order of callbacks. It has a link while
// it is connected, a place in the hub's line while it is suspended, and a closed done when it has ended.
type session struct {
	hub  *hub       // set at construction, then read-only
	home membership // of the room that it is in for as long as it lives

	others   atomic.Pointer[[]*membership] // of further rooms; set by the hub to another slice each time; nil: of none
	done     latch                         // closed by the hub when the session has ended
	silenced atomic.Bool                   // no more messages are given to OnMessage: the application, or its server, has ended it
	userSlot int32                         // in user.sessions; owned by the hub goroutine

	outbox outbox // beside them, since a delivery needs these and no others

	requests atomic.Pointer[requests] // nil until there is one

	// Set at construction, then read-only.
	id       string
	key      string        // of its seat; see admission
	openedAt time.Duration // since the hub was made

	details  atomic.Pointer[Details] // set by the hub to others each time; nil: none have been attached
	selected atomic.Int32            // of the subprotocols, by the latest link, counted from 1; 0: none; set by the hub

	// Owned by the hub goroutine.
	link    *link
	arrival uint64              // of the latest request that opened or resumed it
	waiting line.Place[session] // in the line of suspended sessions
	dropErr error               // while suspended: why the transport died
	turn    *latch              // closed when the last callback that was queued has returned; nil: it has
	next    *candidate          // to take the place of the link

	credential *credential // of a peer that speaks wspulse.v1; nil: it does not; set before the first link is attached

	// Set by the hub before it closes the outbox and done, then read-only.
	ending  *ending
	flushBy time.Duration // since the hub was made: writeWait is over
}

// newSession returns a session that is in no room yet, and has no link.
func newSession(h *hub, id, key string) *session {
	s := &session{
		hub:      h,
		id:       id,
		key:      key,
		openedAt: time.Since(h.start),
		outbox:   outbox{bound: &h.bound},
	}
	s.home.session = s
	return s
}

// ID implements Connection.
func (s *session) ID() string { return s.id }

// RoomID implements Connection.
func (s *session) RoomID() string { return s.home.room.Load().id }

// Done implements Connection.
func (s *session) Done() <-chan struct{} { return s.done.C() }

// Send implements Connection.
func (s *session) Send(f Frame) error {
	if s.ended() {
		return ErrConnectionClosed
	}
	frame, err := s.hub.cfg.encode(f)
	if err != nil {
		return err
	}
	return s.send(frame)
}

func (s *session) send(frame *wire.Frame) error {
	if s.hasPending() {
		return s.hub.sendInTurn(s, frame)
	}
	return s.offer(frame)
}

// Close implements Connection.
func (s *session) Close() error {
	s.closeAs(endClosed)
	return nil
}

// CloseWith implements Connection.
func (s *session) CloseWith(code int, reason string) error {
	e, err := endClosed.with("CloseWith", code, reason)
	if err == nil {
		s.closeAs(e)
	}
	return err
}

func (s *session) closeAs(e *ending) {
	s.silenced.Store(true) // also where it has ended with its link, and what came before that still waits
	s.hub.endSession(s, e)
}

func (s *session) ended() bool { return s.done.closed() }

// quiet says that no callback of a session that has not ended runs. Hub.
func (s *session) quiet() bool {
	if s.link == nil {
		return s.turn.closed()
	}
	return s.link.in.quiet()
}

// field returns the log field that says which session it is.
func (s *session) field() zap.Field {
	return zap.Dict("session", zap.String("connectionID", s.id), zap.String("roomID", s.RoomID()))
}

// offer queues a frame if there is room for it.
func (s *session) offer(f *wire.Frame) error {
	l, err := s.outbox.offer(f)
	if errors.Is(err, errTooManyBytes) {
		s.tooManyBytes()
		err = ErrSendBufferFull
	}
	if errors.Is(err, ErrSendBufferFull) {
		s.dropped(1)
	}
	l.start()
	s.hub.overBudget()
	return err
}

// attach lets l write from now on. A link that wrote before sees itself off. hello is nil unless the peer speaks
// wspulse.v1.
func (s *session) attach(l *link, hello *control.Welcome) {
	woken, before := s.outbox.attach(l, hello)
	woken.start()
	if before != nil {
		go before.pump()
	}
}

// endOutbox lets nothing in any more. The write pump, if there is one, sees to the end.
func (s *session) endOutbox() { s.outbox.close().start() }

// signal queues a ping or a pong for the peer of l.
func (s *session) signal(l *link, f *wire.Frame) { s.outbox.signal(l, f).start() }

// readEnded says that the reading of l has ended.
func (s *session) readEnded(l *link) { s.outbox.readEnded(l).start() }

// push queues frames, at the cost of the oldest ones if the queue is full. The pump of the link that it returns is to
// be started. Hub.
func (s *session) push(frames []*wire.Frame) *link {
	l, lost, tooManyBytes := s.outbox.push(frames)
	if tooManyBytes {
		s.tooManyBytes()
	}
	s.dropped(lost)
	s.mayLackPresence(lost)
	return l
}

// mayLackPresence says that frames were dropped: what others were told of who is there may be among them.
func (s *session) mayLackPresence(frames int) {
	if frames > 0 {
		s.hub.roster.note(presenceNews{kind: presenceLoss, session: s})
	}
}

func (s *session) tooManyBytes() {
	s.hub.limitReached(LimitSendBufferBytes, s.RoomID(), s.id, zap.Int("most", s.hub.cfg.sendBufferBytes))
}

// discard counts what an ended session did not deliver. Write pump, or the hub where there is none.
func (s *session) discard() { s.dropped(s.outbox.clear()) }

func (s *session) dropped(frames int) {
	for range frames {
		s.hub.cfg.metrics.FrameDropped(s.RoomID(), s.id)
	}
}

// noDetails is what a session has that none have been attached to.
var noDetails = &Details{}

// detail returns a session's Details. Anyone.
func (s *session) detail() *Details {
	if d := s.details.Load(); d != nil {
		return d
	}
	return noDetails
}

// attachDetails puts new Details in the place of the old ones; nil: none have been attached. Hub.
func (s *session) attachDetails(d *Details) {
	s.details.Store(d)
	s.hub.expiries.set(s, s.detail().Expires)
}

// isUser says whether Details are those of a session's user.
func (s *session) isUser(d *Details) bool {
	if d == nil {
		d = noDetails
	}
	return s.detail().UserID == d.UserID
}

// UserID implements Connection.
func (s *session) UserID() string { return s.detail().UserID }

// Data implements Connection.
func (s *session) Data() any { return s.detail().Data }

// RemoteAddr implements Connection.
func (s *session) RemoteAddr() net.Addr { return s.outbox.remoteAddr() }

// Subprotocol implements Connection.
func (s *session) Subprotocol() string {
	n := s.selected.Load()
	switch {
	case s.credential != nil:
		return control.Protocol
	case n > 0:
		return s.hub.cfg.subprotocols[n-1]
	default:
		return ""
	}
}

// Server implements Connection.
func (s *session) Server() Server { return s.hub.server }

// Suspended implements Connection.
func (s *session) Suspended() bool { return s.outbox.suspended() }

// Context implements Connection.
func (s *session) Context() context.Context { return sessionContext{s} }

// A sessionContext ends with its session.
type sessionContext struct{ session *session }

// Deadline implements context.Context.
func (sessionContext) Deadline() (deadline time.Time, ok bool) { return time.Time{}, false }

// Done implements context.Context.
func (c sessionContext) Done() <-chan struct{} { return c.session.Done() }

// Err implements context.Context.
func (c sessionContext) Err() error {
	if c.session.ended() {
		return context.Canceled
	}
	return nil
}

// Value implements context.Context.
func (sessionContext) Value(any) any { return nil }

// String says what it is, as package context prints it.
func (c sessionContext) String() string { return "wspulse.Connection(" + c.session.id + ").Context" }
