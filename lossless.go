package wspulse

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/wspulse/server/internal/control"
	"github.com/wspulse/server/internal/wire"
)

// What wspulse.v1 adds to an outbox: messages are numbered, kept until the peer acknowledges them, and sent again on the
// next transport; those that had to be dropped are told of; and the peer's are acknowledged. docs/protocol.md says what
// goes over the wire.

const (
	mostInflight  = 256         // messages that a peer may have sent and not been acknowledged,
	leastInflight = 16          // or as few,
	inflightBytes = 16 << 20    // so that their bytes are no more than that
	ackPeriod     = time.Second // after which what has been processed is acknowledged,
	ackFrames     = 64          // or after so many messages, or half of those that may be in flight,
	ackBytes      = 32 << 10    // or so many bytes
)

// A ledger is what a session that speaks wspulse.v1 has counted: the messages of both directions, from 1 for as long as
// it lives. It belongs to the outbox, whose lock guards it.
type ledger struct {
	// Set at construction, then read-only.
	session *session
	most    ackWindow // of what is kept for the peer to acknowledge
	keeps   bool      // what has been sent; false: there is no resume window, and nobody acknowledges anything

	acknowledged uint64        // messages that the peer has
	sent         uint64        // the same, and those that it has been sent since its transport began
	begun        uint64        // sent, before the messages that are being written
	highest      uint64        // messages that have been written whole, once
	lost         int           // dropped behind what is numbered; the peer has not been told
	progress     time.Duration // since the hub was made: the last acknowledgement, or when there was something to acknowledge

	accepted  uint64         // messages of the peer that stand in the inbox, or have
	processed *atomic.Uint64 // those that OnMessage is through with; its tombstone has it too
	told      uint64         // processed, as the peer knows it
	toldBytes int            // of those that it does not know of
	timer     *time.Timer    // sees to it that the peer is told; nil: it has never been needed
	armed     bool           // it runs

	confirmed bool // by this transport: the peer has got its token

	// Control messages to be sent.
	hello           *control.Welcome // before anything else
	ping, pong, ack bool
}

// A numbering is what a link of wspulse.v1 has besides.
type numbering struct {
	interrupted latch // closed when reading is to end

	// The ledger's, when the link left the outbox, whose lock guards them.
	sent, begun uint64
}

// An ackWindow is how much may be sent and not acknowledged. A message that begins within it is sent.
type ackWindow struct{ frames, bytes int }

// A protocolError is what a peer has done that wspulse.v1 does not allow. It ends the transport with 4400.
type protocolError struct {
	reason string
	counts bool // the two ends have counted differently: the session can't go on
}

func (e *protocolError) Error() string { return "wspulse: " + e.reason }

var (
	errAckBackwards = &protocolError{reason: "peer acknowledges less than before"}
	errAckUnsent    = &protocolError{reason: "peer acknowledges what it has not been sent"}
	errNoHello      = &protocolError{reason: "control message before hello"}
	errBye          = errors.New("wspulse: the peer has said bye") // is never seen outside
)

func newLedger(s *session) *ledger {
	cfg := s.hub.cfg
	return &ledger{session: s, most: cfg.ackWindow, keeps: cfg.resumeWindow > 0, processed: &atomic.Uint64{}}
}

// inflight is how many messages a peer may have sent and not been acknowledged: as many may wait for a callback.
func (c *serverConfig) inflight() int {
	return max(leastInflight, min(mostInflight, int(inflightBytes/c.maxMessageSize)))
}

func (v *ledger) due() bool { return v.hello != nil || v.ping || v.pong || v.ack }

// addDue adds the control messages that are due to a batch, before all messages.
func (v *ledger) addDue(b *wire.Batch) {
	if v.hello != nil {
		if v.hello.Resumed {
			v.hello.Recv = v.accepted
		}
		b.AddControl(v.frame(control.Message{Type: control.Hello, Hello: *v.hello}))
	}
	if v.ping {
		b.AddControl(v.frame(control.Message{Type: control.Ping}))
	}
	if v.pong {
		b.AddControl(v.frame(control.Message{Type: control.Pong}))
	}
	if v.ack {
		b.AddControl(v.frame(control.Message{Type: control.Ack, N: v.processed.Load()}))
		v.told, v.toldBytes = v.processed.Load(), 0
	}
	v.hello, v.ping, v.pong, v.ack = nil, false, false, false
}

