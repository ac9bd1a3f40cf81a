package wspulse

import (
	"fmt"
	"runtime/debug"

	"go.uber.org/zap"
)

// callback queues a callback behind the session's other ones.
func (h *hub) callback(s *session, name string, fn func()) {
	prev, next := s.turn, &latch{}
	s.turn = next
	go func() {
		defer next.close()
		prev.wait()
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
		zap.String("connectionID", connectionID), zap.String("panic", fmt.Sprint(v)),
		zap.ByteString("stack", debug.Stack()))
}

// lastCallback queues OnDisconnect. The session's seat is free when that has returned, or whatever callback is the
// last.
func (h *hub) lastCallback(s *session, err error) {
	if h.cfg.onDisconnect == nil && !h.cfg.limitsSeats() {
		h.freeSeat(seat{taken: true, key: s.key})
		return
	}
	h.callback(s, "OnDisconnect", func() {
		defer h.freeSeat(seat{taken: true, key: s.key})
		if h.cfg.onDisconnect != nil {
			h.cfg.onDisconnect(s, err)
		}
	})
}
