package wspulse

import (
	"container/list"
	"errors"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/zap"

	"github.com/wspulse/server/internal/wire"
)

// A session is what a Connection is: identity, the queue to the peer, and the order of callbacks. It has a link while it
// is connected, a place in the hub's line while it is suspended, and a closed done when it has ended.
type session struct {
	// Set at construction, then read-only.
	hub  *hub
	room *room
	id   string
	done chan struct{} // closed by the hub when the session has ended

	outbox outbox // beside them, since a delivery needs these and no others

	// The same as the first block.
	key      string // of its seat; see admission
	openedAt time.Time

	// Owned by the hub goroutine.
	link    *link
	slot    int             // in room.members
	place   *list.Element   // in the line of suspended sessions
	expires time.Time       // while suspended
	dropErr error           // while suspended: why the transport died
	turn    <-chan struct{} // closed when the last callback that was queued has returned

	// Set by the hub before it closes the outbox and done, then read-only.
	ending  *ending
	flushBy time.Time // when writeWait is over
}

// An ending is a way for a session to end.
type ending struct {
	reason     DisconnectReason
	closeFrame *wire.Frame // for a peer that is connected
	flush      bool        // write what is queued before the close frame
}

// The ways for a session to end. Nobody is left to read a close frame in the last two.
var (
	closedByApp = &ending{DisconnectNormal, wire.Close(websocket.CloseNormalClosure, ""), true}
	kicked      = &ending{DisconnectKick, wire.Close(websocket.CloseNormalClosure, "kicked"), false}
	replaced    = &ending{DisconnectDuplicate, wire.Close(websocket.CloseNormalClosure, "duplicate connection id"), false}
	shutDown    = &ending{DisconnectServerClose, wire.Close(websocket.CloseGoingAway, "server shutting down"), true}
	departed    = &ending{reason: DisconnectNormal}
	expired     = &ending{reason: DisconnectGraceExpired}
)

// ID implements Connection.
func (s *session) ID() string { return s.id }

// RoomID implements Connection.
func (s *session) RoomID() string { return s.room.id }

// Done implements Connection.
func (s *session) Done() <-chan struct{} { return s.done }

// Send implements Connection.
func (s *session) Send(f Frame) error {
	if s.ended() {
		return ErrConnectionClosed
	}
	frame, err := s.hub.cfg.encode(f)
	if err != nil {
		return err
	}
	if s.room.pending.Load() == 0 {
		return s.offer(frame)
	}
	return s.hub.sendInTurn(s, frame)
}

// Close implements Connection.
func (s *session) Close() error {
	s.hub.requestEnd(s, closedByApp)
	return nil
}

func (s *session) ended() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
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

// push queues frames, at the cost of the oldest ones if the queue is full. The pump of the link that it returns is to be
// started. Hub.
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

// A gate lets the read pump into callbacks until it is shut, and says when nobody is inside any more.
type gate struct {
	state atomic.Int32
	left  chan struct{} // closed when the gate is shut and nobody is inside
}

// The states of a gate. A new gate has the read pump inside.
const (
	gateInside int32 = iota
	gateOpen
	gateShut
)

// enter says whether the read pump may run a callback; it must leave then. Read pump.
func (g *gate) enter() bool { return g.state.CompareAndSwap(gateOpen, gateInside) }

// leave says that the callback has returned. Read pump.
func (g *gate) leave() {
	if !g.state.CompareAndSwap(gateInside, gateOpen) {
		close(g.left)
	}
}

// shut lets nobody in any more. It does not wait for who is inside.
func (g *gate) shut() {
	if g.state.Swap(gateShut) == gateOpen {
		close(g.left)
	}
}
