package wspulse

import (
	"fmt"
	"runtime/debug"
	"slices"

	"go.uber.org/zap"
)

// A callback is one of the application's that gets no more than the Connection; fn is nil where there is none.
type callback struct {
	name string
	fn   func(Connection)
}

// joined and left are the callbacks that tell of a room.
func (h *hub) joined(roomID string) callback { return ofRoom("OnJoin", h.cfg.onJoin, roomID) }
func (h *hub) left(roomID string) callback   { return ofRoom("OnLeave", h.cfg.onLeave, roomID) }

func ofRoom(name string, fn func(Connection, string), roomID string) callback {
	if fn == nil {
		return callback{}
	}
	return callback{name, func(c Connection) { fn(c, roomID) }}
}

// runAll runs callbacks one after the other, also where one ends its goroutine.
func runAll(callbacks []callback, s *session) {
	if len(callbacks) > 0 {
		defer runAll(callbacks[1:], s)
		callbacks[0].run(s)
	}
}

// run runs a callback, if there is one, and contains its panic.
func (c callback) run(s *session) {
	if c.fn != nil {
		s.hub.contain(c.name, s.id, func() { c.fn(s) })
	}
}

// tell queues a callback behind those of the session that run or wait, before the messages that wait for one. Hub.
func (h *hub) tell(s *session, c callback) {
	switch {
	case c.fn == nil:
	case s.link != nil && s.link.post(message{callback: &c}):
	default:
		h.callback(s, c)
	}
}

// callback queues a callback behind the session's other ones, where no link has its turn any more.
func (h *hub) callback(s *session, c callback) {
	prev, next := s.turn, &latch{}
	s.turn = next
	go func() {
		defer next.close()
		prev.wait()
		c.run(s)
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

// lastCallbacks queues OnLeave for each room and OnDisconnect. The session's seat is free when these have returned, or
// whatever callback is the last, and so is the server to end.
func (h *hub) lastCallbacks(s *session, err error) {
	over := func() {
		h.freeSeat(seat{taken: true, key: s.key})
		h.callbacks.Done()
	}
	if h.cfg.onDisconnect == nil && h.cfg.onLeave == nil && s.quiet() {
		over()
		return
	}
	var last []callback
	for _, id := range slices.Backward(s.Rooms()) {
		last = append(last, h.left(id))
	}
	if h.cfg.onDisconnect != nil {
		last = append(last, callback{"OnDisconnect", func(c Connection) { h.cfg.onDisconnect(c, err) }})
	}
	h.callback(s, callback{"OnDisconnect", func(Connection) {
		defer over()
		runAll(last, s)
	}})
}
