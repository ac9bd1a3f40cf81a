package lossless

import (
	"sync"
	"sync/atomic"

	wspulse "github.com/wspulse/server"
)

// Metrics counts what the server says of wspulse.v1.
type Metrics struct {
	wspulse.NoopCollector
	Resumes, Refused, Takeovers, Replayed, Suppressed, Gaps, Mismatches atomic.Int64
	Drops                                                               atomic.Int64 // of frames, in the room "session"
	OverBudget                                                          atomic.Int64

	mu      sync.Mutex
	reasons map[string]int
}

// Reasons returns why claims did not resume, and how often, by "connectionID reason".
func (m *Metrics) Reasons() map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	reasons := make(map[string]int)
	for reason, n := range m.reasons {
		reasons[reason] = n
	}
	return reasons
}

// ResumeClaimed implements wspulse.LosslessCollector.
func (m *Metrics) ResumeClaimed(_, id string, resumed bool, reason string) {
	if resumed {
		m.Resumes.Add(1)
		return
	}
	m.Refused.Add(1)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.reasons == nil {
		m.reasons = make(map[string]int)
	}
	m.reasons[id+" "+reason]++
}

// TransportReplaced implements wspulse.LosslessCollector.
func (m *Metrics) TransportReplaced(_, _ string) { m.Takeovers.Add(1) }

// MessagesReplayed implements wspulse.LosslessCollector.
func (m *Metrics) MessagesReplayed(_, _ string, n int) { m.Replayed.Add(int64(n)) }

// DuplicatesSuppressed implements wspulse.LosslessCollector.
func (m *Metrics) DuplicatesSuppressed(_, _ string, n int) { m.Suppressed.Add(int64(n)) }

// GapTold implements wspulse.LosslessCollector.
func (m *Metrics) GapTold(_, _ string, n int) { m.Gaps.Add(int64(n)) }

// CountMismatch implements wspulse.LosslessCollector.
func (m *Metrics) CountMismatch(_, _ string) { m.Mismatches.Add(1) }

// FrameDropped implements wspulse.MetricsCollector.
func (m *Metrics) FrameDropped(roomID, _ string) {
	if roomID == "session" {
		m.Drops.Add(1)
	}
}

// LimitReached implements wspulse.LimitCollector.
func (m *Metrics) LimitReached(l wspulse.Limit, _, _ string) {
	if l == wspulse.LimitMemoryBudget {
		m.OverBudget.Add(1)
	}
}
