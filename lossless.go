package wspulse

import (
	"errors"

	"github.com/wspulse/server/internal/control"
	"github.com/wspulse/server/internal/wire"
)

// What wspulse.v1 adds to an outbox: messages are numbered, kept until the peer acknowledges them, and sent again on the
// next transport; those that had to be dropped are told of. docs/protocol.md says what goes over the wire.

// A ledger is what a session that speaks wspulse.v1 has counted: the messages of both directions, from 1 for as long as
// it lives. It belongs to the outbox, whose lock guards it.
type ledger struct {
	most   ackWindow   // set at construction, then read-only, as is
	opcode wire.Opcode // of control messages: the one that the codec does not use

	acknowledged uint64 // messages that the peer has
	sent         uint64 // the same, and those that it has been sent since its transport began
	lost         int    // dropped behind what is numbered; the peer has not been told

	accepted  uint64 // messages of the peer that stand in the inbox, or have
	processed uint64 // those that OnMessage is through with

	// Control messages to be sent.
	hello           *control.Welcome // before anything else
	ping, pong, ack bool
}

// An ackWindow is how much may be sent and not acknowledged. A message that begins within it is sent.
type ackWindow struct{ frames, bytes int }

var (
	errAckBackwards = errors.New("wspulse: peer acknowledges less than before")
	errAckUnsent    = errors.New("wspulse: peer acknowledges what it has not been sent")
)

func (v *ledger) due() bool { return v.hello != nil || v.ping || v.pong || v.ack }

// addDue adds the control messages that are due to a batch, before all messages.
func (v *ledger) addDue(b *wire.Batch) {
	if v.hello != nil {
		v.hello.Recv = v.accepted
		b.AddControl(v.frame(control.Message{Type: control.Hello, Hello: *v.hello}))
	}
	if v.ping {
		b.AddControl(v.frame(control.Message{Type: control.Ping}))
	}
	if v.pong {
		b.AddControl(v.frame(control.Message{Type: control.Pong}))
	}
	if v.ack {
		b.AddControl(v.frame(control.Message{Type: control.Ack, N: v.processed}))
	}
	v.hello, v.ping, v.pong, v.ack = nil, false, false, false
}

// frame returns a control message that stands behind what has been sent.
func (v *ledger) frame(m control.Message) *wire.Frame {
	m.At = v.sent
	return wire.New(v.opcode, m.Append(nil))
}

// attachAgain has a new transport begin with a hello, and then with what is numbered.
func (o *outbox) attachAgain(l *link, hello *control.Welcome) *link {
	o.mu.Lock()
	defer o.unlock()
	v := o.ledger
	if o.window != nil {
		o.window.Rewind()
	}
	v.sent, v.hello, v.ping, v.pong, v.ack = v.acknowledged, hello, false, false, false
	o.link, o.pumping, o.corked, o.readOver, o.taken, o.flying = l, false, false, false, 0, false
	return o.wake()
}

// claim says whether a peer that comes back may have got so many messages. They are acknowledged then.
func (o *outbox) claim(recv uint64) bool {
	o.mu.Lock()
	defer o.unlock()
	return recv >= o.ledger.acknowledged && o.acknowledged(recv)
}

// acknowledge removes what the peer of l has got: so many messages in all. The write pump of the link that it returns is
// to be started. Errors: errAckBackwards, errAckUnsent.
func (o *outbox) acknowledge(l *link, messages uint64) (*link, error) {
	o.mu.Lock()
	defer o.unlock()
	switch v := o.ledger; {
	case o.link != l: // it came by a transport before
		return nil, nil
	case messages < v.acknowledged:
		return nil, errAckBackwards
	case messages > v.sent, !o.acknowledged(messages):
		return nil, errAckUnsent
	}
	if !o.ready() {
		return nil, nil
	}
	return o.wake(), nil
}

// What follows runs with mu held.

// acknowledged removes what so many messages in all are, unless they end where no message does, or behind the last that
// is numbered.
func (o *outbox) acknowledged(messages uint64) bool {
	v := o.ledger
	items, ok := o.window.Items(messages - v.acknowledged)
	if ok && items > 0 {
		o.window.Acknowledge(items)
		v.acknowledged = messages
		o.tidy()
	}
	return ok
}

// sendable returns the messages that may be sent now.
func (o *outbox) sendable() []*wire.Frame {
	next := o.window.Next()
	if o.ledger == nil || o.window.Replaying() {
		return next
	}
	return next[:min(len(next), o.mayNumber())]
}

// mayNumber returns how many more messages may be numbered before the peer acknowledges some.
func (o *outbox) mayNumber() int {
	frames, bytes := o.window.Numbered()
	if most := o.ledger.most; bytes < most.bytes {
		return max(0, most.frames-frames)
	}
	return 0
}

// gapIsDue says that the peer is to be told of what was dropped.
func (o *outbox) gapIsDue() bool {
	return o.ledger != nil && o.ledger.lost > 0 && !o.window.Replaying() && o.mayNumber() > 0
}

// tellGap tells of what was dropped, before the message that is to be sent next.
func (o *outbox) tellGap(b *wire.Batch) {
	if !o.gapIsDue() {
		return
	}
	v := o.ledger
	gap := v.frame(control.Message{Type: control.Gap, N: uint64(v.lost)})
	gap.Gap = v.lost
	o.keepWindow()
	o.window.SendGap(gap)
	b.Add(gap)
	o.taken++
	v.sent += uint64(v.lost)
	v.lost = 0
}
