package main

import (
	"encoding/json"
	"net/http"
	"sync/atomic"
	"time"

	wspulse "github.com/wspulse/server"
)

// stats counts what the server reports. The hooks run on hot paths, so that all they do is to add up.
type stats struct {
	wspulse.NoopCollector

	received, sent, dropped, resumed, replayed atomic.Int64
}

func (s *stats) MessageReceived(string, int)         { s.received.Add(1) }
func (s *stats) MessageSent(_, _ string, _ int)      { s.sent.Add(1) }
func (s *stats) FrameDropped(_, _ string)            { s.dropped.Add(1) }
func (s *stats) ResumeAttempt(_, _ string)           { s.resumed.Add(1) }
func (s *stats) MessagesReplayed(_, _ string, n int) { s.replayed.Add(int64(n)) }

// serveStats is GET /stats.
func (c *chat) serveStats(w http.ResponseWriter, _ *http.Request) {
	s, now := &c.stats, c.server.Stats()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]int64{ // whoever asked may have gone
		"seconds":  int64(time.Since(now.Since).Seconds()), // that the server runs
		"sessions": int64(now.Sessions), "suspended": int64(now.Suspended), "rooms": int64(now.Rooms),
		"queuedBytes": now.QueuedBytes,                                                       // for all sessions
		"received":    s.received.Load(), "sent": s.sent.Load(), "dropped": s.dropped.Load(), // frames
		"resumed": s.resumed.Load(), "replayed": s.replayed.Load(), // sessions, and frames that were sent again then
	})
}
