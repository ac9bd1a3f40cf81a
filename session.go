package wspulse

import (
	"errors"
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
	// Set at construction, then read-only.
	hub  *hub
	room *room
	id   string
	done latch // closed by the hub when the session has ended

	seen     uint64      // number of the first of the room's broadcasts that it has not been handed; owned by the hub goroutine
	silenced atomic.Bool // no more messages are given to OnMessage, whatever has come: the application, or its server, has ended it

	outbox outbox // beside them, since a delivery needs these and no others

	requests atomic.Pointer[requests] // nil until there is one

	// The same as the first block.
	key      string        // of its seat; see admission
	openedAt time.Duration // since the hub was made

	// Owned by the hub goroutine.
	link    *link
	arrival uint64              // of the latest request that opened or resumed it
	slot    int                 // in room.members
	waiting line.Place[session] // in the line of suspended sessions
	dropErr error               // while suspended: why the transport died
	turn    *latch              // closed when the last callback that was queued has returned; nil: it has
	next    *candidate          // to take the place of the link

	credential *credential // of a peer that speaks wspulse.v1; nil: it does not

	// Set by the hub before it closes the outbox and done, then read-only.
	ending  *ending
	flushBy time.Duration // since the hub was made: writeWait is over
}

// newSession returns a session that is in no room yet, and has no link.
func newSession(h *hub, id, key string) *session {
	return &session{
		hub:      h,
		id:       id,
		key:      key,
		openedAt: time.Since(h.start),
		outbox:   outbox{bound: &h.bound},
	}
}

// ID implements Connection.
func (s *session) ID() string { return s.id }

// RoomID implements Connection.
func (s *session) RoomID() string { return s.room.id }

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
	if s.room.hasPending() {
		return s.hub.sendInTurn(s, frame)
	}
	return s.offer(frame)
}

// Close implements Connection.
func (s *session) Close() error {
	s.silenced.Store(true) // also where it has ended with its link, and what came before that still waits
	s.hub.endSession(s, endClosed)
	return nil
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
	return zap.Dict("session", zap.String("connectionID", s.id), zap.String("roomID", s.room.id))
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
	return l
}

func (s *session) tooManyBytes() {
	s.hub.limitReached(LimitSendBufferBytes, s.room.id, s.id, zap.Int("most", s.hub.cfg.sendBufferBytes))
}

// discard counts what an ended session did not deliver. Write pump, or the hub where there is none.
func (s *session) discard() { s.dropped(s.outbox.clear()) }

func (s *session) dropped(frames int) {
	for range frames {
		s.hub.cfg.metrics.FrameDropped(s.room.id, s.id)
	}
}
