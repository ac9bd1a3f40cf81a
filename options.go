package wspulse

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/wspulse/server/internal/ask"
	"github.com/wspulse/server/internal/wire"
)

// The bounds that the options keep.
const (
	maxPingPeriod     = 5 * time.Minute
	maxPongWait       = 10 * time.Minute
	maxWriteWait      = 30 * time.Second
	maxMessageSizeCap = 64 << 20
	maxSendBufferSize = 4096
	maxTimeout        = time.Hour
)

// ServerOption configures a [Server]. An option checks its values when it is made, and panics with a text that names
// the option and the bound.
type ServerOption func(*serverConfig)

// serverConfig is what the options set. It is read-only once NewServer has applied them.
type serverConfig struct {
	connect            ConnectFunc
	onConnect          func(Connection)
	onMessage          func(Connection, Frame)
	onDisconnect       func(Connection, error)
	onTransportDrop    func(Connection, error)
	onTransportRestore func(Connection)
	onJoin, onLeave    func(c Connection, roomID string)
	presence           func(Connection) any // nil: nobody is told who is there

	pingPeriod      time.Duration
	pongWait        time.Duration
	writeWait       time.Duration
	resumeWindow    time.Duration
	maxMessageSize  int64
	sendBufferSize  int
	readBufferSize  int
	writeBufferSize int

	replyEvent, failureEvent string

	codec         Codec
	controlOpcode wire.Opcode    // of wspulse.v1: the one that codec does not use
	json          bool           // codec is JSONCodec: see setCodec
	deflater      *wire.Deflater // nil: no compression
	logger        *zap.Logger    // writes to logs
	logs          *logQueue
	metrics       MetricsCollector
	limits        LimitCollector           // metrics, if it is one
	lossless      LosslessCollector        // the same, or one that does nothing
	requests      RequestCollector         // the same
	checkOrigin   func(*http.Request) bool // nil: every origin is accepted
	subprotocols  []string                 // of the application, the one it likes best first

	// Of wspulse.v1, but for duplicates.
	ackWindow     ackWindow
	ackTimeout    time.Duration
	duplicates    DuplicatePolicy
	refusalStatus bool

	roomOnResume RoomPolicy

	// Limits; 0 is none, but for the last two.
	maxConnections   int
	connectionKey    func(*http.Request) string
	connectionLimit  int // for each key
	messageRate      rate
	messageTimeout   time.Duration
	handshakeTimeout time.Duration
	malformedLimit   int
	sendBufferBytes  int
	memoryBudget     int64
	maxRooms         int
	maxIDLength      int
}

func defaultConfig(connect ConnectFunc) *serverConfig {
	c := &serverConfig{
		connect:         connect,
		pingPeriod:      10 * time.Second,
		pongWait:        30 * time.Second,
		writeWait:       10 * time.Second,
		maxMessageSize:  512,
		sendBufferSize:  256,
		readBufferSize:  1024,
		writeBufferSize: 1024,
		metrics:         NoopCollector{},
		lossless:        NoopCollector{},
		requests:        NoopCollector{},
		replyEvent:      ask.Reply,
		failureEvent:    ask.Failure,
		ackWindow:       ackWindow{1024, 1 << 20},
		ackTimeout:      2 * time.Minute,
		messageTimeout:  5 * time.Minute,
		malformedLimit:  1000,
		maxRooms:        128,
		maxIDLength:     1 << 10,
	}
	c.setCodec(JSONCodec)
	c.setLogger(zap.NewNop())
	return c
}

// WithOnConnect sets the callback that runs when a session has opened.
//
// For one connection no two callbacks run at once. They run in the order OnConnect, OnMessage…, (OnTransportDrop,
// OnTransportRestore, OnMessage…)…, OnDisconnect; see [WithOnJoin] for those of rooms. None runs on the hub's
// goroutine: a callback may block, and may call any method of Server and Connection.
//
// While one blocks, outbound frames and the server's pings go on. When it has run for some 10 ms, another goroutine
// reads on. So the peer's pings are answered, and its leaving is noticed: its session is suspended or ended then,
// while OnTransportDrop or OnDisconnect waits for the callback. Messages wait in an inbox of WithMaxMessageSize or 4
// KiB, whichever is more. What does not fit waits in the network, and with it the pings behind it.
//
// Default none. nil means none.
func WithOnConnect(fn func(Connection)) ServerOption {
	return func(c *serverConfig) { c.onConnect = fn }
}

