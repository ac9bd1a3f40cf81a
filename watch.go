package wspulse

import (
	"sync"
	"time"
)

// watchPeriod is how often a watch looks: a callback that is seen twice has lasted that long, and less than twice as
// long.
const watchPeriod = 10 * time.Millisecond

// A watch finds the callbacks that take long, and lets reading pass on from the goroutines that run them. Its own
// goroutine runs only while there are callbacks.
type watch struct {
	quit <-chan struct{} // closed when the server has ended; set at construction

	mu      sync.Mutex // guards what follows; a leaf
	links   []*link    // whose callbacks are looked at
	running bool
}

// add looks at a link while it has callbacks, from now on. The link has entered one.
func (w *watch) add(l *link) {
	if l.watched.Load() || !l.watched.CompareAndSwap(false, true) {
		return
	}
	w.mu.Lock()
	w.links = append(w.links, l)
	start := !w.running
	w.running = true
	w.mu.Unlock()
	if start {
		go w.run()
	}
}

func (w *watch) run() {
	tick := time.NewTicker(watchPeriod)
	defer tick.Stop()
	for links := []*link(nil); ; {
		select {
		case <-tick.C:
		case <-w.quit:
			return
		}
		w.mu.Lock()
		links = append(links, w.links...)
		w.links = w.links[:0]
		w.running = len(links) > 0
		w.mu.Unlock()
		if len(links) == 0 {
			return
		}
		kept := links[:0]
		for _, l := range links {
			if w.look(l) {
				kept = append(kept, l)
			}
		}
		clear(links[len(kept):])
		links = kept
	}
}

// look lets reading pass on if a link is in the callback in which it was seen the last time. It says whether the link
// stays under watch: not where nothing has happened since then.
func (w *watch) look(l *link) bool {
	state := l.in.state.Load()
	if state != l.seenState {
		l.seenState = state
		return true
	}
	l.passReadingOn()
	l.seenState = 0
	l.watched.Store(false)
	if l.in.inside() { // which began before it could see that nobody watches
		return l.watched.CompareAndSwap(false, true)
	}
	return false
}