// frame returns a control message that stands behind what has been sent.
func (v *ledger) frame(m control.Message) *wire.Frame { return v.session.hub.cfg.control(m, v.sent) }

// wrote counts messages that have been written whole, and says how many of them had been before.
func (v *ledger) wrote(messages []*wire.Frame) (again int) {
	for _, f := range messages {
		if v.begun += uint64(f.Messages()); v.begun > v.highest {
			v.highest = v.begun
		} else {
			again++
		}
	}
	return again
}

// neverWritten returns those that have not been written whole, of the oldest that are numbered.
func (v *ledger) neverWritten(numbered []*wire.Frame) (frames []*wire.Frame) {
	at := v.acknowledged
	for _, f := range numbered {
		if at += uint64(f.Messages()); at > v.highest {
			frames = append(frames, f)
		}
	}
	return frames
}

// rewind begins with a new transport, whose peer may not know yet what has been acknowledged.
func (v *ledger) rewind(hello *control.Welcome) {
	v.sent, v.begun, v.progress = v.acknowledged, v.acknowledged, v.now()
	v.hello, v.ping, v.pong, v.ack, v.confirmed = hello, false, false, v.keeps && v.processed.Load() > 0, false
}

// notGaps returns how many of these are messages.
func notGaps(frames []*wire.Frame) (n int) {
	for _, f := range frames {
		if f.Gap == 0 {
			n++
		}
	}
	return n
}

func (v *ledger) now() time.Duration { return time.Since(v.session.hub.start) }

// hear takes a control message of the peer of l. The write pump of the link that it returns is to be started. age is how
// long the oldest message that it acknowledges had waited for that; 0: it acknowledges none. The error is a
// *protocolError, or errBye.
func (o *outbox) hear(l *link, m control.Message) (woken *link, age time.Duration, err error) {
	o.mu.Lock()
	defer o.unlock()
	v := o.ledger
	switch {
	case o.link != l, o.closed: // it came by a transport before, or what came before it is not counted any more
		return nil, 0, nil
	case v.hello != nil:
		return nil, 0, errNoHello
	case m.At != v.accepted:
		return nil, 0, &protocolError{fmt.Sprintf("peer counts %d messages, %d have come", m.At, v.accepted), true}
	}
	v.confirmed = true
	switch m.Type {
	case control.Ack:
		age, err = o.acknowledge(m.N)
	case control.Ping:
		v.pong = true
	case control.Bye:
		err = errBye
	case control.Hello, control.Gap, control.Pong: // are refused before
	}
	if err != nil || !v.due() && !o.ready() {
		return nil, age, err
	}
	return o.wake(), age, nil
}

// accept counts a message that has come to l. It returns false where another transport has taken over: the message comes
// again by that.
func (o *outbox) accept(l *link) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.link != l {
		return false
	}
	o.ledger.accepted++
	o.ledger.confirmed = true
	return true
}

// process counts a message that OnMessage is through with.
func (o *outbox) process(size int) *link {
	o.mu.Lock()
	defer o.unlock()
	v := o.ledger
	processed := v.processed.Add(1)
	v.toldBytes += size
	switch {
	case !v.keeps || o.closed:
		return nil
	case processed >= v.told+uint64(min(ackFrames, v.session.hub.cfg.inflight()/2)), v.toldBytes >= ackBytes:
		v.ack = true
		return o.wake()
	case v.armed:
	case v.timer == nil:
		v.timer, v.armed = time.AfterFunc(ackPeriod, v.session.ackInTime), true
	default:
		v.armed = true
		v.timer.Reset(ackPeriod)
	}
	return nil
}

// ackInTime acknowledges what has been processed, if there is news.
func (s *session) ackInTime() { s.outbox.ackInTime().start() }