// WithOnMessage sets the callback that gets each decoded frame, but not those that reply to a [Connection].Request. The
// next one of that connection follows when it has returned, in the order in which they were sent. See [WithOnConnect]
// for what goes on while it blocks.
//
// A panic in it ends the transport with close code 1011, and reaches OnTransportDrop or OnDisconnect as a
// [*PanicError]. Messages that wait behind it are lost, but with wspulse.v1, where they are given to OnMessage.
//
// Default none. nil means none, and messages are read and discarded.
func WithOnMessage(fn func(Connection, Frame)) ServerOption {
	return func(c *serverConfig) { c.onMessage = fn }
}

// WithOnDisconnect sets the callback that runs when a session has ended, exactly once for each session opened.
//
// The error is nil for a clean end: the peer closed with 1000, 1001 or no status, or the application closed or
// kicked. Otherwise it is the cause: [ErrDuplicateConnectionID], [ErrServerClosed], a [*PanicError], a [*LimitError],
// the peer's close error, the i/o error or the pong timeout. After a resume window has passed it is the error that
// OnTransportDrop got.
//
// A session that was replaced (ErrDuplicateConnectionID) and its successor are two connections with one ID: their
// callbacks may overlap. Compare the Connection values where it matters.
//
// Default none. nil means none.
func WithOnDisconnect(fn func(Connection, error)) ServerOption {
	return func(c *serverConfig) { c.onDisconnect = fn }
}

// WithOnTransportDrop sets the callback that runs when a WebSocket dies and its session is suspended, with the error
// that OnDisconnect would have got; or when another one has taken the session over: [ErrTransportReplaced]. It never
// runs without a resume window. The session is suspended before it runs: while an OnMessage blocks, it waits, and the
// peer may have resumed the session by then.
//
// Default none. nil means none.
func WithOnTransportDrop(fn func(Connection, error)) ServerOption {
	return func(c *serverConfig) { c.onTransportDrop = fn }
}

// WithOnTransportRestore sets the callback that runs when a suspended session has been resumed by a new WebSocket. It
// never runs without a resume window.
//
// Default none. nil means none.
func WithOnTransportRestore(fn func(Connection)) ServerOption {
	return func(c *serverConfig) { c.onTransportRestore = fn }
}

// WithHeartbeat sets how often the server pings (RFC 6455, section 5.5.2), and how long it waits for a sign of life
// before it gives the peer up.
//
// The clock runs from a ping after which nothing has come. Any byte that comes in is life, not only a pong. What the
// peer's TCP takes gives it time, since the ping may stand behind a download: as long as the ping waits behind other
// bytes and the line moves, and a second for each 4 KiB that it took, which a proxy may still hold. A server that
// stood still itself asks again before it cuts. So does one that reads nothing from the peer because too much waits
// behind a callback.
//
// Danger: only Linux says what the peer's TCP has taken. Elsewhere, a download gives time only by writes that had to
// wait for the peer.
//
// Default 10 s and 30 s. pingPeriod must be in (0, 5m]. pongWait must be in (pingPeriod, 10m].
func WithHeartbeat(pingPeriod, pongWait time.Duration) ServerOption {
	if pingPeriod <= 0 || pingPeriod > maxPingPeriod {
		panic(fmt.Sprintf("wspulse: WithHeartbeat: pingPeriod %v is not in (0, %v]", pingPeriod, maxPingPeriod))
	}
	if pongWait <= pingPeriod || pongWait > maxPongWait {
		panic(fmt.Sprintf("wspulse: WithHeartbeat: pongWait %v is not in (pingPeriod %v, %v]",
			pongWait, pingPeriod, maxPongWait))
	}
	return func(c *serverConfig) { c.pingPeriod, c.pongWait = pingPeriod, pongWait }
}

// WithWriteWait sets how long a peer may take less than 4 KiB before a write is cut and its transport given up. A
// write goes on for as long as the peer takes that much in each d: at the default, 410 bytes a second are enough. A
// peer that has just taken a large lump, as proxies do, is given longer for the next one: a second for each 16 KiB of
// the lump, and six times d at the most. Compressing a message does not count.
//
// It is also how long the end of a session may take: to write what is queued and the close frame, and to wait until
// the peer has closed its half. Here the whole counts, however much the peer takes.
//
// Danger: a peer that never reads makes Server.Close take d.
//
// Default 10 s. Must be in (0, 30s].
func WithWriteWait(d time.Duration) ServerOption {
	if d <= 0 || d > maxWriteWait {
		panic(fmt.Sprintf("wspulse: WithWriteWait: %v is not in (0, %v]", d, maxWriteWait))
	}
	return func(c *serverConfig) { c.writeWait = d }
}

