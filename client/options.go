package client

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"

	core "github.com/wspulse/core"
	"github.com/wspulse/server/internal/ask"
	"github.com/wspulse/server/internal/control"
)

// The bounds that the options keep.
const (
	maxSendBuffer  = 1 << 20
	maxMessageSize = 64 << 20
	maxBackoff     = time.Hour
	maxHeartbeat   = 10 * time.Minute
)

// Frame is the unit that servers and clients exchange.
type Frame = core.Frame

// Codec turns frames into WebSocket messages and back. Its methods are called from several goroutines at once.
type Codec = core.Codec

// Option configures a Client. An option checks its values when it is made, and panics with a text that names the option
// and the bound.
type Option func(*config)

// config is what the options set. It is read-only once Dial has applied them.
type config struct {
	url       func() (string, error)
	header    func() (http.Header, error)
	protocols func() ([]string, error)
	dial      func(ctx context.Context, network, addr string) (net.Conn, error)
	tls       *tls.Config

	onMessage          func(Client, Frame)
	onGap              func(Client, int)
	onTransportDrop    func(Client, error)
	onTransportRestore func(Client)
	onSessionLost      func(Client, Lost)
	onPresence         func(Client, Presence)
	onDisconnect       func(Client, error)
	handlers           map[string]func(Client, Frame) (any, error) // of requests, by event

	replyEvent, failureEvent string

	codec          Codec
	frameType      int  // of the codec's messages
	controlType    int  // of control messages: the one that the codec does not use
	plain          bool // without wspulse.v1
	compression    bool
	heartbeat      time.Duration // 0: what the server says
	maxMessageSize int64
	sendBuffer     int
	logger         *zap.Logger

	retries   int // without a good session between; negative: unlimited
	base, cap time.Duration
	jitter    float64
}

func defaultConfig(url string) *config {
	c := &config{
		url:            func() (string, error) { return url, nil },
		header:         func() (http.Header, error) { return nil, nil },
		protocols:      func() ([]string, error) { return nil, nil },
		dial:           (&net.Dialer{}).DialContext,
		maxMessageSize: 1 << 20,
		sendBuffer:     256,
		logger:         zap.NewNop(),
		replyEvent:     ask.Reply,
		failureEvent:   ask.Failure,
		handlers:       make(map[string]func(Client, Frame) (any, error)),
		retries:        -1,
		base:           500 * time.Millisecond,
		cap:            30 * time.Second,
		jitter:         1,
	}
	c.setCodec(core.JSONCodec)
	return c
}

func (c *config) setCodec(codec Codec) {
	c.codec, c.frameType = codec, codec.FrameType()
	c.controlType = control.TypeBeside(c.frameType)
}

// WithOnMessage sets the callback that gets each frame. A panic in it is logged, and the message counts as processed:
// it does not come again.
//
// Default none: messages are counted and discarded.
func WithOnMessage(fn func(c Client, f Frame)) Option {
	return func(c *config) { c.onMessage = fn }
}

// WithRequestHandler sets what handles the server's requests of one event, in the place of OnMessage, and in order with
// that. A request with an ID is replied to with the JSON of what fn returns. An error is the reply {"code","message"}:
// a [*ReplyError] as it is, and any other as "internal", without its text, which is logged. So is a panic, which counts
// as one of OnMessage otherwise. Where a request has no ID nobody waits for a reply, and none is sent.
//
// Each event has one handler, that of the last option for it. Default none: requests are messages like others. event
// must not be empty, nor fn nil.
func WithRequestHandler(event string, fn func(c Client, f Frame) (any, error)) Option {
	if event == "" || fn == nil {
		panic("wspulse: client: WithRequestHandler: event must not be empty, nor fn nil")
	}
	return func(c *config) { c.handlers[event] = fn }
}

// WithReplyEvents sets the events of replies, of both directions: that of a reply, and that of a reply which says that
// the request has failed. They must be the server's.
//
// Default "ack" and "error". Neither may be empty, nor both the same.
func WithReplyEvents(reply, failure string) Option {
	if reply == "" || failure == "" || reply == failure {
		panic(fmt.Sprintf("wspulse: client: WithReplyEvents: %q and %q must not be empty, nor the same", reply, failure))
	}
	return func(c *config) { c.replyEvent, c.failureEvent = reply, failure }
}

