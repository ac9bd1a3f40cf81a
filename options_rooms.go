package wspulse

import "fmt"

// The options of rooms and of who is in them.

// The bounds that they keep.
const (
	maxMaxRooms    = 65_536
	maxMaxIDLength = 64 << 10
)

// WithOnJoin sets the callback that runs when a session has joined a room: its home and those of Details.Rooms when it
// opens, behind OnConnect; and others behind Connection.Join, in the order of the connection's other callbacks: behind
// those that run or are queued, before the next OnMessage of a peer that is connected. Join does not wait for it.
//
// Default none. nil means none.
func WithOnJoin(fn func(c Connection, roomID string)) ServerOption {
	return func(c *serverConfig) { c.onJoin = fn }
}

// WithOnLeave sets the callback that runs when a session has left a room, once for each OnJoin: behind
// Connection.Leave, as OnJoin behind Join; and for all that are left, the home last, before OnDisconnect.
//
// Default none. nil means none.
func WithOnLeave(fn func(c Connection, roomID string)) ServerOption {
	return func(c *serverConfig) { c.onLeave = fn }
}

// WithMaxRooms sets how many rooms a session may be in at a time, its home among them.
//
// Default 128. Must be in [1, 65536].
func WithMaxRooms(n int) ServerOption {
	if n < 1 || n > maxMaxRooms {
		panic(fmt.Sprintf("wspulse: WithMaxRooms: %d is not in [1, %d]", n, maxMaxRooms))
	}
	return func(c *serverConfig) { c.maxRooms = n }
}

// WithMaxIDLength sets how many bytes a roomID, a connectionID and a UserID may have. They may be any bytes. A request
// for which ConnectFunc returns a longer one is answered 400 (close code 4400 with wspulse.v1), and Join refuses one
// with ErrIDTooLong.
//
// Default 1024. Must be in [1, 65536].
func WithMaxIDLength(n int) ServerOption {
	if n < 1 || n > maxMaxIDLength {
		panic(fmt.Sprintf("wspulse: WithMaxIDLength: %d is not in [1, %d]", n, maxMaxIDLength))
	}
	return func(c *serverConfig) { c.maxIDLength = n }
}

// A RoomPolicy says what happens when ConnectFunc names another room for a session that is resumed than its home.
type RoomPolicy int

// The room policies.
const (
	// KeepRoom resumes the session in the room that it is in. The log says so, as a Warn.
	KeepRoom RoomPolicy = iota
	// FollowRoom resumes the session, and moves its home: OnLeave for the old one and OnJoin for the new one run behind
	// OnTransportRestore. What was broadcast in the old one before is delivered.
	FollowRoom
	// NewSession ends the session as one whose connectionID has connected again, and opens another one.
	NewSession
)

// WithRoomOnResume sets what happens when ConnectFunc names another room for a session that is resumed.
//
// Default KeepRoom. Must be one of the three.
func WithRoomOnResume(p RoomPolicy) ServerOption {
	if p < KeepRoom || p > NewSession {
		panic(fmt.Sprintf("wspulse: WithRoomOnResume: %d is none of KeepRoom, FollowRoom and NewSession", p))
	}
	return func(c *serverConfig) { c.roomOnResume = p }
}
