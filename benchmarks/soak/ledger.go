package main

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	wspulse "github.com/wspulse/server"
)

// A ledger is the server's collector of metrics, and what is compared in the end. All that it needs is there from the
// beginning, so that it does not grow.
type ledger struct {
	wspulse.NoopCollector

	// Set at construction, then read-only.
	began    time.Time
	accounts map[string]*account // by connectionID
	rooms    map[string]*room    // by roomID
	list     []*room             // those that get broadcasts
	quiet    *room               // gets none

	opened, closed, resumed  atomic.Int64 // sessions
	roomsOpened, roomsClosed atomic.Int64
	pongTimeouts             atomic.Int64
	sent, dropped            atomic.Int64 // frames, all together
	handed                   atomic.Int64 // frames of broadcasts, once for each member that was handed one
	reasons                  map[wspulse.DisconnectReason]*atomic.Int64

	mu     sync.Mutex // guards what follows
	faults int
	first  []string // of the faults
}

// An account is what is known of one connectionID: what the server was given for it, and what became of that.
type account struct {
	id   string
	room *room
	sick bool

	accepted, refused, sent, dropped atomic.Int64 // accepted without the broadcasts
	received, gaps                   atomic.Int64 // by the peer; gaps are frames in the middle that it did not see

	told uint32 // frames sent to this one alone; owned by the producer
	said uint32 // messages of the peer; owned by whoever writes them

	// Owned by the hub goroutine.
	member bool
}

// A room is one of the server's.
type room struct {
	id  string
	seq uint32 // broadcasts made; owned by the producer

	// Owned by the hub goroutine.
	exists  bool
	members int
}

func newLedger(p plan) *ledger {
	l := &ledger{began: time.Now(), accounts: make(map[string]*account), rooms: make(map[string]*room),
		reasons: make(map[wspulse.DisconnectReason]*atomic.Int64)}
	for _, reason := range []wspulse.DisconnectReason{wspulse.DisconnectNormal, wspulse.DisconnectKick,
		wspulse.DisconnectGraceExpired, wspulse.DisconnectServerClose, wspulse.DisconnectDuplicate} {
		l.reasons[reason] = new(atomic.Int64)
	}
	for i := range p.rooms() {
		r := &room{id: fmt.Sprint("room-", i)}
		l.rooms[r.id] = r
		l.list = append(l.list, r)
	}
	l.quiet = &room{id: "quiet"}
	l.rooms[l.quiet.id] = l.quiet
	return l
}

// open opens accounts, evenly over the rooms. It is called before the server runs.
func (l *ledger) open(n int, prefix string, sick bool, rooms ...*room) (opened []*account) {
	for i := range n {
		a := &account{id: fmt.Sprint(prefix, i), room: rooms[i%len(rooms)], sick: sick}
		l.accounts[a.id] = a
		opened = append(opened, a)
	}
	return opened
}

// fault notes that something does not hold.
func (l *ledger) fault(format string, args ...any) {
	const kept = 20
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.faults++; len(l.first) < kept {
		l.first = append(l.first, fmt.Sprintf("%.1fs ", time.Since(l.began).Seconds())+fmt.Sprintf(format, args...))
	}
}

func (l *ledger) sessions() int64 { return l.opened.Load() - l.closed.Load() }

// book notes what became of a Send, and says whether the frame has got a place in the order.
func (l *ledger) book(a *account, err error) bool {
	switch {
	case err == nil:
		a.accepted.Add(1)
	case errors.Is(err, wspulse.ErrSendBufferFull):
		a.refused.Add(1)
	case a.sick && (errors.Is(err, wspulse.ErrConnectionClosed) || errors.Is(err, wspulse.ErrConnectionNotFound)):
		return false
	default:
		l.fault("%s: Send: %v", a.id, err)
		return false
	}
	return true
}

// The hooks.

// RoomCreated implements wspulse.MetricsCollector.
func (l *ledger) RoomCreated(id string) {
	r := l.rooms[id]
	if r == nil || r.exists {
		l.fault("%s created, which is there or unknown", id)
		return
	}
	r.exists = true
	l.roomsOpened.Add(1)
}

// RoomDestroyed implements wspulse.MetricsCollector.
func (l *ledger) RoomDestroyed(id string) {
	r := l.rooms[id]
	if r == nil || !r.exists || r.members > 0 {
		l.fault("%s destroyed, which is not there or not empty", id)
		return
	}
	r.exists = false
	l.roomsClosed.Add(1)
}

// ConnectionOpened implements wspulse.MetricsCollector.
func (l *ledger) ConnectionOpened(roomID, id string) {
	l.opened.Add(1)
	a := l.accounts[id]
	if a == nil || a.member || a.room.id != roomID {
		l.fault("%s opened in %s, where it is already or should not be", id, roomID)
		return
	}
	a.member = true
	a.room.members++
}

// ConnectionClosed implements wspulse.MetricsCollector.
func (l *ledger) ConnectionClosed(_, id string, _ time.Duration, reason wspulse.DisconnectReason) {
	l.closed.Add(1)
	l.reasons[reason].Add(1)
	a := l.accounts[id]
	if a == nil || !a.member {
		l.fault("%s closed, which was not open", id)
		return
	}
	a.member = false
	a.room.members--
}

// ResumeAttempt implements wspulse.MetricsCollector.
func (l *ledger) ResumeAttempt(_, id string) {
	l.resumed.Add(1)
	if a := l.accounts[id]; a == nil || !a.member {
		l.fault("%s resumed, which was not open", id)
	}
}

// MessageBroadcast implements wspulse.MetricsCollector.
func (l *ledger) MessageBroadcast(id string, _, fanOut int) {
	if r := l.rooms[id]; r == nil || !r.exists {
		l.fault("%s: broadcast in a room that is not there", id)
	}
	l.handed.Add(int64(fanOut))
}

// MessageSent implements wspulse.MetricsCollector.
func (l *ledger) MessageSent(_, id string, _ int) {
	l.sent.Add(1)
	l.accounts[id].sent.Add(1)
}

// FrameDropped implements wspulse.MetricsCollector.
func (l *ledger) FrameDropped(_, id string) {
	l.dropped.Add(1)
	l.accounts[id].dropped.Add(1)
}

// PongTimeout implements wspulse.MetricsCollector.
func (l *ledger) PongTimeout(_, _ string) { l.pongTimeouts.Add(1) }
