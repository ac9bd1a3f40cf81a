package wspulse

import (
	"fmt"
	"math"
	"net/http"
	"time"
)

// WithMaxMessageSize sets the largest message that a peer may send, in bytes, after inflating. A larger one ends the
// transport with close code 1009.
//
// Danger: each peer can make the server hold what has come of a message, with a quarter or 12 KiB of room for more
// and never more than the limit (and 1 KiB; a compressed one up to a seventh more), for as long as it takes to come
// in; twice its size from when it is whole until OnMessage has returned; and once more, or 4 KiB, in messages that
// wait while a callback takes long. A peer that speaks wspulse.v1 may have 256 such messages wait, but no more than 16
// MiB of them, or 16 messages. WithMemoryBudget does not count any of that.
//
// Default 512. Must be in [1, 64 MiB].
func WithMaxMessageSize(n int64) ServerOption {
	if n < 1 || n > maxMessageSizeCap {
		panic(fmt.Sprintf("wspulse: WithMaxMessageSize: %d is not in [1, %d]", n, maxMessageSizeCap))
	}
	return func(c *serverConfig) { c.maxMessageSize = n }
}

// WithMaxConnections sets how many sessions there may be, suspended ones included. A request for one more is answered
// 503 with Retry-After, after ConnectFunc and before the upgrade. A seat is free when the last callback of its
// session has returned. One that is replaced keeps its seat until then.
//
// A request that is to resume or replace a session is upgraded without a seat. It ends with close code 1013 if it
// needs one then and none is free. The seat of a session that it replaces counts as free, unless a callback of that
// session runs. What has ended may keep its socket for writeWait.
//
// Danger: anybody who can connect can use up the whole number. See [WithConnectionLimit].
//
// Default 0: no limit. Must not be negative.
func WithMaxConnections(n int) ServerOption {
	notNegative("WithMaxConnections", n)
	return func(c *serverConfig) { c.maxConnections = n }
}

// WithConnectionLimit sets how many sessions there may be for each key, suspended ones included: for each address,
// user or tenant, as key says for a request. An empty key has no limit. One session more is answered 429 with
// Retry-After, after ConnectFunc and before the upgrade. A seat is free when the last callback of its session has
// returned. One that is replaced keeps its seat until then.
//
// A session that is resumed keeps its key. A request that is to replace a session needs a seat of its own key once it
// has been upgraded. Without one its WebSocket ends with close code 1013, and the session goes on.
//
// key runs on the request's goroutine, after ConnectFunc. A panic in it answers 500.
//
// Danger: behind a proxy all requests have the proxy's address; see [ClientAddress].
//
// Default: no limit. key must not be nil. n must be positive.
func WithConnectionLimit(key func(*http.Request) string, n int) ServerOption {
	if key == nil {
		panic("wspulse: WithConnectionLimit: key must not be nil")
	}
	if n <= 0 {
		panic(fmt.Sprintf("wspulse: WithConnectionLimit: %d is not positive", n))
	}
	return func(c *serverConfig) { c.connectionKey, c.connectionLimit = key, n }
}

// WithMessageRate sets how many messages a peer may send: perSecond in the long run, and burst of them at once. One
// more ends the transport with close code 1008 and a [*LimitError]. The count begins anew with each WebSocket. A peer
// that speaks wspulse.v1 is not cut: reading waits until it may send again, so that what it sends anew after a drop
// costs it nothing.
//
// Pings count as messages, and so do pongs that answer none of the server's pings. Close frames do not. What waited
// while a callback ran is not held against the peer.
//
// Danger: a peer whose messages were held up on the way sends them as a burst. Be generous.
//
// Default: no limit. perSecond must be positive and finite. burst must be at least 1.
func WithMessageRate(perSecond float64, burst int) ServerOption {
	if !(perSecond > 0 && perSecond <= math.MaxFloat64) {
		panic(fmt.Sprintf("wspulse: WithMessageRate: perSecond %v is not positive and finite", perSecond))
	}
	if burst < 1 {
		panic(fmt.Sprintf("wspulse: WithMessageRate: burst %d is less than 1", burst))
	}
	return func(c *serverConfig) { c.messageRate = rate{perSecond, float64(burst)} }
}

