package wstest

import (
	"sync"
	"testing"
	"time"

	wspulse "github.com/wspulse/server"
)

// Totals are how often each hook of a wspulse.MetricsCollector was called, and the sums of what it was given.
type Totals struct {
	ConnectionOpened, ConnectionClosed int
	ResumeAttempt                      int
	RoomCreated, RoomDestroyed         int

	MessageReceived  int
	MessageBroadcast int
	FanOut           int // members for which the broadcasts were queued: the frames that they became
	MessageSent      int
	FrameDropped     int
	PongTimeout      int
	LimitReached     int
	RequestDone      int
	ReplyIgnored     int

	ReceivedBytes, BroadcastBytes, SentBytes int64
}

// A Recorder is a wspulse.MetricsCollector, a wspulse.LimitCollector and a wspulse.RequestCollector that counts. Its
// zero value is ready, and all methods may be called from any goroutine. Embed it in a collector that does more. It
// keeps a Totals for every room and connectionID that it has seen.
type Recorder struct {
	wspulse.NoopCollector

	mu          sync.Mutex // guards what follows
	all         Totals
	rooms       map[string]*Totals
	connections map[string]*Totals
	reasons     map[wspulse.DisconnectReason]int
	limits      map[wspulse.Limit]int
}

// Totals returns what has been counted, for the whole server.
func (r *Recorder) Totals() Totals {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all
}

// Room returns what has been counted for one room.
func (r *Recorder) Room(roomID string) Totals { return r.one(&r.rooms, roomID) }

// Connection returns what has been counted by the hooks that name a connection, for all sessions of that ID together.
func (r *Recorder) Connection(connectionID string) Totals {
	return r.one(&r.connections, connectionID)
}

func (r *Recorder) one(totals *map[string]*Totals, id string) Totals {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := (*totals)[id]; t != nil {
		return *t
	}
	return Totals{}
}

// Closed returns how many sessions have ended for that reason.
func (r *Recorder) Closed(reason wspulse.DisconnectReason) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reasons[reason]
}

// Limit returns how often that limit was reached.
func (r *Recorder) Limit(limit wspulse.Limit) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.limits[limit]
}

// ExpectConserved fails the test unless every frame that was accepted has been sent or dropped. sends is how often
// Send, of the Server or of a Connection, has returned nil or wspulse.ErrSendBufferFull; broadcasts are counted by
// their hook. It holds when nothing is queued: after Server.Close, for example.
func (r *Recorder) ExpectConserved(t testing.TB, sends int) {
	t.Helper()
	all := r.Totals()
	if accepted, out := sends+all.FanOut, all.MessageSent+all.FrameDropped; accepted != out {
		t.Errorf("wstest: %d frames accepted (%d by Send, %d by Broadcast), but %d sent and %d dropped, in all %d",
			accepted, sends, all.FanOut, all.MessageSent, all.FrameDropped, out)
	}
}

// ExpectClosed fails the test unless every session that was opened has been closed, and every room that was created
// destroyed. It holds after Server.Close.
func (r *Recorder) ExpectClosed(t testing.TB) {
	t.Helper()
	all := r.Totals()
	if all.ConnectionOpened != all.ConnectionClosed {
		t.Errorf("wstest: %d sessions opened, %d closed", all.ConnectionOpened, all.ConnectionClosed)
	}
	if all.RoomCreated != all.RoomDestroyed {
		t.Errorf("wstest: %d rooms created, %d destroyed", all.RoomCreated, all.RoomDestroyed)
	}
}

// record counts for the server and for the room; and for the connection, unless its ID is empty.
func (r *Recorder) record(roomID, connectionID string, count func(*Totals)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count(roomID, connectionID, count)
}

// count is record with mu held.
func (r *Recorder) count(roomID, connectionID string, count func(*Totals)) {
	count(&r.all)
	count(entry(&r.rooms, roomID))
	if connectionID != "" {
		count(entry(&r.connections, connectionID))
	}
}

func entry(totals *map[string]*Totals, id string) *Totals {
	if *totals == nil {
		*totals = make(map[string]*Totals)
	}
	t := (*totals)[id]
	if t == nil {
		t = &Totals{}
		(*totals)[id] = t
	}
	return t
}

// ConnectionOpened counts a session.
func (r *Recorder) ConnectionOpened(roomID, connectionID string) {
	r.record(roomID, connectionID, func(t *Totals) { t.ConnectionOpened++ })
}

// ConnectionClosed counts the end of a session, and its reason.
func (r *Recorder) ConnectionClosed(roomID, connectionID string, _ time.Duration, reason wspulse.DisconnectReason) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count(roomID, connectionID, func(t *Totals) { t.ConnectionClosed++ })
	if r.reasons == nil {
		r.reasons = make(map[wspulse.DisconnectReason]int)
	}
	r.reasons[reason]++
}

// ResumeAttempt counts a resume.
func (r *Recorder) ResumeAttempt(roomID, connectionID string) {
	r.record(roomID, connectionID, func(t *Totals) { t.ResumeAttempt++ })
}

// RoomCreated counts a room.
func (r *Recorder) RoomCreated(roomID string) {
	r.record(roomID, "", func(t *Totals) { t.RoomCreated++ })
}

// RoomDestroyed counts the end of a room.
func (r *Recorder) RoomDestroyed(roomID string) {
	r.record(roomID, "", func(t *Totals) { t.RoomDestroyed++ })
}

// MessageReceived counts a message and its bytes.
func (r *Recorder) MessageReceived(roomID string, sizeBytes int) {
	r.record(roomID, "", func(t *Totals) {
		t.MessageReceived++
		t.ReceivedBytes += int64(sizeBytes)
	})
}

// MessageBroadcast counts a broadcast, its bytes once, and the members that it was queued for.
func (r *Recorder) MessageBroadcast(roomID string, sizeBytes, fanOut int) {
	r.record(roomID, "", func(t *Totals) {
		t.MessageBroadcast++
		t.BroadcastBytes += int64(sizeBytes)
		t.FanOut += fanOut
	})
}

// MessageSent counts a frame that was written, and its bytes.
func (r *Recorder) MessageSent(roomID, connectionID string, sizeBytes int) {
	r.record(roomID, connectionID, func(t *Totals) {
		t.MessageSent++
		t.SentBytes += int64(sizeBytes)
	})
}

// FrameDropped counts a frame that is lost.
func (r *Recorder) FrameDropped(roomID, connectionID string) {
	r.record(roomID, connectionID, func(t *Totals) { t.FrameDropped++ })
}

// PongTimeout counts a peer that answered no ping.
func (r *Recorder) PongTimeout(roomID, connectionID string) {
	r.record(roomID, connectionID, func(t *Totals) { t.PongTimeout++ })
}

// RequestDone counts a request that has ended, however.
func (r *Recorder) RequestDone(roomID, connectionID, _ string, _ time.Duration) {
	r.record(roomID, connectionID, func(t *Totals) { t.RequestDone++ })
}

// ReplyIgnored counts a reply that no request waited for.
func (r *Recorder) ReplyIgnored(roomID, connectionID string) {
	r.record(roomID, connectionID, func(t *Totals) { t.ReplyIgnored++ })
}

// LimitReached counts a limit that was reached, for the server only where it names nobody.
func (r *Recorder) LimitReached(limit wspulse.Limit, roomID, connectionID string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.limits == nil {
		r.limits = make(map[wspulse.Limit]int)
	}
	r.limits[limit]++
	if connectionID == "" {
		r.all.LimitReached++
		return
	}
	r.count(roomID, connectionID, func(t *Totals) { t.LimitReached++ })
}
