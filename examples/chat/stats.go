package main

import (
	"sync/atomic"
	"time"

	wspulse "github.com/wspulse/server"
)

// stats counts what the server reports. The hooks run on hot paths, so that all they do is to add up; those that the
// chat has no use for are NoopCollector's.
type stats struct {
	wspulse.NoopCollector

	started time.Time
	closed  map[wspulse.DisconnectReason]*atomic.Int64 // read-only, but for the numbers

	opened, resumed, pongTimeouts      atomic.Int64
	roomsCreated, roomsDestroyed       atomic.Int64
	received, broadcast, sent, dropped atomic.Int64
	bytesReceived, bytesSent           atomic.Int64
}

func newStats() *stats {
	s := &stats{started: time.Now(), closed: make(map[wspulse.DisconnectReason]*atomic.Int64)}
	for _, reason := range []wspulse.DisconnectReason{
		wspulse.DisconnectNormal, wspulse.DisconnectKick, wspulse.DisconnectGraceExpired,
		wspulse.DisconnectServerClose, wspulse.DisconnectDuplicate,
	} {
		s.closed[reason] = new(atomic.Int64)
	}
	return s
}

func (s *stats) ConnectionOpened(_, _ string) { s.opened.Add(1) }
func (s *stats) ConnectionClosed(_, _ string, _ time.Duration, reason wspulse.DisconnectReason) {
	if n := s.closed[reason]; n != nil {
		n.Add(1)
	}
}
func (s *stats) ResumeAttempt(_, _ string)           { s.resumed.Add(1) }
func (s *stats) RoomCreated(string)                  { s.roomsCreated.Add(1) }
func (s *stats) RoomDestroyed(string)                { s.roomsDestroyed.Add(1) }
func (s *stats) MessageBroadcast(_ string, _, _ int) { s.broadcast.Add(1) }
func (s *stats) FrameDropped(_, _ string)            { s.dropped.Add(1) }
func (s *stats) PongTimeout(_, _ string)             { s.pongTimeouts.Add(1) }
func (s *stats) MessageReceived(_ string, size int) {
	s.received.Add(1)
	s.bytesReceived.Add(int64(size))
}
func (s *stats) MessageSent(_, _ string, size int) { s.sent.Add(1); s.bytesSent.Add(int64(size)) }

// A snapshot is the body of GET /stats.
type snapshot struct {
	UptimeSeconds int64          `json:"uptimeSeconds"`
	Sessions      sessionNumbers `json:"sessions"`
	Rooms         int64          `json:"rooms"`
	Frames        frameNumbers   `json:"frames"`
}

type sessionNumbers struct {
	Open         int64                              `json:"open"`
	Opened       int64                              `json:"opened"`
	Resumed      int64                              `json:"resumed"`
	Closed       map[wspulse.DisconnectReason]int64 `json:"closed"`
	PongTimeouts int64                              `json:"pongTimeouts"`
}

type frameNumbers struct {
	Received      int64 `json:"received"`
	Broadcast     int64 `json:"broadcast"` // to all of a room, counted once
	Sent          int64 `json:"sent"`
	Dropped       int64 `json:"dropped"`
	BytesReceived int64 `json:"bytesReceived"`
	BytesSent     int64 `json:"bytesSent"`
}

// snapshot reads the numbers one by one: those of a moment may be apart by what happens meanwhile. Ends are read before
// beginnings, so that none of the differences is negative.
func (s *stats) snapshot() snapshot {
	ended, closed := int64(0), make(map[wspulse.DisconnectReason]int64)
	for reason, n := range s.closed {
		closed[reason] = n.Load()
		ended += closed[reason]
	}
	destroyed := s.roomsDestroyed.Load()
	opened := s.opened.Load()
	return snapshot{
		UptimeSeconds: int64(time.Since(s.started).Seconds()),
		Sessions: sessionNumbers{
			Open: opened - ended, Opened: opened, Resumed: s.resumed.Load(), Closed: closed, PongTimeouts: s.pongTimeouts.Load(),
		},
		Rooms: s.roomsCreated.Load() - destroyed,
		Frames: frameNumbers{
			Received: s.received.Load(), Broadcast: s.broadcast.Load(), Sent: s.sent.Load(), Dropped: s.dropped.Load(),
			BytesReceived: s.bytesReceived.Load(), BytesSent: s.bytesSent.Load(),
		},
	}
}
