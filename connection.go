package wspulse

import "context"

// Connection is a session: one peer, in one room. With a resume window it outlives the WebSocket that carries it, and
// stays the same value. All methods may be called from any goroutine, callbacks included, and none but Request waits for
// the peer.
//
// Server and Connection may gain methods: a fake embeds the interface.
type Connection interface {
	// ID returns the connectionID that ConnectFunc gave, or the UUID made in its place.
	ID() string

	// RoomID returns the room that the session joined when it opened.
	RoomID() string

	// Send queues a frame for the peer, behind everything the calling goroutine has sent or broadcast before. A nil error
	// means queued, not delivered. Errors: ErrSendBufferFull, the frame is dropped; ErrConnectionClosed, the session
	// has ended; or the codec's error, nothing is queued.
	Send(f Frame) error

	// Request sends a frame as Send does, and waits for the peer's reply: a frame with the same ID, and with the event
	// "ack", or "error" and a payload of {"code","message"} (see WithReplyEvents). f.ID may be empty: an ID is made that no
	// other request of the server has. The first frame that replies counts.
	//
	// It waits until ctx ends, and may be called in a callback, OnMessage of the same connection included. The reply then
	// is not behind the messages that wait for OnMessage, as long as there is room for these (see WithOnConnect): a plain
	// peer that floods the server while OnMessage waits for it gets its reply read when OnMessage returns. With a resume
	// window a request outlives its WebSocket. What is lost on the way without wspulse.v1, or dropped by a full buffer, is
	// not sent again: let ctx have a deadline.
	//
	// Errors: context.Cause(ctx); ErrConnectionClosed, the session has ended; a *ReplyError, beside which the frame is
	// returned too; one that says that a request with f.ID is under way; or Send's.
	//
	// From the first Request of a server on, its peers' frames with these events and an ID are replies. OnMessage gets
	// none of them any more; those that no request waits for are ignored and counted (see RequestCollector).
	Request(ctx context.Context, f Frame) (Frame, error)

	// Close ends the session, suspended or not: what is queued is written within writeWait, then a close frame (1000). It
	// returns when the session is out of its room and Done is closed, before the peer has read anything. It always
	// returns nil, also when the session had ended before.
	Close() error

	// Done returns a channel that is closed when the session has ended. OnDisconnect may run later than that.
	Done() <-chan struct{}
}
