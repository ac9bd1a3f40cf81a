package wspulse

import "sync/atomic"

// A latch is open until it is closed, once. Its channel is made when somebody waits for that, which most are spared.
// The zero value is open; a nil latch is closed.
type latch struct{ c atomic.Pointer[chan struct{}] }

// closedChannel stands for the channel of each latch that is closed.
var closedChannel = func() *chan struct{} {
	c := make(chan struct{})
	close(c)
	return &c
}()

// C returns a channel that is closed when the latch is. Anyone.
func (l *latch) C() <-chan struct{} {
	if c := l.c.Load(); c != nil {
		return *c
	}
	made := make(chan struct{})
	if l.c.CompareAndSwap(nil, &made) {
		return made
	}
	return *l.c.Load()
}

func (l *latch) close() {
	if c := l.c.Swap(closedChannel); c != nil {
		close(*c)
	}
}

func (l *latch) closed() bool { return l == nil || l.c.Load() == closedChannel }

// wait returns when the latch is closed.
func (l *latch) wait() {
	if !l.closed() {
		<-l.C()
	}
}
