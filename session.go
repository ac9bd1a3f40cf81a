package wspulse

import (
	"container/list"
	"errors"
	"time"

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

	seen   uint64 // number of the first of the room's broadcasts that it has not been handed; owned by the hub goroutine
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

// newSession returns a session that is in no room yet, and has no link.
func newSession(h *hub, id, key string) *session {
	return &session{
		hub:      h,
		id:       id,
		key:      key,
		openedAt: time.Now(),
		done:     make(chan struct{}),
		outbox:   outbox{bound: &h.bound},
	}
}

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
	if s.room.hasPending() {
		return s.hub.sendInTurn(s, frame)
	}
	return s.offer(frame)
}

// Close implements Connection.
func (s *session) Close() error {
	s.hub.endSession(s, endClosed)
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
		return c.deflater.Attach(wire.New(wire.Opcode(c.codec.FrameType()), data)), nil
	}
	const envelope = 40 // bytes that JSONCodec puts around the three fields, and some
	buf := make([]byte, wire.HeaderSize, wire.HeaderSize+envelope+len(f.ID)+len(f.Event)+len(f.Payload))
	buf, err := c.appender.AppendEncode(buf, f)
	if err != nil {
		return nil, err
	}
	return c.deflater.Attach(wire.Seal(wire.OpText, buf)), nil
}
