package client

import (
	"fmt"
	"runtime/debug"
	"sync"

	"go.uber.org/zap"
)

// The bounds of what waits for callbacks.
const (
	fullMessages = 1 << 10 // messages, or
	fullBytes    = 4 << 20 // bytes of them, from which on nothing is acknowledged until half of that is left

	mostMessages = 4 << 10  // messages, or
	mostBytes    = 16 << 20 // bytes of them, from which on nothing is read
)

// An inbox runs callbacks, one after the other. It outlives the transports.
type inbox struct {
	logger *zap.Logger
	eased  func() // runs on the goroutine of the callbacks when the inbox is not full any more

	mu       sync.Mutex // guards what follows; a leaf
	changed  *sync.Cond // there is another event, room for one, or the end
	events   []event
	messages int // among them
	bytes    int
	full     bool // nothing is acknowledged
	over     bool // nobody waits for room any more
	closed   bool // there will be no more events
}

// An event is a callback to be run.
type event struct {
	callback string // its name, for the log
	run      func()
	message  bool
	size     int // of the message
}

func newInbox(logger *zap.Logger, eased func()) *inbox {
	b := &inbox{logger: logger, eased: eased}
	b.changed = sync.NewCond(&b.mu)
	return b
}

// put queues a message for a callback behind the other events. It waits while there are too many. It says whether the
// inbox is full now.
func (b *inbox) put(name string, size int, run func()) (full bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for !b.over && (b.messages >= mostMessages || b.bytes >= mostBytes) {
		b.changed.Wait()
	}
	b.events = append(b.events, event{name, run, true, size})
	b.messages++
	b.bytes += size
	b.full = b.full || b.messages >= fullMessages || b.bytes >= fullBytes
	b.changed.Broadcast()
	return b.full
}

// call queues another callback. It does not wait.
func (b *inbox) call(name string, run func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, event{callback: name, run: run})
	b.changed.Broadcast()
}

// isFull says that nothing is to be acknowledged.
func (b *inbox) isFull() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.full
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

// run is the goroutine of the callbacks. Where one of them ends that, another one goes on.
func (b *inbox) run() {
	finished := false
	defer func() {
		if !finished {
			go b.run()
		}
	}()
	for {
		e, eased, ok := b.next()
		if eased {
			b.eased()
		}
		if !ok {
			break
		}
		b.contain(e)
	}
	finished = true
}

// next waits for the next event; eased says that the inbox is not full any more. It is not ok after the last.
func (b *inbox) next() (e event, eased, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.events) == 0 && !b.closed {
		b.changed.Wait()
	}
	if len(b.events) == 0 {
		return event{}, false, false
	}
	e, b.events[0] = b.events[0], event{}
	b.events = b.events[1:]
	if e.message {
		b.messages--
		b.bytes -= e.size
	}
	if b.full && b.messages <= fullMessages/2 && b.bytes <= fullBytes/2 {
		b.full, eased = false, true
	}
	b.changed.Broadcast()
	return e, eased, true
}

// contain runs a callback, and logs its panic.
func (b *inbox) contain(e event) {
	defer func() {
		if v := recover(); v != nil {
			b.logger.Warn("wspulse: client: panic in callback", zap.String("callback", e.callback),
				zap.String("panic", fmt.Sprint(v)), zap.ByteString("stack", debug.Stack()))
		}
	}()
	e.run()
}
