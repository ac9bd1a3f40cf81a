package wspulse

// Connection is a session: one peer, in one room. With a resume window it outlives the WebSocket that carries it, and
// stays the same value. All methods may be called from any goroutine, callbacks included, and never wait for the peer.
type Connection interface {
	// ID returns the connectionID that ConnectFunc gave, or the UUID made in its place.
	ID() string

	// RoomID returns the room that the session joined when it opened.
	RoomID() string

	// Send queues a frame for the peer, behind everything the calling goroutine has sent or broadcast before. A nil error
	// means queued, not delivered. Errors: ErrSendBufferFull, the frame is dropped; ErrConnectionClosed, the session
	// has ended; or the codec's error, nothing is queued.
	Send(f Frame) error

	// Close ends the session, suspended or not: what is queued is written within writeWait, then a close frame (1000). It
	// returns when the session is out of its room and Done is closed, before the peer has read anything. It always
	// returns nil, also when the session had ended before.
	Close() error

	// Done returns a channel that is closed when the session has ended. OnDisconnect may run later than that.
	Done() <-chan struct{}
}
