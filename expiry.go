package wspulse

import (
	"container/heap"
	"time"
)

// How sessions end at the time that Details.Expires or SetExpires says.

// expiryCheck is how often the wall clock is looked at while a session has a time to end: it may have been set.
const expiryCheck = time.Minute

// An expiries is the sessions that have a time to end, the next first. Owned by the hub goroutine.
type expiries struct {
	heap  expiryHeap
	of    map[*session]*expiry
	timer *time.Timer // armed for the first, or for expiryCheck; not armed while there is none
}

// An expiry is when a session is to end, by the wall clock.
type expiry struct {
	session *session
	at      time.Time
	index   int // in the heap
}

func newExpiries() expiries {
	e := expiries{of: make(map[*session]*expiry), timer: time.NewTimer(expiryCheck)}
	e.timer.Stop()
	return e
}

// set says when a session is to end; zero: never.
func (e *expiries) set(s *session, at time.Time) {
	entry, at := e.of[s], at.Round(0) // without the monotonic clock, which knows nothing of what the wall clock is set to
	switch {
	case entry == nil && at.IsZero():
		return
	case at.IsZero():
		heap.Remove(&e.heap, entry.index)
		delete(e.of, s)
	case entry == nil:
		entry = &expiry{session: s, at: at}
		e.of[s] = entry
		heap.Push(&e.heap, entry)
	default:
		entry.at = at
		heap.Fix(&e.heap, entry.index)
	}
	e.arm(time.Now())
}

// due returns the next session whose time has come, which stays until it is removed.
func (e *expiries) due(now time.Time) (s *session, ok bool) {
	if len(e.heap) > 0 && !e.heap[0].at.After(now.Round(0)) {
		return e.heap[0].session, true
	}
	e.arm(now)
	return nil, false
}

func (e *expiries) arm(now time.Time) {
	if len(e.heap) == 0 {
		e.timer.Stop()
		return
	}
	e.timer.Reset(max(0, min(e.heap[0].at.Sub(now.Round(0)), expiryCheck)))
}

// An expiryHeap is a heap.Interface.
type expiryHeap []*expiry

// Len implements sort.Interface.
func (h expiryHeap) Len() int { return len(h) }

// Less implements sort.Interface.
func (h expiryHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }

// Swap implements sort.Interface.
func (h expiryHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements heap.Interface.
func (h *expiryHeap) Push(v any) {
	e := v.(*expiry)
	e.index = len(*h)
	*h = append(*h, e)
}

// Pop implements heap.Interface.
func (h *expiryHeap) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return e
}

// endDue ends the sessions whose time has come.
func (h *hub) endDue(now time.Time) {
	for s, ok := h.expiries.due(now); ok; s, ok = h.expiries.due(now) {
		h.end(s, endOverdue, ErrSessionExpired)
	}
}

// Expires implements Connection.
func (s *session) Expires() time.Time { return s.detail().Expires }

// SetExpires implements Connection.
func (s *session) SetExpires(t time.Time) {
	s.hub.ask(func() {
		if s.ended() {
			return
		}
		d := *s.detail()
		d.Expires = t
		s.attachDetails(&d)
		s.hub.endDue(time.Now())
	})
}
