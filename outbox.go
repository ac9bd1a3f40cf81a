package wspulse

import (
	"net"
	"sync"

	"github.com/wspulse/server/internal/control"
	"github.com/wspulse/server/internal/window"
	"github.com/wspulse/server/internal/wire"
)

// An outbox is what a session has to write, and whether somebody is writing it. The write pump of its link runs only
// while there is something to do: whoever puts something in and is given a link starts that link's pump.
type outbox struct {
	bound  *bound  // set at construction, then read-only, as is
	ledger *ledger // of a session that speaks wspulse.v1; nil: it does not

	mu sync.Mutex // guards what follows; a leaf

	window   *frameWindow       // of messages; nil while there are none
	taken    int16              // messages that are being written: the last that are numbered
	flying   bool               // the one of these that is left is waited for, since a part of it has been written
	pumping  bool               // the link's write pump runs, or
	corked   bool               // who reads the link is its write pump: it writes when it has read all that has come
	readOver bool               // the reading of link has ended
	closed   bool               // the session has ended: nothing is taken in any more
	detached bool               // there was a link, and there is none
	told     int                // bytes as bound.total knows them
	control  *queue[wire.Frame] // of pings and pongs, which may be lost; nil while there are none
	link     *link              // that writes; nil while the session is suspended, and when it is over
	remote   net.Addr           // of the link that was, or is about to be attached, while there is none
}

type frameWindow = window.Window[*wire.Frame]

// maxKept is the capacity of the largest window that is worth keeping, in frames.
const maxKept = 1024

// windows and controls hold empty ones, so that a session has one only while something is in it.
var (
	windows  = sync.Pool{New: func() any { return window.New[*wire.Frame](16) }}
	controls = sync.Pool{New: func() any { return &queue[wire.Frame]{items: make([]*wire.Frame, 0, maxControl)} }}
)

// unlock tells the server's total what has changed.
func (o *outbox) unlock() {
	if o.bound.total != nil {
		bytes := o.bytes()
		if o.closed { // nobody can make room here any more
			bytes = 0
		}
		o.bound.total.Add(int64(bytes - o.told))
		o.told = bytes
	}
	o.mu.Unlock()
}

// A task is what a write pump has to do next.
type task int

const (
	taskNothing  task = iota // the pump ends; it is started anew when there is something
	taskWrite                // the batch
	taskFinish               // the session has ended
	taskHangUp               // reading has ended
	taskReplaced             // another link writes
)

// signal queues a ping or a pong for the peer of l; at most maxControl, of which the latest stay.
func (o *outbox) signal(l *link, f *wire.Frame) *link {
	o.mu.Lock()
	defer o.unlock()
	if o.closed || o.link != l {
		return nil
	}
	if f == pingFrame && o.ledger != nil {
		o.ledger.ping = true // a page sees no other
	}
	if o.control == nil {
		o.control = controls.Get().(*queue[wire.Frame])
	}
	if o.control.len() == maxControl {
		o.control.pop()
	}
	o.control.push(f)
	return o.wake()
}

// cork has who reads l write what is put in until uncork: the replies of callbacks leave together.
func (o *outbox) cork(l *link) {
	o.mu.Lock()
	defer o.unlock()
	if o.link == l && !o.pumping && !o.closed && !o.readOver {
		o.pumping, o.corked = true, true
	}
}

// uncork ends a cork, if it has not ended by itself, and says whether there is something to write: then the caller is
// the write pump of l.
func (o *outbox) uncork(l *link) bool {
	o.mu.Lock()
	defer o.unlock()
	if o.link != l || !o.corked {
		return false
	}
	o.corked = false
	return o.stays()
}

// more says whether the write pump of l, which runs, has more to do. If not, it ends.
func (o *outbox) more(l *link) bool {
	o.mu.Lock()
	defer o.unlock()
	return l.replaced.Load() || o.stays()
}

