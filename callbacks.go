package wspulse

import (
	"runtime/debug"
	"sync/atomic"

	"go.uber.org/zap"
)

// callback queues a callback behind the session's other ones.
func (h *hub) callback(s *session, name string, fn func()) {
	prev, next := s.turn, make(chan struct{})
	s.turn = next
	go func() {
		defer close(next)
		<-prev
		h.contain(name, s.id, fn)
	}()
}

// contain runs a callback and logs its panic. It says whether the callback returned.
func (h *hub) contain(name, connectionID string, fn func()) (returned bool) {
	defer func() {
		if v := recover(); v != nil {
			h.logPanic(name, connectionID, v)
		}
	}()
	fn()
	return true
}

func (h *hub) logPanic(name, connectionID string, v any) {
	h.cfg.logger.Warn("wspulse: panic in callback", zap.String("callback", name),
		zap.String("connectionID", connectionID), zap.Any("panic", v), zap.ByteString("stack", debug.Stack()))
}

// A gate lets the read pump into callbacks until it is shut, and says when nobody is inside any more.
type gate struct {
	state atomic.Int32
	left  chan struct{} // closed when the gate is shut and nobody is inside
}

// The states of a gate. A new gate has the read pump inside.
const (
	gateInside int32 = iota
	gateOpen
	gateShut
)

// enter says whether the read pump may run a callback; it must exit then. Read pump.
func (g *gate) enter() bool { return g.state.CompareAndSwap(gateOpen, gateInside) }

// exit says that the callback has returned. Read pump.
func (g *gate) exit() {
	if !g.state.CompareAndSwap(gateInside, gateOpen) {
		close(g.left)
	}
}

// shut lets nobody in any more. It does not wait for who is inside.
func (g *gate) shut() {
	if g.state.Swap(gateShut) == gateOpen {
		close(g.left)
	}
}