// WithOnGap sets the callback that is told that the server had to drop n messages, which stood between the OnMessage
// before it and the one after it.
//
// Default none.
func WithOnGap(fn func(c Client, n int)) Option {
	return func(c *config) { c.onGap = fn }
}

// WithOnTransportDrop sets the callback that runs when the connection is lost and the client will try to come back.
//
// Default none.
func WithOnTransportDrop(fn func(c Client, err error)) Option {
	return func(c *config) { c.onTransportDrop = fn }
}

// WithOnTransportRestore sets the callback that runs when the client has come back.
//
// Default none.
func WithOnTransportRestore(fn func(c Client)) Option {
	return func(c *config) { c.onTransportRestore = fn }
}

// Lost is what an application is told when its session did not survive a drop.
type Lost struct {
	// Reason says why: "expired", "kicked", "closed", "memory", "duplicate", "token", "identity" or "count", as the
	// server says; "dropped" where the server keeps no sessions; or "network" where the client has given up.
	Reason string
	// Unprocessed are the messages that the server's application has not processed, in the order of their Send. They
	// are not sent again: only the application knows whether that makes sense. One that the application was busy with
	// when the session ended may be among them, and, where the server remembers nothing of the session, one that it has
	// processed.
	Unprocessed []Frame
}

// WithOnSessionLost sets the callback that runs when the client has come back to a new session, since the old one was
// gone: what the server had for it is lost, and so is what Unprocessed lists. It runs before OnTransportRestore.
// Messages that had not been sent at all are sent in the new session.
//
// It also runs before OnDisconnect, where the client ends in another way than by Close and has something pending: all
// of it, sent or not, is listed then.
//
// Default none.
func WithOnSessionLost(fn func(c Client, lost Lost)) Option {
	return func(c *config) { c.onSessionLost = fn }
}

// WithOnDisconnect sets the callback that runs last, exactly once. The error is nil after Close; otherwise a
// [*RefusedError], or the error of the last attempt to come back.
//
// Default none.
func WithOnDisconnect(fn func(c Client, err error)) Option {
	return func(c *config) { c.onDisconnect = fn }
}

// WithReconnect sets how often the client tries to come back after a drop, and how long it waits before each attempt: a
// random time of up to base before the first, and of up to twice that with each that fails, but not more than limit.
// The count begins anew after 5 s of a session. Where the server says when to come back, that counts; and where it
// finds the client unauthorized, the first attempt after that comes at once, with what the functions return then.
//
// Default -1, which is without end, 500 ms and 30 s; 0 retries is not at all. base must be in (0, limit], limit at most
// 1h.
func WithReconnect(retries int, base, limit time.Duration) Option {
	if base <= 0 || limit < base || limit > maxBackoff {
		panic(fmt.Sprintf("wspulse: client: WithReconnect: base %v is not in (0, limit %v], or limit not in (0, %v]",
			base, limit, maxBackoff))
	}
	return func(c *config) { c.retries, c.base, c.cap = retries, base, limit }
}

// WithJitter sets how much of the wait before an attempt is chance: 1 is all of it, 0 is none. Many
// clients that lose one server at the same moment come back at the same moment without it.
//
// Default 1. Must be in [0, 1].
func WithJitter(share float64) Option {
	if !(share >= 0 && share <= 1) {
		panic(fmt.Sprintf("wspulse: client: WithJitter: %v is not in [0, 1]", share))
	}
	return func(c *config) { c.jitter = share }
}

// WithHeartbeat sets how often something is expected from the server: the connection is given up when nothing has come
// for two and a half times as long.
//
// Default what the server says; without wspulse.v1, not at all. Must be in (0, 10m].
func WithHeartbeat(d time.Duration) Option {
	if d <= 0 || d > maxHeartbeat {
		panic(fmt.Sprintf("wspulse: client: WithHeartbeat: %v is not in (0, %v]", d, maxHeartbeat))
	}
	return func(c *config) { c.heartbeat = d }
}

