package wspulse

import (
	"sync"

	"github.com/wspulse/server/internal/wire"
)

// A queue is frames, first in, first out. A nil queue is empty.
type queue struct {
	frames []*wire.Frame
	head   int // index of the first
}

// maxKept is the capacity of the largest queue that is worth keeping, in frames.
const maxKept = 1024

// queues holds empty queues, so that a session has one only while frames are queued.
var queues = sync.Pool{New: func() any { return &queue{frames: make([]*wire.Frame, 0, 16)} }}

func getQueue() *queue { return queues.Get().(*queue) }

func putQueue(q *queue) {
	if q.frames, q.head = q.frames[:0], 0; cap(q.frames) <= maxKept {
		queues.Put(q)
	}
}

// tidy returns the queue, or nil if it is empty: it has been given back then.
func (q *queue) tidy() *queue {
	if q == nil || q.len() > 0 {
		return q
	}
	putQueue(q)
	return nil
}

func (q *queue) len() int {
	if q == nil {
		return 0
	}
	return len(q.frames) - q.head
}

func (q *queue) push(f *wire.Frame) {
	if len(q.frames) == cap(q.frames) && q.head > len(q.frames)/2 { // rather than grow
		n := copy(q.frames, q.frames[q.head:])
		clear(q.frames[n:])
		q.frames, q.head = q.frames[:n], 0
	}
	q.frames = append(q.frames, f)
}

func (q *queue) pop() *wire.Frame {
	f := q.frames[q.head]
	q.frames[q.head] = nil
	q.head++
	return f
}