// WithMessageTimeout sets how long one message may take to come in, from when a part of it is there, however alive
// the peer is meanwhile. After that the transport ends with close code 1008 and a [*LimitError].
//
// Danger: a large message over a slow line takes its time. Without a limit, a peer that sends a byte now and then
// stays for ever.
//
// Default 5 m; 0 is no limit. Must be in [0, 1h].
func WithMessageTimeout(d time.Duration) ServerOption {
	if d < 0 || d > maxTimeout {
		panic(fmt.Sprintf("wspulse: WithMessageTimeout: %v is not in [0, %v]", d, maxTimeout))
	}
	return func(c *serverConfig) { c.messageTimeout = d }
}

// WithHandshakeTimeout sets how long the opening handshake may take, from the call of ServeHTTP on. The context of
// the request that ConnectFunc gets ends then, and the request is answered 503 with Retry-After. Reading the request
// is net/http's part: set http.Server.ReadHeaderTimeout as well.
//
// Default 0: no limit but that the answer is written within writeWait. Must be in [0, 1h].
func WithHandshakeTimeout(d time.Duration) ServerOption {
	if d < 0 || d > maxTimeout {
		panic(fmt.Sprintf("wspulse: WithHandshakeTimeout: %v is not in [0, %v]", d, maxTimeout))
	}
	return func(c *serverConfig) { c.handshakeTimeout = d }
}

// WithMalformedLimit sets how many messages within a minute may be refused by the codec, without one between them
// that is in order. The last of them ends the transport with close code 1007 and a [*LimitError]. A peer that sends
// fewer a minute, such as a keep-alive that is no frame, goes on for ever.
//
// Danger: a low number cuts peers that send what only a later version of the program understands.
//
// Default 1000; 0 is no limit. Must not be negative.
func WithMalformedLimit(n int) ServerOption {
	notNegative("WithMalformedLimit", n)
	return func(c *serverConfig) { c.malformedLimit = n }
}

// WithSendBufferBytes sets how many bytes, headers included, may be queued for one session, beside the number of
// frames that WithSendBufferSize sets. The rules are the same: Send is refused with ErrSendBufferFull, and a
// Broadcast drops the oldest frames. A frame that is larger than n is dropped itself.
//
// Danger: n must hold the largest frame that you send.
//
// Default 0: no limit. Must not be negative.
func WithSendBufferBytes(n int) ServerOption {
	notNegative("WithSendBufferBytes", n)
	return func(c *serverConfig) { c.sendBufferBytes = n }
}

// WithMemoryBudget sets how many bytes may be queued for all sessions together, headers included. A frame that waits
// in many queues counts in each. When there are more, the largest queues lose their oldest frames until an eighth of
// the budget is free, and FrameDropped counts them. That happens a moment after the frame that was too much.
//
// What a socket does not take goes back to its queue, but for the one message that has begun. That is counted too,
// but can't be dropped: other frames of its session, and of those that hold as much, are dropped in its place.
// What is kept for a peer that speaks wspulse.v1 until it acknowledges counts, and can't be dropped either: where
// dropping the rest is not enough, the suspended sessions that hold most of it end (DisconnectMemory).
// Over TLS, up to 16 KiB and the frame that goes over it are held for a peer that does not read, and are not counted.
// Nor is what a session that has ended still writes, nor what waits in a room to be fanned out.
//
// Danger: a Broadcast to a large room counts its frame once for each member until their write pumps have taken it.
//
// Default 0: no limit. Must not be negative.
func WithMemoryBudget(n int64) ServerOption {
	notNegative("WithMemoryBudget", n)
	return func(c *serverConfig) { c.memoryBudget = n }
}

func notNegative[T int | int64](option string, n T) {
	if n < 0 {
		panic(fmt.Sprintf("wspulse: %s: %d is negative", option, n))
	}
}
