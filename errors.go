package wspulse

import (
	"errors"
	"fmt"

	core "github.com/wspulse/core"
)

// The errors that callers branch on, with errors.Is.
var (
	// ErrConnectionNotFound is returned by [Server].Send and [Server].Kick for a connectionID that has no session.
	ErrConnectionNotFound = errors.New("wspulse: connection not found")

	// ErrDuplicateConnectionID is given to OnDisconnect when another peer connected with the same connectionID.
	ErrDuplicateConnectionID = errors.New("wspulse: kicked: duplicate connection ID")

	// ErrServerClosed is returned by [Server].Broadcast and [Server].Kick after Close, and given to OnDisconnect by
	// Close.
	ErrServerClosed = errors.New("wspulse: server is closed")

	// ErrTransportReplaced is given to OnTransportDrop when the peer has come back by another transport before the old
	// one was known to be dead. OnTransportRestore follows.
	ErrTransportReplaced = errors.New("wspulse: another transport has taken the session over")

	// ErrTooManyRooms is returned by [Connection].Join for a session that is in as many rooms as WithMaxRooms allows.
	ErrTooManyRooms = errors.New("wspulse: too many rooms")

	// ErrNotInRoom is returned by [Connection].Leave for a room that the session is not in.
	ErrNotInRoom = errors.New("wspulse: the session is not in that room")

	// ErrHomeRoom is returned by [Connection].Leave for the room that the session opened in.
	ErrHomeRoom = errors.New("wspulse: a session leaves its home only by ending")

	// ErrIDTooLong is returned by [Connection].Join for a roomID of more bytes than WithMaxIDLength allows.
	ErrIDTooLong = errors.New("wspulse: ID too long")

	// ErrSessionExpired is given to OnDisconnect when the time of Details.Expires or SetExpires has come.
	ErrSessionExpired = errors.New("wspulse: the session has expired")

	// ErrConnectionClosed is returned by the methods of [Connection] when the session has ended.
	ErrConnectionClosed = core.ErrConnectionClosed

	// ErrSendBufferFull is returned by [Connection].Send and [Server].Send when the session's send buffer is full. The
	// frame is dropped; nothing that was queued before it is.
	ErrSendBufferFull = core.ErrSendBufferFull
)

// PanicError is the error that OnTransportDrop or OnDisconnect gets when OnMessage, or the decoding of a message,
// panicked.
type PanicError struct {
	Value any    // what was passed to panic
	Stack []byte // the stack of the goroutine that panicked, as debug.Stack formats it
}

// Error says what was passed to panic. It leaves the stack out.
func (e *PanicError) Error() string {
	return fmt.Sprintf("wspulse: onMessage panic: %v", e.Value)
}
