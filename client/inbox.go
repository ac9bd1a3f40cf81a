package client

import (
	"fmt"
	"runtime/debug"
	"sync"

	"go.uber.org/zap"
)

const (
	maxEvents = 4096    // messages that wait for callbacks,
	maxBytes  = 4 << 20 // or bytes of them, before the client reads no more
)

// An inbox runs callbacks, one after the other. It outlives the transports.
type inbox struct {
	mu      sync.Mutex
	changed *sync.Cond // there is another event, room for one, or the end
	events  []event
	bytes   int
	over    bool // nobody waits for room any more
	closed  bool // there will be no more events
}

// An event is a callback to be run.
type event struct {
	run  func()
	size int // of its message
}

func newInbox() *inbox {
	b := &inbox{}
	b.changed = sync.NewCond(&b.mu)
	return b
}

// put queues an event behind the others. It waits while there are too many.
func (b *inbox) put(e event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for !b.over && (len(b.events) >= maxEvents || b.bytes >= maxBytes) {
		b.changed.Wait()
	}
	b.events = append(b.events, e)
	b.bytes += e.size
	b.changed.Broadcast()
}

// call queues a callback of the application. It does not wait.
func (b *inbox) call(c *client, name string, fn func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, event{run: func() { c.contain(name, fn) }})
	b.changed.Broadcast()
}

// overflow lets nobody wait for room any more.
func (b *inbox) overflow() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
	b.changed.Broadcast()
}

// close ends run when all events have been run.
func (b *inbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.changed.Broadcast()
}

// run is the goroutine of the callbacks.
func (b *inbox) run() {
	for e, ok := b.next(); ok; e, ok = b.next() {
		e.run()
	}
}

func (b *inbox) next() (e event, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.events) == 0 && !b.closed {
		b.changed.Wait()
	}
	if len(b.events) == 0 {
		return event{}, false
	}
	e, b.events[0] = b.events[0], event{}
	b.events = b.events[1:]
	b.bytes -= e.size
	b.changed.Broadcast()
	return e, true
}

// contain runs a callback, and logs its panic.
func (c *client) contain(name string, fn func()) {
	defer func() {
		if v := recover(); v != nil {
			c.cfg.logger.Warn("wspulse: client: panic in callback", zap.String("callback", name),
				zap.String("panic", fmt.Sprint(v)), zap.ByteString("stack", debug.Stack()))
		}
	}()
	fn()
}