// attach says which link writes from now on. With a ledger its transport begins with that hello, and with what has been
// sent and not acknowledged; hello is nil without one. before is a link that wrote before and whose pump is to be
// started, to see it off.
func (o *outbox) attach(l *link, hello *control.Welcome) (woken, before *link) {
	o.mu.Lock()
	defer o.unlock()
	if before = o.link; before != nil {
		before.replaced.Store(true) // and touches nothing any more
		o.release()
		if o.pumping && !o.corked { // it sees to that itself
			before = nil
		}
	}
	if o.window != nil {
		o.window.Rewind()
	}
	switch v := o.ledger; {
	case v != nil:
		v.rewind(hello)
	case o.window != nil:
		o.window.TakeBack()
	}
	o.link, o.control, o.taken, o.flying = l, nil, 0, false
	o.remote, o.detached = nil, false
	o.pumping, o.corked, o.readOver = false, false, false
	if o.ledger != nil || o.waiting() > 0 {
		return o.wake(), before
	}
	return nil, before
}

// attached returns the link that writes, or nil.
func (o *outbox) attached() *link {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.link
}

// detach says that no link writes until the next one is attached.
func (o *outbox) detach() {
	o.mu.Lock()
	defer o.unlock()
	o.release()
	o.control, o.detached = nil, true
}

// close lets nothing in any more.
func (o *outbox) close() *link {
	o.mu.Lock()
	defer o.unlock()
	o.closed = true
	return o.wake()
}

// readEnded says that the reading of l has ended.
func (o *outbox) readEnded(l *link) *link {
	o.mu.Lock()
	defer o.unlock()
	if o.link != l {
		return nil
	}
	o.readOver = true
	return o.wake()
}

// take fills the batch of the write pump of l, which runs, and says what to do.
func (o *outbox) take(l *link, b *wire.Batch) task {
	o.mu.Lock()
	defer o.unlock()
	switch {
	case l.replaced.Load():
		return taskReplaced
	case o.closed:
		return taskFinish
	case o.readOver:
		return taskHangUp
	case !o.stays():
		return taskNothing
	}
	for o.control.len() > 0 {
		b.AddControl(o.control.pop())
	}
	if o.control != nil {
		controls.Put(o.control)
		o.control = nil
	}
	if o.ledger != nil {
		o.ledger.addDue(b)
	}
	o.fill(b)
	return taskWrite
}

// flush fills the batch without pings and pongs, for a session that has ended.
func (o *outbox) flush(b *wire.Batch) (filled bool) {
	o.mu.Lock()
	defer o.unlock()
	if o.ledger != nil {
		o.ledger.addDue(b)
	}
	o.fill(b)
	return !b.Empty()
}

// written says which of the messages that l has taken have been written, and whether somebody waits for the peer to
// take the rest of the next one. The others wait to be taken again. It returns those that have been written for the
// first time, how many have been by another transport before, and how many wait.
func (o *outbox) written(l *link, messages []*wire.Frame, flying bool) (fresh []*wire.Frame, again, waiting int) {
	o.mu.Lock()
	defer o.unlock()
	if l.replaced.Load() {
		l.wroteLate(messages)
		return nil, 0, 0
	}
	unsent := int(o.taken) - len(messages)
	if o.flying, o.taken = flying, 0; flying {
		o.taken = 1
	}
	v := o.ledger
	if v != nil {
		again = v.wrote(messages)
	}
	if o.window == nil {
		return messages[again:], again, 0
	}
	unsent -= int(o.taken)
	o.window.Unsend(unsent)
	switch {
	case v == nil:
		o.window.Acknowledge(len(messages))
		o.window.TakeBack()
	case !v.keeps:
		o.window.Acknowledge(len(messages))
		v.acknowledged = v.begun
	}
	if v != nil && unsent > 0 {
		v.sent = v.acknowledged + o.window.Ahead()
	}
	o.tidy()
	return messages[again:], again, o.waiting()
}

// clear empties the outbox of a session that has ended for good, and returns how many frames were in it that have never
// been written whole.
func (o *outbox) clear() (lost int) {
	o.mu.Lock()
	defer o.unlock()
	numbered, _ := o.window.Numbered()
	if v := o.ledger; v != nil && numbered > 0 {
		numbered = notGaps(v.neverWritten(o.window.Oldest(numbered)))
	}
	lost = numbered + o.waiting()
	o.release()
	o.window, o.taken, o.flying, o.control = nil, 0, false, nil
	return lost
}

