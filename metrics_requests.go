package wspulse

import "time"

// A RequestCollector is a [MetricsCollector] that hears of requests. WithMetrics finds out by itself whether a
// collector is one. The rules for the other hooks hold.
type RequestCollector interface {
	// RequestDone: a Request is about to return, after duration. result is "reply"; "error", the peer's; "timeout" or
	// "canceled", by its context; "closed", since the session has ended; or "unsent", since the frame could not be
	// queued. On the goroutine that called Request.
	RequestDone(roomID, connectionID, result string, duration time.Duration)
	// ReplyIgnored: a reply came that no Request waits for: for the second time, too late, or to a request that this
	// session has not made. ReadPump.
	ReplyIgnored(roomID, connectionID string)
}

// RequestDone does nothing.
func (NoopCollector) RequestDone(_, _, _ string, _ time.Duration) {}

// ReplyIgnored does nothing.
func (NoopCollector) ReplyIgnored(_, _ string) {}
