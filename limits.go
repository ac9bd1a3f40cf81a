package wspulse

import (
	"fmt"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/zap"

	"github.com/wspulse/server/internal/wire"
)

// Limit names a limit that a [LimitCollector] hears of. It is a short lower-case word, fit for a metric label.
type Limit string

// The limits, by the option that sets them.
const (
	LimitMaxMessageSize  Limit = "max_message_size"  // WithMaxMessageSize
	LimitMaxConnections  Limit = "max_connections"   // WithMaxConnections
	LimitConnections     Limit = "connection_limit"  // WithConnectionLimit
	LimitHandshakeTime   Limit = "handshake_timeout" // WithHandshakeTimeout
	LimitMessageRate     Limit = "message_rate"      // WithMessageRate
	LimitMessageTime     Limit = "message_timeout"   // WithMessageTimeout
	LimitMalformed       Limit = "malformed"         // WithMalformedLimit
	LimitSendBufferBytes Limit = "send_buffer_bytes" // WithSendBufferBytes
	LimitMemoryBudget    Limit = "memory_budget"     // WithMemoryBudget
	LimitAckTimeout      Limit = "ack_timeout"       // WithAckTimeout
)

// A LimitCollector is a [MetricsCollector] that hears of the limits that peers run into. WithMetrics finds out by
// itself whether a collector is one.
type LimitCollector interface {
	// LimitReached: a limit refused a request, ended a transport, or cost frames that FrameDropped counts one by one.
	// Both IDs are empty for a request that was not upgraded, and for the memory budget.
	//
	// For LimitSendBufferBytes it is called once for a Send that is refused. For broadcasts that are fanned out
	// together it is called once for each member that loses frames to it, whatever number of frames that costs.
	//
	// Called on the goroutine that enforces the limit: the one in ServeHTTP, the readPump, the hub, or the one in Send.
	// The rules for the other hooks hold.
	LimitReached(limit Limit, roomID, connectionID string)
}

// LimitReached does nothing.
func (NoopCollector) LimitReached(_ Limit, _, _ string) {}

// LimitError is the error that OnTransportDrop or OnDisconnect gets when a limit has ended a transport, but for that of
// WithMaxMessageSize: its error wraps websocket.ErrReadLimit.
type LimitError struct {
	Limit  Limit
	Code   int    // of the close frame that the peer got
	Reason string // the same; it names the bound
}

// Error says which bound was reached.
func (e *LimitError) Error() string { return "wspulse: " + e.Reason }

// noSeat is what a peer hears that one of the two limits on connections has refused.
func noSeat(limit Limit) string {
	if limit == LimitConnections {
		return "too many connections for one key (WithConnectionLimit): try again when one has ended"
	}
	return "too many connections (WithMaxConnections): try again when one has ended"
}

// limitReached tells the collector and, once a second for each limit, the log.
func (h *hub) limitReached(limit Limit, roomID, connectionID string, detail zap.Field) (logged bool) {
	if h.cfg.limits != nil {
		h.cfg.limits.LimitReached(limit, roomID, connectionID)
	}
	entry := h.limited.Check(zap.WarnLevel, "wspulse: limit reached: "+string(limit))
	if logged = entry != nil; logged {
		entry.Write(zap.String("connectionID", connectionID), zap.String("roomID", roomID), detail)
	}
	return logged
}

// checkMalformed ends a transport whose peer sends malformed messages faster than it may. A message that is in order
// sets the meter back, so that a peer of which some messages are understood is kept.
func (l *link) checkMalformed() error {
	most := float64(l.hub.cfg.malformedLimit)
	if most == 0 {
		return nil
	}
	if l.malformed == nil {
		l.malformed = &meter{}
	}
	if l.malformed.take(rate{perSecond: most / time.Minute.Seconds(), burst: most - 1}, time.Now()) {
		return nil
	}
	return &LimitError{LimitMalformed, websocket.CloseInvalidFramePayloadData,
		fmt.Sprintf("%.0f malformed messages within a minute (WithMalformedLimit)", most)}
}

// awaitTurn waits until the peer may send another message. What it sends meanwhile waits in the network.
func (l *link) awaitTurn(r rate) error {
	for !l.received.take(r, time.Now()) {
		l.uncork()
		l.worker.PassOn()
		turn := time.NewTimer(l.received.wait(r))
		select {
		case <-turn.C:
		case <-l.v1.interrupted.C():
		case <-l.session.done.C():
		}
		turn.Stop()
		if cause := l.cause.Load(); cause != nil {
			return *cause
		}
		if l.session.ended() {
			return nil // what has come is read to the end
		}
	}
	return nil
}

// checkRate ends a transport whose peer sends more than it may, or lets it wait if it speaks wspulse.v1. A close frame
// is free, and so is a pong that answers a ping.
func (l *link) checkRate(opcode wire.Opcode) error {
	if l.received == nil || opcode == wire.OpClose {
		return nil
	}
	if opcode == wire.OpPong && l.owed.Load() > 0 {
		l.owed.Add(-1)
		return nil
	}
	r := l.hub.cfg.messageRate
	if l.v1 != nil {
		return l.awaitTurn(r)
	}
	if l.received.take(r, time.Now()) {
		return nil
	}
	return &LimitError{LimitMessageRate, websocket.ClosePolicyViolation,
		fmt.Sprintf("more than %v messages a second, after a burst of %.0f (WithMessageRate)", r.perSecond, r.burst)}
}