// WithCodec sets the codec of all frames. It must be the server's.
//
// Default JSONCodec of package core. Must not be nil, and its FrameType TextMessage or BinaryMessage.
func WithCodec(codec Codec) Option {
	if codec == nil {
		panic("wspulse: client: WithCodec: codec must not be nil")
	}
	if t := codec.FrameType(); t != core.TextMessage && t != core.BinaryMessage {
		panic(fmt.Sprintf("wspulse: client: WithCodec: FrameType %d is neither TextMessage (1) nor BinaryMessage (2)", t))
	}
	return func(c *config) { c.setCodec(codec) }
}

// WithHeader sets a function that returns headers of the upgrade request: Authorization, Cookie, Origin. It is called
// for each dial, since tokens expire, on the goroutine of Dial and later on the client's. An error, or a panic of a
// later call, counts as a dial that failed.
//
// Default none. Must not be nil.
func WithHeader(fn func() (http.Header, error)) Option {
	if fn == nil {
		panic("wspulse: client: WithHeader: fn must not be nil")
	}
	return func(c *config) { c.header = fn }
}

// WithURL sets a function that returns the URL in the place of the one that Dial was given. See WithHeader.
//
// Default that one. Must not be nil.
func WithURL(fn func() (string, error)) Option {
	if fn == nil {
		panic("wspulse: client: WithURL: fn must not be nil")
	}
	return func(c *config) { c.url = fn }
}

// WithProtocols sets a function that returns subprotocols to be offered beside wspulse.v1, which the server's
// ConnectFunc finds in Sec-WebSocket-Protocol. See WithHeader.
//
// Default none. Must not be nil.
func WithProtocols(fn func() ([]string, error)) Option {
	if fn == nil {
		panic("wspulse: client: WithProtocols: fn must not be nil")
	}
	return func(c *config) { c.protocols = fn }
}

// WithMaxMessageSize sets how large a message from the server may be, in bytes. A larger one ends the connection,
// counts as a gap, and does not come again.
//
// Default 1 MiB. Must be in [1, 64 MiB].
func WithMaxMessageSize(n int64) Option {
	if n < 1 || n > maxMessageSize {
		panic(fmt.Sprintf("wspulse: client: WithMaxMessageSize: %d is not in [1, %d]", n, maxMessageSize))
	}
	return func(c *config) { c.maxMessageSize = n }
}

// WithSendBuffer sets how many messages may wait to be sent: while the client is not connected, or has sent as many as
// the server lets it without an acknowledgement. Those that have been sent and not acknowledged do not count.
//
// Default 256. Must be in [1, 1048576].
func WithSendBuffer(n int) Option {
	if n < 1 || n > maxSendBuffer {
		panic(fmt.Sprintf("wspulse: client: WithSendBuffer: %d is not in [1, %d]", n, maxSendBuffer))
	}
	return func(c *config) { c.sendBuffer = n }
}

// WithLogger sets where the client logs drops, attempts to come back, and panics of callbacks.
//
// Default none. Must not be nil.
func WithLogger(l *zap.Logger) Option {
	if l == nil {
		panic("wspulse: client: WithLogger: logger must not be nil")
	}
	return func(c *config) { c.logger = l }
}

// WithTLSConfig sets the TLS configuration of wss URLs. It is not changed.
//
// Default that of package tls.
func WithTLSConfig(t *tls.Config) Option {
	return func(c *config) { c.tls = t }
}

// WithDialer sets how the TCP connection is made: through a proxy, or in a test. ctx ends when the attempt does.
//
// Default net.Dialer. Must not be nil.
func WithDialer(fn func(ctx context.Context, network, addr string) (net.Conn, error)) Option {
	if fn == nil {
		panic("wspulse: client: WithDialer: fn must not be nil")
	}
	return func(c *config) { c.dial = fn }
}

// WithCompression offers permessage-deflate (RFC 7692). Messages are compressed if the server takes it up.
//
// Default off.
func WithCompression() Option {
	return func(c *config) { c.compression = true }
}

// WithoutProtocol does not offer wspulse.v1: for servers that do not know it. Nothing is acknowledged then: what was
// under way when a connection broke may be lost, or come twice, and nobody is told.
//
// Default off.
func WithoutProtocol() Option {
	return func(c *config) { c.plain = true }
}
