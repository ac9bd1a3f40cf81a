package wspulse

import "time"

// DisconnectReason says why a session ended. It is a short lower-case word, fit for a metric label.
type DisconnectReason string

// The reasons for which a session ends.
const (
	DisconnectNormal       DisconnectReason = "normal"        // the peer left or was lost, or Connection.Close
	DisconnectKick         DisconnectReason = "kick"          // Server.Kick
	DisconnectGraceExpired DisconnectReason = "grace_expired" // the resume window passed
	DisconnectExpired      DisconnectReason = "expired"       // the time of Details.Expires or SetExpires came
	DisconnectServerClose  DisconnectReason = "server_close"  // Server.Close
	DisconnectDuplicate    DisconnectReason = "duplicate"     // the same connectionID connected again
	DisconnectMemory       DisconnectReason = "memory"        // suspended, with much to be acknowledged: WithMemoryBudget
	DisconnectCount        DisconnectReason = "count"         // the peer, by wspulse.v1, has counted other messages
)

// MetricsCollector receives what a [Server] measures. Each hook says which goroutine calls it: "hub" is the one
// goroutine that serves all rooms, "readPump" the one that reads from a connection, "writePump" the one that writes to
// it. Both may read and write for many connections, one after the other, and what is sent in OnMessage may be written
// by the goroutine that reads. Hooks of different goroutines run at the same time, so a collector must be safe for
// concurrent use.
//
// Hooks run inline on hot paths. They must be quick (count, do not write to a network), must not panic, and must not
// call back into the same Server or its Connections: the hub would wait for itself.
//
// New hooks may be added. Embed [NoopCollector], so that a collector keeps compiling and implements only what it needs.
// Sizes are in bytes of the encoded frame, without WebSocket headers.
type MetricsCollector interface {
	// ConnectionOpened: a session was opened. Hub.
	ConnectionOpened(roomID, connectionID string)
	// ConnectionClosed: a session ended, after duration, suspensions included. Once for each ConnectionOpened. Hub.
	ConnectionClosed(roomID, connectionID string, duration time.Duration, reason DisconnectReason)
	// ResumeAttempt: a suspended session was resumed, or a connected one taken over; only successes are reported. Hub.
	ResumeAttempt(roomID, connectionID string)
	// RoomCreated: a room got its first member. Hub.
	RoomCreated(roomID string)
	// RoomDestroyed: a room lost its last member. Once for each RoomCreated. Hub.
	RoomDestroyed(roomID string)
	// MessageReceived: a message arrived, not decoded yet. ReadPump.
	MessageReceived(roomID string, sizeBytes int)
	// MessageBroadcast: a frame was queued for fanOut members of a room, suspended ones included. One to all rooms
	// counts in each of them. Hub.
	MessageBroadcast(roomID string, sizeBytes int, fanOut int)
	// MessageSent: a frame was written to the socket. One that is flushed when its session ends counts when the peer's
	// TCP has taken it, where that is known. WritePump; the hub where a peer of wspulse.v1 comes back and has got what
	// was not known to be written.
	MessageSent(roomID, connectionID string, sizeBytes int)
	// FrameDropped: a frame is lost, once for each: refused by a full buffer, pushed out by a newer broadcast or by the
	// memory budget, or not delivered when the session ended. Called on the goroutine that drops it: the hub, the
	// writePump or the one in Send.
	FrameDropped(roomID, connectionID string)
	// SendBufferUtilization: used of capacity frames are queued, after every successful write of frames. WritePump.
	SendBufferUtilization(roomID, connectionID string, used, capacity int)
	// PongTimeout: the peer is given up, since for pongWait after a ping nothing has come from it, no pong and no other
	// byte, nor has its TCP taken anything that gives it more time (see WithHeartbeat). ReadPump.
	PongTimeout(roomID, connectionID string)
}

// NoopCollector implements [MetricsCollector] with hooks that do nothing. It is the default, and made to be embedded.
type NoopCollector struct{}

// ConnectionOpened does nothing.
func (NoopCollector) ConnectionOpened(_, _ string) {}

// ConnectionClosed does nothing.
func (NoopCollector) ConnectionClosed(_, _ string, _ time.Duration, _ DisconnectReason) {}

// ResumeAttempt does nothing.
func (NoopCollector) ResumeAttempt(_, _ string) {}

// RoomCreated does nothing.
func (NoopCollector) RoomCreated(_ string) {}

// RoomDestroyed does nothing.
func (NoopCollector) RoomDestroyed(_ string) {}

// MessageReceived does nothing.
func (NoopCollector) MessageReceived(_ string, _ int) {}

// MessageBroadcast does nothing.
func (NoopCollector) MessageBroadcast(_ string, _, _ int) {}

// MessageSent does nothing.
func (NoopCollector) MessageSent(_, _ string, _ int) {}

// FrameDropped does nothing.
func (NoopCollector) FrameDropped(_, _ string) {}

// SendBufferUtilization does nothing.
func (NoopCollector) SendBufferUtilization(_, _ string, _, _ int) {}

// PongTimeout does nothing.
func (NoopCollector) PongTimeout(_, _ string) {}
