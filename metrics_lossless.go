package wspulse

import "time"

// A LosslessCollector is a [MetricsCollector] that hears of what wspulse.v1 does so that sessions lose nothing.
// WithMetrics finds out by itself whether a collector is one. The rules for the other hooks hold.
type LosslessCollector interface {
	// ResumeClaimed: a peer came back with a claim, and goes on with its session, or does not for a reason: "expired",
	// "token", "identity", "count", or why the session ended. Hub.
	ResumeClaimed(roomID, connectionID string, resumed bool, reason string)
	// TransportReplaced: a session was taken over by another transport while the old one was not known to be dead. Hub.
	TransportReplaced(roomID, connectionID string)
	// MessagesReplayed: n messages were written again, by a new transport. WritePump.
	MessagesReplayed(roomID, connectionID string, n int)
	// DuplicatesSuppressed: n messages had come to a peer whose acknowledgement was lost: they are not sent again. Hub.
	DuplicatesSuppressed(roomID, connectionID string, n int)
	// GapTold: the peer was told that n messages are lost, which FrameDropped has counted. As MessageSent.
	GapTold(roomID, connectionID string, n int)
	// CountMismatch: the peer and the server count messages differently, which ends the session. It must never happen
	// with a client that keeps to the protocol. ReadPump, or the hub.
	CountMismatch(roomID, connectionID string)
	// AcknowledgementAge: an acknowledgement came, so long after the one before it, or after the first message that it
	// could be for. ReadPump.
	AcknowledgementAge(roomID, connectionID string, age time.Duration)
}

// ResumeClaimed does nothing.
func (NoopCollector) ResumeClaimed(_, _ string, _ bool, _ string) {}

// TransportReplaced does nothing.
func (NoopCollector) TransportReplaced(_, _ string) {}

// MessagesReplayed does nothing.
func (NoopCollector) MessagesReplayed(_, _ string, _ int) {}

// DuplicatesSuppressed does nothing.
func (NoopCollector) DuplicatesSuppressed(_, _ string, _ int) {}

// GapTold does nothing.
func (NoopCollector) GapTold(_, _ string, _ int) {}

// CountMismatch does nothing.
func (NoopCollector) CountMismatch(_, _ string) {}

// AcknowledgementAge does nothing.
func (NoopCollector) AcknowledgementAge(_, _ string, _ time.Duration) {}
