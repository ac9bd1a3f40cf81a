package wspulse

import (
	"context"
	"net"
	"time"
)

// Connection is a session: one peer, in one room or several. With a resume window it outlives the WebSocket that
// carries it, and stays the same value. All methods may be called from any goroutine, callbacks included, and none but
// Request waits for the peer. Those that change who is where must not be called from the hooks of a [MetricsCollector].
//
// It may gain methods. A fake for a test embeds the interface.
type Connection interface {
	// ID returns the connectionID that ConnectFunc gave, or the UUID made in its place.
	ID() string

	// RoomID returns the session's home: the room that it joined when it opened, for as long as it lives; but see
	// [WithRoomOnResume].
	RoomID() string

	// UserID returns Details.UserID, as the latest ConnectFunc has attached it.
	UserID() string

	// Data returns Details.Data, as the latest ConnectFunc has attached it.
	Data() any

	// RemoteAddr returns the address of the latest WebSocket's other end, which may be a proxy's. See [ClientAddress].
	RemoteAddr() net.Addr

	// Subprotocol returns what the latest handshake has selected: "wspulse.v1", one of WithSubprotocols, or "".
	Subprotocol() string

	// Server returns the server that keeps the session.
	Server() Server

	// Suspended says whether the session waits for its peer to come back.
	Suspended() bool

	// Context returns a context that ends with the session. It has no deadline and no values, and holds nothing of the
	// request.
	Context() context.Context

	// Join puts the session into another room. It gets what is broadcast there from then on, beside what it gets
	// already; a burst in many rooms may need a larger WithSendBufferSize. It returns when that is so. To join a room
	// again does nothing. Errors: ErrTooManyRooms, ErrIDTooLong, ErrConnectionClosed.
	Join(roomID string) error

	// Leave takes the session out of a room. What had been broadcast there is queued before, and nothing comes after
	// Leave has returned but that. Errors: ErrHomeRoom, which only the end of the session leaves; ErrNotInRoom;
	// ErrConnectionClosed.
	Leave(roomID string) error

	// Rooms returns the rooms that the session is in, its home first. It is the last ones when the session has ended.
	Rooms() []string

	// Expires returns when the session will end by itself, and zero for never.
	Expires() time.Time

	// SetExpires changes that: the session ends at t by the wall clock, to a second or so, as Details.Expires says.
	// Zero is never, and a time that has passed is at once. It returns when that is so, and does nothing when the
	// session has ended.
	SetExpires(t time.Time)

	// Send queues a frame for the peer, behind everything the calling goroutine has sent or broadcast before. A nil
	// error means queued, not delivered. Errors: ErrSendBufferFull, the frame is dropped; ErrConnectionClosed, the
	// session has ended; or the codec's error, nothing is queued.
	Send(f Frame) error

	// Request sends a frame as Send does, and waits for the peer's reply: a frame with the same ID, and with the event
	// "ack", or "error" and a payload of {"code","message"} (see WithReplyEvents). f.ID may be empty: an ID is made
	// that no other request of the server has. The first frame that replies counts.
	//
	// It waits until ctx ends, and may be called in a callback, OnMessage of the same connection included. The reply
	// then is not behind the messages that wait for OnMessage, as long as there is room for these (see WithOnConnect):
	// a plain peer that floods the server while OnMessage waits for it gets its reply read when OnMessage returns. So
	// does a peer of wspulse.v1 that has as many messages under way as it may (256): it may not send the reply before
	// OnMessage returns. With a resume window a request outlives its WebSocket. What is lost on the way without
	// wspulse.v1, or dropped by a full buffer, is not sent again: let ctx have a deadline.
	//
	// Errors: context.Cause(ctx); ErrConnectionClosed, the session has ended; a *ReplyError, beside which the frame is
	// returned too; one that says that a request with f.ID is under way; or Send's.
	//
	// From the first Request of a server on, its peers' frames with these events and an ID are replies. OnMessage gets
	// none of them any more; those that no request waits for are ignored and counted (see RequestCollector).
	Request(ctx context.Context, f Frame) (Frame, error)

	// Close ends the session, suspended or not: what is queued is written within writeWait, then a close frame (1000).
	// It returns when the session is out of its rooms and Done is closed, before the peer has read anything. It always
	// returns nil, also when the session had ended before.
	Close() error

	// CloseWith is Close with another close code, 1000 or in [3000, 4999] (RFC 6455, section 7.4.2), and a reason, of
	// 123 bytes of UTF-8 at the most, that the peer reads. The error says what is wrong with these; nothing is done
	// then.
	CloseWith(code int, reason string) error

	// Done returns a channel that is closed when the session has ended. OnDisconnect may run later than that.
	Done() <-chan struct{}
}
