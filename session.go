package wspulse

import (
	"container/list"
	"slices"
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
	hub      *hub
	room     *room
	id       string
	openedAt time.Time
	send     chan *wire.Frame // the queue; drained by the write pump of the link; never closed
	done     chan struct{}    // closed by the hub when the session has ended

	// Owned by the hub goroutine.
	link    *link
	slot    int             // in room.members
	place   *list.Element   // in the line of suspended sessions
	expires time.Time       // while suspended
	dropErr error           // while suspended: why the transport died
	turn    <-chan struct{} // closed when the last callback that was queued has returned

	// Set by the hub before it closes done, then read-only.
	ending  *ending
	flushBy time.Time // when writeWait is over

	// Owned by the running write pump, or by the hub while there is none.
	unsent []*wire.Frame // taken from send, but not accepted by a socket; goes first on the next link

	sealed atomic.Bool // nobody drains send any more
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
	select {
	case s.send <- f:
		if s.sealed.Load() {
			s.sweep()
		}
		return nil
	default:
		s.dropped()
		return ErrSendBufferFull
	}
}

// maxEvictions bounds the frames that one broadcast may push out of a queue that racing Sends keep full.
const maxEvictions = 16

// push queues a frame, at the cost of the oldest one if the queue is full, and says whether it did. Hub.
func (s *session) push(f *wire.Frame) bool {
	for range maxEvictions {
		select {
		case s.send <- f:
			return true
		default:
		}
		select {
		case <-s.send:
			s.dropped()
		default:
		}
	}
	s.dropped()
	return false
}

// next takes the next frame for the peer, or returns nil. Write pump.
func (s *session) next() *wire.Frame {
	if f := s.leftOver(); f != nil {
		return f
	}
	select {
	case f := <-s.send:
		return f
	default:
		return nil
	}
}

// leftOver takes the first of the frames that a link before this one could not write, or returns nil. Write pump.
func (s *session) leftOver() *wire.Frame {
	if len(s.unsent) == 0 {
		return nil
	}
	f := s.unsent[0]
	s.unsent[0] = nil
	s.unsent = s.unsent[1:]
	return f
}

// keep puts frames that were taken but not written back, before all others. Write pump.
func (s *session) keep(frames []*wire.Frame) {
	s.unsent = slices.Concat(frames, s.unsent)
}

// discard counts what an ended session did not deliver. Write pump, or the hub where there is none.
func (s *session) discard() {
	s.sealed.Store(true)
	for range s.unsent {
		s.dropped()
	}
	s.unsent = nil
	s.sweep()
}

// sweep counts what is left in the queue of a sealed session; a Send that raced the end may have put it there.
func (s *session) sweep() {
	for {
		select {
		case <-s.send:
			s.dropped()
		default:
			return
		}
	}
}

func (s *session) dropped() { s.hub.cfg.metrics.FrameDropped(s.room.id, s.id) }

// An appendEncoder leaves room for a WebSocket header before what it encodes. JSONCodec is one.
type appendEncoder interface {
	AppendEncode(dst []byte, f Frame) ([]byte, error)
}

// encode makes the frame that goes on the wire.
func (c *serverConfig) encode(f Frame) (*wire.Frame, error) {
	if c.appender == nil {
		data, err := c.codec.Encode(f)
		if err != nil {
			return nil, err
		}
		return wire.New(c.codec.FrameType(), data), nil
	}
	const envelope = 40 // bytes that JSONCodec puts around the three fields, and some
	buf := make([]byte, wire.HeaderSize, wire.HeaderSize+envelope+len(f.ID)+len(f.Event)+len(f.Payload))
	buf, err := c.appender.AppendEncode(buf, f)
	if err != nil {
		return nil, err
	}
	return wire.Seal(TextMessage, buf), nil
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
