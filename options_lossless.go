package wspulse

import (
	"fmt"
	"time"
)

// The options of wspulse.v1. A peer chooses to speak it, and docs/protocol.md says how; without it, only
// WithDuplicatePolicy changes anything.

const (
	maxAckFrames  = 65_536
	maxAckBytes   = 1 << 30
	minAckTimeout = time.Second
)

// WithAckWindow sets how much may be sent to a session and not acknowledged, in messages and in bytes, headers
// included. It is kept for the peer that comes back. When it is full, sending waits for an acknowledgement, and what is
// queued behind it is subject to [WithSendBufferSize]. A message that begins within the window is sent, however large.
//
// Danger: each session whose peer is gone, or acknowledges nothing, may hold that many bytes; see [WithMemoryBudget].
// A window that is smaller than what a peer takes in a second and a round trip slows it down.
//
// Default 1024 messages and 1 MiB. frames must be in [1, 65536], bytes in [1, 1 GiB].
func WithAckWindow(frames, bytes int) ServerOption {
	if frames < 1 || frames > maxAckFrames {
		panic(fmt.Sprintf("wspulse: WithAckWindow: frames %d is not in [1, %d]", frames, maxAckFrames))
	}
	if bytes < 1 || bytes > maxAckBytes {
		panic(fmt.Sprintf("wspulse: WithAckWindow: bytes %d is not in [1, %d]", bytes, maxAckBytes))
	}
	return func(c *serverConfig) { c.ackWindow = ackWindow{frames, bytes} }
}

// WithAckTimeout sets how long something may be sent and nothing acknowledged before the transport is cut with close
// code 1008 and a [*LimitError]. The session is suspended: a page that is frozen, and whose browser answers pings,
// holds it no longer than that and the resume window. It is looked at with each ping.
//
// Danger: browsers slow the timers of hidden pages to one a minute; a shorter time cuts them.
//
// Default 2 min; 0 is no limit. Must be 0 or in [1s, 1h].
func WithAckTimeout(d time.Duration) ServerOption {
	if d != 0 && (d < minAckTimeout || d > maxTimeout) {
		panic(fmt.Sprintf("wspulse: WithAckTimeout: %v is neither 0 nor in [%v, %v]", d, minAckTimeout, maxTimeout))
	}
	return func(c *serverConfig) { c.ackTimeout = d }
}

// A DuplicatePolicy says what happens when a peer connects with the connectionID of a session that is connected.
type DuplicatePolicy int

// The duplicate policies.
const (
	// Replace ends the session that is there with close code 1000 and ErrDuplicateConnectionID, and opens a new one.
	Replace DuplicatePolicy = iota
	// Resume gives the session to the new transport: OnTransportDrop gets ErrTransportReplaced, and OnTransportRestore
	// follows. Frames that were being written may be lost, or come twice. A peer that speaks wspulse.v1 takes its
	// session over by its token alone: without one, or where only one of the two speaks it, Resume is Replace. So it is
	// without a resume window.
	Resume
	// Reject refuses the newcomer: 409, or close code 4409 where it has been upgraded already.
	Reject
)

// WithDuplicatePolicy sets what happens when a peer connects with the connectionID of a session that is connected. A
// session that is suspended is resumed in any case, and a peer of wspulse.v1 with the right token takes its session
// over.
//
// Danger: with Resume, whoever connects with a connectionID gets the session. ConnectFunc must make sure whose it is.
// With Reject, a client whose network has died is refused until its old transport is known to be dead; see
// [WithHeartbeat].
//
// Default Replace. Must be one of the three.
func WithDuplicatePolicy(p DuplicatePolicy) ServerOption {
	if p < Replace || p > Reject {
		panic(fmt.Sprintf("wspulse: WithDuplicatePolicy: %d is none of Replace, Resume and Reject", p))
	}
	return func(c *serverConfig) { c.duplicates = p }
}

// WithRefusalStatus answers a request that is refused with its HTTP status also where it offers wspulse.v1. Otherwise
// such a request is upgraded, told why, and closed with a code of 4401 to 4503: a page that is refused with a status
// learns nothing of it. More than 64 of those at a time get the status in any case.
//
// Default off.
func WithRefusalStatus() ServerOption {
	return func(c *serverConfig) { c.refusalStatus = true }
}
