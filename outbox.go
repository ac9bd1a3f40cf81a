package wspulse

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/wspulse/server/internal/wire"
)

// An outbox is what a session has to write, and whether somebody is writing it. The write pump of its link runs only
// while there is something to do: whoever puts something in and is given a link starts that link's pump.
type outbox struct {
	bound *bound // set at construction, then read-only

	mu sync.Mutex // guards what follows; a leaf

	queue    *frameQueue // of frames; nil while none is queued
	bytes    int         // of the frames in it, if bound counts them
	flying   int         // bytes of a message that was taken and is waited for
	told     int         // bytes as bound.total knows them
	control  *frameQueue // of pings and pongs, which may be lost; nil while there are none
	link     *link       // that writes; nil while the session is suspended, and when it is over
	pumping  bool        // the link's write pump runs, or
	corked   bool        // who reads the link is its write pump: it writes when it has read all that has come
	readOver bool        // the reading of link has ended
	closed   bool        // the session has ended: nothing is taken in any more
}

// A bound is what the queues of all sessions of a server have in common.
type bound struct {
	frames int           // in one queue
	bytes  int           // in one queue; 0: no limit
	total  *atomic.Int64 // bytes in all queues; nil: no limit
}

// counts says whether somebody wants to know the bytes in a queue.
func (b *bound) counts() bool { return b.bytes > 0 || b.total != nil }

// errTooManyBytes is an ErrSendBufferFull inside the library.
var errTooManyBytes = errors.New("wspulse: too many bytes queued")

