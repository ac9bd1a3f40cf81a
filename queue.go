package wspulse

// A queue is what waits, first in, first out: links for the crew, pings and pongs for a peer. A nil queue is empty.
type queue[T any] struct {
	items []*T
	head  int // index of the first
}

func (q *queue[T]) len() int {
	if q == nil {
		return 0
	}
	return len(q.items) - q.head
}

func (q *queue[T]) push(v *T) {
	if len(q.items) == cap(q.items) && q.head > len(q.items)/2 { // rather than grow
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, v)
}

// pop removes the first, which there is.
func (q *queue[T]) pop() *T {
	v := q.items[q.head]
	q.items[q.head] = nil
	if q.head++; q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	}
	return v
}
