// Package line holds entries until they are due, one period after each was put in line, with a single timer for all of
// them.
package line

import "time"

// A Line is the entries that wait, the next one to be due first. Nothing is allocated for an entry: it contains its
// Place. A Line belongs to one goroutine, which waits for C and then takes what is due:
//
//	case <-l.C():
//		now := time.Now()
//		for e, ok := l.Due(now); ok; e, ok = l.Due(now) {
//			…
//		}
type Line[T any] struct {
	// Set at construction, then read-only.
	period time.Duration
	place  func(*T) *Place[T]
	base   time.Time   // that all Places count from, by the monotonic clock
	timer  *time.Timer // armed for the first entry or earlier; not armed while there is none

	late        time.Duration // of the entry that Due returned last
	first, last *T            // nil: there is none
	n           int
}

// A Place is where in a Line an entry is. It is a field of the entry, for one line, and its zero value is nowhere. An
// entry that may be in several lines at once has a Place for each.
type Place[T any] struct {
	prev, next *T
	due        time.Duration // since the line's base
}

// New returns an empty line of entries that are due period after they are pushed. place returns where an entry keeps
// its Place for this line.
func New[T any](period time.Duration, place func(*T) *Place[T]) *Line[T] {
	l := &Line[T]{period: period, place: place, base: time.Now(), timer: time.NewTimer(period)}
	l.timer.Stop()
	return l
}

// C returns the channel on which a time is sent when an entry may be due. It is never closed. Whoever receives from it
// must call Due until that has nothing more, since that arms the timer anew.
func (l *Line[T]) C() <-chan time.Time { return l.timer.C }

// Len returns how many entries are in line.
func (l *Line[T]) Len() int { return l.n }

// First returns the entry that is due next, or nil.
func (l *Line[T]) First() *T { return l.first }

// Contains says whether an entry is in line.
func (l *Line[T]) Contains(e *T) bool { return l.first == e || l.place(e).prev != nil }

// Push puts an entry in line, to be due one period after now. One that is in line already moves.
func (l *Line[T]) Push(e *T, now time.Time) { l.PushDue(e, now.Add(l.period)) }

// PushDue is Push for an entry with a due time of its own. It passes by those that are due later one by one, so it is
// meant for entries that come nearly in order. Those with one due time stay in the order in which they were pushed.
func (l *Line[T]) PushDue(e *T, due time.Time) {
	l.Remove(e)
	p := l.place(e)
	p.due = due.Sub(l.base)
	for p.prev = l.last; p.prev != nil && l.place(p.prev).due > p.due; p.prev = l.place(p.prev).prev {
		p.next = p.prev
	}
	*l.after(p.prev), *l.before(p.next) = e, e
	if l.n++; l.first == e {
		l.arm(time.Now())
	}
}

// Remove takes an entry out of line, if it is there.
func (l *Line[T]) Remove(e *T) {
	if !l.Contains(e) {
		return
	}
	p := l.place(e)
	*l.after(p.prev), *l.before(p.next) = p.next, p.prev
	*p = Place[T]{}
	if l.n--; l.n == 0 {
		l.timer.Stop()
	}
}

// Due takes the first entry out of line if its time has come by now. If not, it arms the timer for it, and ok is false.
func (l *Line[T]) Due(now time.Time) (e *T, ok bool) {
	if e = l.first; e == nil {
		return nil, false
	}
	if l.place(e).due > now.Sub(l.base) {
		l.arm(now)
		return nil, false
	}
	l.late = now.Sub(l.base) - l.place(e).due
	l.Remove(e)
	return e, true
}

// Late returns for how long the entry that Due returned last had been due.
func (l *Line[T]) Late() time.Duration { return l.late }

// Stop disarms the timer, until the next Push. What is in line stays there.
func (l *Line[T]) Stop() { l.timer.Stop() }

// arm sets the timer to when the first entry is due.
func (l *Line[T]) arm(now time.Time) { l.timer.Reset(l.place(l.first).due - now.Sub(l.base)) }

// after returns where the one that follows e is kept; nil is the head of the line.
func (l *Line[T]) after(e *T) **T {
	if e == nil {
		return &l.first
	}
	return &l.place(e).next
}

// before returns where the one before e is kept; nil is the end of the line.
func (l *Line[T]) before(e *T) **T {
	if e == nil {
		return &l.last
	}
	return &l.place(e).prev
}
