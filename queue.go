package wspulse

import (
	"sync"

	"github.com/wspulse/server/internal/wire"
)

// A queue is what waits, first in, first out: frames for a peer, links for the crew. A nil queue is empty.
type queue[T any] struct {
	items []*T
	head  int // index of the first
}

type frameQueue = queue[wire.Frame]

// maxKept is the capacity of the largest queue that is worth keeping, in frames.
const maxKept = 1024

// queues holds empty queues, so that a session has one only while frames are queued.
var queues = sync.Pool{New: func() any { return &frameQueue{items: make([]*wire.Frame, 0, 16)} }}

func getQueue() *frameQueue { return queues.Get().(*frameQueue) }

func putQueue(q *frameQueue) {
	if q.items, q.head = q.items[:0], 0; cap(q.items) <= maxKept {
		queues.Put(q)
	}
}

// tidy returns a queue of frames, or nil if it is empty: it has been given back then.
func tidy(q *frameQueue) *frameQueue {
	if q == nil || q.len() > 0 {
		return q
	}
	putQueue(q)
	return nil
}

func (q *queue[T]) len() int {
	if q == nil {
		return 0
	}
	return len(q.items) - q.head
}

// waiting returns all that waits, the first first. It is good until the next change.
func (q *queue[T]) waiting() []*T {
	if q == nil {
		return nil
	}
	return q.items[q.head:]
}

func (q *queue[T]) push(v ...*T) {
	if len(q.items)+len(v) > cap(q.items) && q.head > len(q.items)/2 { // rather than grow
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, v...)
}

// pop removes the first, which there is.
func (q *queue[T]) pop() *T {
	v := q.items[q.head]
	q.drop(1)
	return v
}

// drop removes the first n, which there are.
func (q *queue[T]) drop(n int) {
	clear(q.items[q.head : q.head+n])
	if q.head += n; q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	}
}
