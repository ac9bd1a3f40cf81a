package wspulse

import "errors"

// Errors of sending, the same for servers and clients. Test for them with
// [errors.Is].
var (
	// ErrConnectionClosed reports a frame sent on a connection that has
	// ended. The frame is not sent, and none will be on that connection.
	ErrConnectionClosed = errors.New("wspulse: connection is closed")

	// ErrSendBufferFull reports a frame dropped because the peer reads more
	// slowly than frames are sent. The connection lives; a later frame may
	// find room.
	ErrSendBufferFull = errors.New("wspulse: send buffer full, frame dropped")
)
