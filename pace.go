package wspulse

import (
	"sync"
	"sync/atomic"
	"time"
)

// Whoever reads for the poller runs callbacks one after the other, so one that takes long holds up the others. A link
// whose last one was slow therefore reads on a goroutine of its own; and when there are too many that nobody could have
// known of, all links do for a while.

const (
	slowCallback = 100 * time.Microsecond // OnMessage takes longer: that costs more to wait for than a goroutine
	longestStall = 2 * time.Millisecond   // after that the poller goes on without it
	stallShare   = 10                     // one part in so many of the time may be lost to slow callbacks,
	mostStalled  = 20 * time.Millisecond  // and so much at once
)

// paced notes how long OnMessage took of a polled link.
func (l *link) paced(took time.Duration) {
	l.slow = took > slowCallback
	if l.slow && l.worker != nil {
		l.hub.stalls.add(time.Since(l.hub.start), min(took, longestStall))
	}
}

// readsAlone says that a link of the poller is to read on a goroutine of its own.
func (l *link) readsAlone() bool { return l.slow || l.hub.stalls.tooMany(l.hub.start) }

// Stalls are the times for which slow callbacks have held up others.
type stalls struct {
	until atomic.Int64 // since the hub was made: there are too many; 0: there are not

	mu   sync.Mutex    // guards what follows; a leaf
	lost time.Duration // and not made up for by the time that has passed since
	at   time.Duration // since the hub was made: when that was so
}

func (s *stalls) add(now, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = max(0, s.lost-(now-s.at)/stallShare) + took
	if s.at = now; s.lost > mostStalled {
		s.until.Store(int64(now + mostStalled*stallShare/2)) // half of it is made up for then
	}
}

func (s *stalls) tooMany(start time.Time) bool {
	until := s.until.Load()
	if until == 0 || time.Since(start) < time.Duration(until) {
		return until != 0
	}
	s.until.CompareAndSwap(until, 0)
	return false
}
