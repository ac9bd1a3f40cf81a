package wspulse

import (
	"errors"
	"sync/atomic"

	"github.com/wspulse/server/internal/wire"
)

// What an outbox takes in, and what it loses to that.

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

// offer queues a frame if there is room for it. The pump of the link that it returns is to be started. Errors:
// ErrConnectionClosed, ErrSendBufferFull, errTooManyBytes.
func (o *outbox) offer(f *wire.Frame) (*link, error) {
	o.mu.Lock()
	defer o.unlock()
	if o.closed {
		return nil, ErrConnectionClosed
	}
	switch {
	case o.room() < 1:
		return nil, ErrSendBufferFull
	case o.tooManyBytes(f):
		return nil, errTooManyBytes
	}
	if o.add(f); !o.ready() {
		return nil, nil
	}
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
	if o.bound.bytes == 0 && len(frames) <= o.room() {
		o.add(frames...)
		frames = nil
	}
	for _, f := range frames {
		switch {
		case o.room() < 1:
			lost += o.displace(f)
		case o.tooManyBytes(f):
			lost += o.displace(f)
			tooManyBytes = true
		default:
			o.add(f)
		}
	}
	if !o.ready() {
		return nil, lost, tooManyBytes
	}
	return o.wake(), lost, tooManyBytes
}

// displace queues f in the place of the oldest frames, and says how many were lost: f itself if it is larger than all
// the room there is. It drops no more than f takes up: what a failed write has left may be over the bound, and stays.
func (o *outbox) displace(f *wire.Frame) (lost int) {
	switch {
	case o.bound.bytes == 0:
		o.drop()
		o.add(f)
		return 1
	case len(f.Bytes) > o.bound.bytes:
		if o.ledger != nil {
			o.ledger.lost++
		}
		return 1
	}
	for freed := 0; lost == 0 || freed < len(f.Bytes) && o.tooManyBytes(f); lost++ {
		freed += o.drop()
	}
	o.add(f)
	return lost
}

// shrink drops the oldest frames until the outbox holds no more than that many bytes, or only what is being written. It
// says how many it dropped.
func (o *outbox) shrink(bytes int) (lost int) {
	o.mu.Lock()
	defer o.unlock()
	for ; o.loose() > 0 && o.bytes() > bytes; lost++ {
		o.drop()
	}
	o.tidy()
	return lost
}

// What follows runs with mu held.

// room returns how many more may wait.
func (o *outbox) room() int { return o.bound.frames - o.waiting() }

func (o *outbox) tooManyBytes(f *wire.Frame) bool {
	_, waiting := o.window.Waiting()
	return o.bound.bytes > 0 && waiting+len(f.Bytes) > o.bound.bytes
}

func (o *outbox) add(frames ...*wire.Frame) {
	o.keepWindow()
	o.window.Push(frames...)
}

// keepWindow sees to it that there is a window.
func (o *outbox) keepWindow() {
	if o.window == nil {
		o.window = windows.Get().(*frameWindow)
		o.window.Counts = o.bound.counts() || o.ledger != nil
	}
}

// drop drops the oldest message that waits, and returns its bytes.
func (o *outbox) drop() (bytes int) {
	if o.ledger != nil {
		o.ledger.lost++
	}
	return o.window.Drop(1)
}