// unlock tells the server's total what has changed.
func (o *outbox) unlock() {
	if o.bound.total != nil {
		bytes := o.bytes + o.flying
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
	taskNothing task = iota // the pump ends; it is started anew when there is something
	taskWrite               // the batch
	taskFinish              // the session has ended
	taskHangUp              // reading has ended
)

// offer queues a frame if there is room for it. The pump of the link that it returns is to be started. Errors:
// ErrConnectionClosed, ErrSendBufferFull, errTooManyBytes.
func (o *outbox) offer(f *wire.Frame) (*link, error) {
	o.mu.Lock()
	defer o.unlock()
	if o.closed {
		return nil, ErrConnectionClosed
	}
	switch {
	case o.queue.len() >= o.bound.frames:
		return nil, ErrSendBufferFull
	case o.tooManyBytes(f):
		return nil, errTooManyBytes
	}
	o.add(f)
	return o.wake(), nil
}

// push queues frames at the cost of the oldest ones, and says how many were lost, and whether one of them to the bound
// in bytes. The hub, which has not ended the session.
func (o *outbox) push(frames []*wire.Frame) (l *link, lost int, tooManyBytes bool) {
	if len(frames) == 0 {
		return nil, 0, false
	}
	o.mu.Lock()
	defer o.unlock()
	if o.bound.bytes == 0 && o.queue.len()+len(frames) <= o.bound.frames {
		o.add(frames...)
		frames = nil
	}
	for _, f := range frames {
		switch {
		case o.queue.len() >= o.bound.frames:
			lost += o.replace(f)
		case o.tooManyBytes(f):
			lost += o.replace(f)
			tooManyBytes = true
		default:
			o.add(f)
		}
	}
	if o.queue.len() == 0 {
		return nil, lost, tooManyBytes
	}
	return o.wake(), lost, tooManyBytes
}

// replace queues f in the place of the oldest frames, and says how many were lost: f itself if it is larger than all
// the room there is. It drops no more than f takes up: what was put back may be over the bound, and stays.
func (o *outbox) replace(f *wire.Frame) (lost int) {
	switch {
	case o.bound.bytes == 0:
		o.pop()
		o.add(f)
		return 1
	case len(f.Bytes) > o.bound.bytes:
		return 1
	}
	for freed := 0; lost == 0 || freed < len(f.Bytes) && o.tooManyBytes(f); lost++ {
		freed += len(o.pop().Bytes)
	}
	o.add(f)
	return lost
}

// shrink drops the oldest frames until the outbox holds no more than that many bytes, or only a message that is waited
// for. It says how many it dropped.
func (o *outbox) shrink(bytes int) (lost int) {
	o.mu.Lock()
	defer o.unlock()
	for ; o.bytes > 0 && o.bytes+o.flying > bytes; lost++ {
		o.pop()
	}
	o.queue = tidy(o.queue)
	return lost
}

// signal queues a ping or a pong for the peer of l; at most maxControl, of which the latest stay.
func (o *outbox) signal(l *link, f *wire.Frame) *link {
	o.mu.Lock()
	defer o.unlock()
	if o.closed || o.link != l {
		return nil
	}
	if o.control == nil {
		o.control = getQueue()
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

// more says whether the running write pump has more to do. If not, it ends.
func (o *outbox) more() bool {
	o.mu.Lock()
	defer o.unlock()
	return o.stays()
}

// attach says which link writes from now on.
func (o *outbox) attach(l *link) *link {
	o.mu.Lock()
	defer o.unlock()
	o.link, o.pumping, o.corked, o.readOver = l, false, false, false
	if o.queue.len() > 0 {
		return o.wake()
	}
	return nil
}

// detach says that no link writes until the next one is attached.
func (o *outbox) detach() {
	o.mu.Lock()
	defer o.unlock()
	o.link, o.control = nil, nil
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

// take fills the batch of the running write pump, and says what to do.
func (o *outbox) take(b *wire.Batch) task {
	o.mu.Lock()
	defer o.unlock()
	switch {
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
	o.control = tidy(o.control)
	o.fill(b)
	return taskWrite
}

// flush fills the batch with frames only, for a session that has ended.
func (o *outbox) flush(b *wire.Batch) (filled bool) {
	o.mu.Lock()
	defer o.unlock()
	o.fill(b)
	return len(b.Unsent()) > 0
}

// putBack returns frames that were taken but not written to the front of the queue. flying, if there is one, is waited
// for: it has landed when it is put back or written.
func (o *outbox) putBack(frames []*wire.Frame, flying *wire.Frame) {
	o.mu.Lock()
	defer o.unlock()
	if o.flying = 0; flying != nil {
		o.flying = len(flying.Bytes)
	}
	if len(frames) == 0 {
		return
	}
	if o.queue == nil {
		o.queue = getQueue()
	}
	o.queue.items, o.queue.head = slices.Concat(frames, o.queue.items[o.queue.head:]), 0
	o.count(frames, 1)
}

// landed says that the message that was waited for has been written.
func (o *outbox) landed() { o.putBack(nil, nil) }

// clear empties the outbox of a session that has ended for good, and returns how many frames were in it.
func (o *outbox) clear() (lost int) {
	o.mu.Lock()
	defer o.unlock()
	lost = o.queue.len()
	o.queue, o.bytes, o.flying, o.control, o.link = nil, 0, 0, nil, nil
	return lost
}

// queued returns how many frames are in the queue.
func (o *outbox) queued() int {
	o.mu.Lock()
	defer o.unlock()
	return o.queue.len()
}

// signals says whether pings or pongs wait to be written.
func (o *outbox) signals() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.control.len() > 0
}

// size returns how many bytes are queued or waited for.
func (o *outbox) size() int {
	o.mu.Lock()
	defer o.unlock()
	return o.bytes + o.flying
}

// What follows runs with mu held.

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
	return o.queue.len()*2 >= min(o.bound.frames, 64) || o.bound.bytes > 0 && o.bytes*2 >= o.bound.bytes
}

// stays says whether there is something to do for the running pump, which ends if not.
func (o *outbox) stays() bool {
	o.pumping = o.closed || o.readOver || o.control.len() > 0 || o.queue.len() > 0
	return o.pumping
}

func (o *outbox) tooManyBytes(f *wire.Frame) bool {
	return o.bound.bytes > 0 && o.bytes+len(f.Bytes) > o.bound.bytes
}

func (o *outbox) add(frames ...*wire.Frame) {
	if o.queue == nil {
		o.queue = getQueue()
	}
	o.queue.push(frames...)
	o.count(frames, 1)
}

func (o *outbox) pop() *wire.Frame {
	f := o.queue.waiting()[0]
	o.drop(1)
	return f
}

// drop removes the first n frames.
func (o *outbox) drop(n int) {
	o.count(o.queue.waiting()[:n], -1)
	o.queue.drop(n)
}

// count adds the bytes of frames that come or, with a sign of -1, go.
func (o *outbox) count(frames []*wire.Frame, sign int) {
	if !o.bound.counts() {
		return
	}
	for _, f := range frames {
		o.bytes += sign * len(f.Bytes)
	}
}

// fill takes frames for a batch.
func (o *outbox) fill(b *wire.Batch) {
	if n := b.Fill(o.queue.waiting()); n > 0 {
		o.drop(n)
		o.queue = tidy(o.queue)
	}
}
