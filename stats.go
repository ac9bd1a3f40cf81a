package wspulse

import (
	"maps"
	"slices"
	"time"
)

// Stats are what a [Server] has at a moment.
type Stats struct {
	Since       time.Time // the server was made
	Sessions    int       // connected or suspended
	Suspended   int       // of these
	Rooms       int       // that have members
	QueuedBytes int64     // in the queues of all sessions, headers included; a frame that waits in many counts in each
}

// Stats implements Server.
func (s *server) Stats() Stats {
	sessions, rooms := s.hub.snapshot()
	stats := Stats{Since: s.hub.start, Sessions: len(sessions), Rooms: rooms}
	for _, session := range sessions {
		if session.Suspended() {
			stats.Suspended++
		}
		stats.QueuedBytes += int64(session.outbox.weight())
	}
	return stats
}

// snapshot returns the sessions that there are, and how many rooms.
func (h *hub) snapshot() (sessions []*session, rooms int) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return slices.Collect(maps.Values(h.sessions)), len(h.rooms)
}