func (o *outbox) ackInTime() *link {
	o.mu.Lock()
	defer o.unlock()
	v := o.ledger
	if v.armed = false; o.closed || v.processed.Load() <= v.told {
		return nil
	}
	v.ack = true
	return o.wake()
}

// claim says whether a peer that comes back may have got so many messages. They are acknowledged then; it says how many
// of them were not before, and which of these were not known to have been written.
func (o *outbox) claim(recv uint64) (news uint64, late []*wire.Frame, ok bool) {
	o.mu.Lock()
	defer o.unlock()
	v := o.ledger
	if recv < v.acknowledged {
		return 0, nil, false
	}
	news = recv - v.acknowledged
	items, ok := o.window.Items(news)
	if !ok {
		return 0, nil, false
	}
	if recv > v.highest {
		late = v.neverWritten(o.window.Oldest(items))
		v.highest = recv
	}
	o.acknowledged(recv)
	return news, late, true
}

// isConfirmed says whether the peer has got the token of its latest transport.
func (o *outbox) isConfirmed() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.ledger.confirmed
}

// unacknowledgedFor returns for how long something has been sent and nothing acknowledged.
func (o *outbox) unacknowledgedFor(now time.Duration) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	if items, _ := o.window.Numbered(); items == 0 || !o.ledger.keeps {
		return 0
	}
	return now - o.ledger.progress
}

// sentBy returns how many messages the peer of l has been sent by then, all in all.
func (o *outbox) sentBy(l *link) uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.link != l {
		return l.v1.sent
	}
	return o.ledger.sent
}

// What follows runs with mu held.

// acknowledge removes what the peer has got: so many messages in all. It returns how long the oldest of them had waited.
func (o *outbox) acknowledge(messages uint64) (age time.Duration, err error) {
	v := o.ledger
	switch {
	case messages > v.sent:
		return 0, errAckUnsent
	case !v.keeps, messages == v.acknowledged:
		return 0, nil
	case messages < v.acknowledged:
		return 0, errAckBackwards
	case !o.acknowledged(messages):
		return 0, errAckUnsent
	}
	now := v.now()
	age, v.progress = now-v.progress, now
	return max(1, age), nil
}

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

// sendable returns the messages that may be sent now: as many as begin within the ack window.
func (o *outbox) sendable() []*wire.Frame {
	next := o.window.Next()
	if o.ledger == nil || o.window.Replaying() {
		return next
	}
	frames, bytes := o.window.Numbered()
	for i, f := range next {
		if !o.mayNumber(frames+i, bytes) {
			return next[:i]
		}
		bytes += f.Len()
	}
	return next
}

// maySend says that there is something sendable.
func (o *outbox) maySend() bool {
	return len(o.window.Next()) > 0 && (o.ledger == nil || o.window.Replaying() || o.mayNumber(o.window.Numbered()))
}

// mayNumber says whether another message may be numbered beside so much that is. The end of a session waits for nobody.
func (o *outbox) mayNumber(frames, bytes int) bool {
	most := o.ledger.most
	return !o.ledger.keeps || o.closed || frames < most.frames && bytes < most.bytes
}

// beginWait notes that something is about to wait for an acknowledgement, if nothing has waited before.
func (o *outbox) beginWait() {
	if items, _ := o.window.Numbered(); items == 0 {
		o.ledger.progress = o.ledger.now()
	}
}

// gapIsDue says that the peer is to be told of what was dropped.
func (o *outbox) gapIsDue() bool {
	return o.ledger != nil && o.ledger.lost > 0 && !o.window.Replaying() && o.mayNumber(o.window.Numbered())
}

// tellGap tells of what was dropped, before the message that is to be sent next.
func (o *outbox) tellGap(b *wire.Batch) {
	if !o.gapIsDue() {
		return
	}
	v := o.ledger
	o.beginWait()
	gap := v.frame(control.Message{Type: control.Gap, N: uint64(v.lost)})
	gap.Gap = v.lost
	o.keepWindow()
	o.window.SendGap(gap)
	b.Add(gap)
	o.taken++
	v.sent += uint64(v.lost)
	v.lost = 0
}