// queued returns how many frames are in the queue.
func (o *outbox) queued() int {
	o.mu.Lock()
	defer o.unlock()
	return o.waiting()
}

// remoteAddr returns that of the latest link.
func (o *outbox) remoteAddr() net.Addr {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.link != nil {
		return o.link.socket.RemoteAddr() // which most never ask for, and keep none
	}
	return o.remote
}

// suspended says that there was a link, and there may be another one.
func (o *outbox) suspended() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.detached && !o.closed
}

// signals says whether pings or pongs wait to be written.
func (o *outbox) signals() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.control.len() > 0
}

// size returns how many bytes are queued or being written, and how many of these may be dropped.
func (o *outbox) size() (all, loose int) {
	o.mu.Lock()
	defer o.unlock()
	return o.bytes(), o.loose()
}

// weight returns how many bytes are queued or being written, also where nobody counts them otherwise.
func (o *outbox) weight() (bytes int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return 0
	}
	return o.window.Weight()
}

// What follows runs with mu held.

// release takes its link from the outbox. That keeps what it has been sent: it may be about to say so.
func (o *outbox) release() {
	if o.link == nil {
		return
	}
	if v := o.ledger; v != nil {
		o.link.v1.sent, o.link.v1.begun = v.sent, v.begun
	}
	o.remote, o.link = o.link.socket.RemoteAddr(), nil
}

// wake returns the link if its pump does not run and is to be started. A cork ends where the pump has to see the link
// off, or has enough to write.
func (o *outbox) wake() *link {
	switch {
	case o.link == nil:
		return nil
	case o.corked && (o.closed || o.readOver || o.corkIsFull()):
		o.corked = false
	case o.pumping:
		return nil
	}
	o.pumping = true
	return o.link
}

// corkIsFull says that so much waits that it is time to write: some of it is to be gone before a Send finds no room.
func (o *outbox) corkIsFull() bool {
	frames, bytes := o.window.Waiting()
	return frames*2 >= min(o.bound.frames, 64) || o.bound.bytes > 0 && bytes*2 >= o.bound.bytes
}

// stays says whether there is something to do for the running pump, which ends if not.
func (o *outbox) stays() bool {
	o.pumping = o.closed || o.readOver || o.control.len() > 0 || o.ledger != nil && o.ledger.due() || o.ready()
	return o.pumping
}

// waiting returns how many messages wait to be taken.
func (o *outbox) waiting() int {
	frames, _ := o.window.Waiting()
	return frames
}

// bytes returns those of all messages, if bound counts them.
func (o *outbox) bytes() int {
	_, waiting := o.window.Waiting()
	if o.ledger == nil && !o.flying { // what is being written is on its way
		return waiting
	}
	_, numbered := o.window.Numbered()
	return waiting + numbered
}

// loose returns the bytes that may be dropped for others: those that wait, unless a pump is about to number them that
// nothing holds up.
func (o *outbox) loose() int {
	isHeldUp := o.link == nil || !o.pumping || o.flying || o.taken > 0 && !o.link.socket.Eager() || !o.maySend()
	if o.ledger != nil && !isHeldUp {
		return 0
	}
	_, waiting := o.window.Waiting()
	return waiting
}

// ready says that there are messages to be sent, or a gap.
func (o *outbox) ready() bool { return o.maySend() || o.gapIsDue() }

// fill takes messages for a batch.
func (o *outbox) fill(b *wire.Batch) {
	o.tellGap(b)
	if o.window == nil {
		return
	}
	frames := o.sendable()
	n := b.Fill(frames)
	if v := o.ledger; v != nil && n > 0 {
		o.beginWait()
		for _, f := range frames[:n] {
			v.sent += uint64(f.Messages())
		}
	}
	o.window.Sent(n)
	o.taken += int16(n)
}

// tidy gives an empty window back.
func (o *outbox) tidy() {
	if o.window.Empty() && o.window != nil {
		if o.window.Cap() <= maxKept {
			windows.Put(o.window)
		}
		o.window = nil
	}
}