// WithSendBufferSize sets how many frames a session queues, connected or suspended. A full buffer refuses a Send, and
// loses its oldest frame to a Broadcast. A frame that is queued costs 8 to 32 bytes for each session, and its own
// size once.
//
// Default 256. Must be in [1, 4096].
func WithSendBufferSize(n int) ServerOption {
	if n < 1 || n > maxSendBufferSize {
		panic(fmt.Sprintf("wspulse: WithSendBufferSize: %d is not in [1, %d]", n, maxSendBufferSize))
	}
	return func(c *serverConfig) { c.sendBufferSize = n }
}

// WithUpgraderBufferSize sets two sizes in bytes: that of the read buffer (256 at least), which a connection borrows
// while something comes in on Linux over plain TCP, and keeps elsewhere; and that of the pooled buffer which it borrows
// while it writes. The latter grows as far as the frames gathered for one write need it. Neither limits the size of
// messages.
//
// Default 1024 and 1024. Both must be positive.
func WithUpgraderBufferSize(readSize, writeSize int) ServerOption {
	if readSize <= 0 {
		panic(fmt.Sprintf("wspulse: WithUpgraderBufferSize: readSize %d is not positive", readSize))
	}
	if writeSize <= 0 {
		panic(fmt.Sprintf("wspulse: WithUpgraderBufferSize: writeSize %d is not positive", writeSize))
	}
	return func(c *serverConfig) { c.readBufferSize, c.writeBufferSize = readSize, writeSize }
}

// WithResumeWindow sets how long a session outlives its WebSocket. A peer that connects with the same connectionID
// within d goes on with the same Connection, and gets what was queued meanwhile. One that speaks wspulse.v1 needs its
// token for that, and gets what it has not acknowledged too. A window that passes while the process stands still is
// given d more, and 5 s at the most: its peer may be there already, and wait for an answer.
//
// Danger: whoever connects with a connectionID gets what is queued for it. ConnectFunc must make sure whose it is.
//
// Default 0: a session ends with its WebSocket. Must not be negative.
func WithResumeWindow(d time.Duration) ServerOption {
	if d < 0 {
		panic(fmt.Sprintf("wspulse: WithResumeWindow: %v is negative", d))
	}
	return func(c *serverConfig) { c.resumeWindow = d }
}

// WithCodec sets the codec of all frames. Messages of either type are given to Decode. Where FrameType is
// [TextMessage], what Encode returns must be UTF-8 (RFC 6455, section 5.6). Send and Broadcast refuse a frame that is
// not, with an error that names the codec, and queue nothing.
//
// Default [JSONCodec]. Must not be nil. Its FrameType must be [TextMessage] or [BinaryMessage].
func WithCodec(codec Codec) ServerOption {
	if codec == nil {
		panic("wspulse: WithCodec: codec must not be nil")
	}
	if t := codec.FrameType(); t != TextMessage && t != BinaryMessage {
		panic(fmt.Sprintf("wspulse: WithCodec: FrameType %d is neither TextMessage (1) nor BinaryMessage (2)", t))
	}
	return func(c *serverConfig) { c.setCodec(codec) }
}

// WithReplyEvents sets the events of replies, for peers that have other names for them: that of a reply, and that of a
// reply which says that the request has failed. Both directions have the same: [Connection].Request waits for them, and
// package rpc replies with them.
//
// Package rpc asks the connection, by a method ReplyEvents() (reply, failure string) that those of this package have. A
// type of yours that stands between the two has to pass it on, or rpc takes the default.
//
// Default "ack" and "error". Neither may be empty, nor both the same.
func WithReplyEvents(reply, failure string) ServerOption {
	if reply == "" || failure == "" || reply == failure {
		panic(fmt.Sprintf("wspulse: WithReplyEvents: %q and %q must not be empty, nor the same", reply, failure))
	}
	return func(c *serverConfig) { c.replyEvent, c.failureEvent = reply, failure }
}

// WithLogger sets where the server logs: Info for start and stop, Warn for what an operator should act on, Debug for
// the life of a connection. Payloads are never logged. Of a request the log holds its Origin and the headers of the
// handshake, but nothing else of its query and its headers. Lines of one cause come once a second, and the next one
// says how many were left out ("suppressed").
//
// Nothing waits for a sink that is slow: up to 1,024 lines are queued for it. What does not fit is left out, and the
// next line says how much that was ("wspulse: log lines lost"). NewServer and Server.Close wait for what they have
// logged to be written, a second at the most.
//
// Danger: lines that are queued when the process ends without Server.Close are lost.
//
// Default zap.NewNop(); see also [WithSlog]. Must not be nil.
func WithLogger(logger *zap.Logger) ServerOption {
	if logger == nil {
		panic("wspulse: WithLogger: logger must not be nil")
	}
	return func(c *serverConfig) { c.setLogger(logger) }
}

// WithMetrics sets the collector of metrics. One that is a [LimitCollector], a [LosslessCollector] or a
// [RequestCollector] hears of those things too.
//
// Default [NoopCollector]. Must not be nil.
func WithMetrics(m MetricsCollector) ServerOption {
	if m == nil {
		panic("wspulse: WithMetrics: collector must not be nil")
	}
	return func(c *serverConfig) {
		c.metrics = m
		c.limits, _ = m.(LimitCollector)
		c.lossless, c.requests = NoopCollector{}, NoopCollector{}
		if lossless, ok := m.(LosslessCollector); ok {
			c.lossless = lossless
		}
		if requests, ok := m.(RequestCollector); ok {
			c.requests = requests
		}
	}
}

// WithCheckOrigin sets the function that accepts or refuses (403) a request by its Origin header, after ConnectFunc,
// such as [SameOrigin] or what [AllowOrigins] returns. The log says which origin came, and which one those two
// expected.
//
// Danger: by default every origin is accepted, so that a page of any site can connect with its visitor's cookies. A
// server that authenticates by cookie must set it. One that does not is warned in the log when it starts.
//
// Default: every origin is accepted. Must not be nil.
func WithCheckOrigin(fn func(*http.Request) bool) ServerOption {
	if fn == nil {
		panic("wspulse: WithCheckOrigin: function must not be nil")
	}
	return func(c *serverConfig) { c.checkOrigin = fn }
}

// WithCompression lets peers negotiate permessage-deflate (RFC 7692), without context takeover: each message is
// compressed by itself, once for all members of a room. level is that of compress/flate, from 1 (fastest) to 9.
// Messages of less than threshold bytes go out as they are. WithMaxMessageSize bounds what a peer's message inflates
// to.
//
// Danger: it costs CPU time, some 6 to 30 microseconds for each KiB of a message.
//
// Danger: whoever sees the length of encrypted messages that mix secrets with what an attacker chooses can guess the
// secrets.
//
// Default: off. level must be in [1, 9]. threshold must not be negative.
func WithCompression(level, threshold int) ServerOption {
	if level < 1 || level > 9 {
		panic(fmt.Sprintf("wspulse: WithCompression: level %d is not in [1, 9]", level))
	}
	if threshold < 0 {
		panic(fmt.Sprintf("wspulse: WithCompression: threshold %d is negative", threshold))
	}
	return func(c *serverConfig) { c.deflater = wire.NewDeflater(level, threshold) }
}

// WithSubprotocols sets the subprotocols (RFC 6455, section 1.9) that the application speaks. The first of names that
// a client offers is selected, and named in the answer. A client that offers none of them is upgraded without one; a
// browser fails the connection then, if it has offered any. A client that offers wspulse.v1 gets that, whatever else it
// offers.
//
// What the messages of a subprotocol look like is the application's part: there is one codec for all of them.
//
// Default none. There must be at least one name. Each must be a token (RFC 9110, section 5.6.2) that comes once and
// does not begin with "wspulse.".
func WithSubprotocols(names ...string) ServerOption {
	if len(names) == 0 {
		panic("wspulse: WithSubprotocols: no names given")
	}
	names = slices.Clone(names)
	for i, name := range names {
		switch {
		case !wire.IsToken(name):
			panic(fmt.Sprintf("wspulse: WithSubprotocols: %q is not a token (RFC 9110, section 5.6.2)", name))
		case strings.HasPrefix(name, "wspulse."):
			panic(fmt.Sprintf("wspulse: WithSubprotocols: %q begins with \"wspulse.\", as the library's own do", name))
		case slices.Contains(names[:i], name):
			panic(fmt.Sprintf("wspulse: WithSubprotocols: %q comes twice", name))
		}
	}
	return func(c *serverConfig) { c.subprotocols = names }
}

// selectSubprotocol returns the one of the application's that a request gets (RFC 6455, section 4.2.2), or "".
func (c *serverConfig) selectSubprotocol(r *http.Request) string {
	if len(c.subprotocols) == 0 {
		return ""
	}
	offered := wire.Elements(r.Header["Sec-Websocket-Protocol"])
	for _, name := range c.subprotocols {
		if slices.Contains(offered, name) {
			return name
		}
	}
	return ""
}
