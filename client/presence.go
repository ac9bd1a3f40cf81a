package client

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"

	"go.uber.org/zap"

	"github.com/wspulse/server/internal/presence"
)

// A Member is somebody who is in a room: a session of the server.
type Member struct {
	ID     string          // the connectionID, see Client.ID
	UserID string          // who that is, maybe with several sessions; "": nobody in particular
	Info   json.RawMessage // what the server's program says of it; nil: nothing. It must not be changed
	Away   bool            // its connection is lost, and it may come back
}

// Presence is who is in a room, and what has changed since the callback for that room before. All lists are sorted by
// ID, and the callback's own.
type Presence struct {
	Room string

	// Members are all that are there, the client itself and those that are away included. It is what Client.Presence
	// returns while the callback runs.
	Members []Member

	// Count is how many there are.
	Count int

	// Counted says that the room is too large to be listed: Count is all that is known.
	Counted bool

	// First says that the room was not listed before: nobody has joined, and Members is who is there.
	First bool

	Joined  []Member
	Left    []Member // as they were
	Updated []Member // whose UserID or Info is another
	Away    []Member // whose connection was lost
	Back    []Member // who were away
}

// WithOnPresence sets the callback that is told who is in the rooms that the client is in, where the server has
// WithPresence. Each room begins with a list ([Presence].First); then it runs when something has changed there. It runs
// in the order of OnMessage, which does not get frames with the event "presence" any more. A payload of another kind is
// logged, and dropped.
//
// Between two connections of a session the lists stay as they are; with the next comes what has changed meanwhile. So
// it is behind OnGap, where the news may have been among what the server has dropped: within 5 s there is a list, and
// what it says is told of as any change. Until then Members may be wrong.
//
// A room that the client has left is forgotten when Leave returns, and the callback does not run for it any more. A
// session that is lost takes all rooms with it: they are forgotten before OnSessionLost, and begin with a First anew.
// Without wspulse.v1 nobody knows whether the session is lost, and that happens before each OnTransportRestore. Where
// the server has the client leave a room by itself, the callback runs once more: all are in Left, and the room is
// forgotten.
//
// Danger: a list that is larger than WithMaxMessageSize ends each connection, and the client never sees it. A member
// takes some 50 bytes, and what its IDs and the server's program say.
//
// Default none: such frames are messages like others.
func WithOnPresence(fn func(c Client, p Presence)) Option {
	return func(c *config) { c.onPresence = fn }
}

// Presence implements Client.
func (c *client) Presence(roomID string) []Member { return c.rooms.members(roomID) }

// isPresence says whether a frame is for OnPresence.
func (c *client) isPresence(f Frame) bool {
	return c.cfg.onPresence != nil && f.Event == presence.Event
}

// tellPresence takes a frame of who is there, and runs OnPresence if there is news in it.
func (c *client) tellPresence(f Frame) {
	news, err := presence.Parse(f.Payload)
	if err != nil {
		c.cfg.logger.Warn("wspulse: client: malformed presence dropped", zap.Int("bytes", len(f.Payload)), zap.Error(err))
		return
	}
	if p, ok := c.rooms.take(news); ok {
		c.cfg.onPresence(c, p)
	}
}

// leaveRoom forgets a room. The server has answered that the client is not there any more: what waits for OnPresence is
// from before.
func (c *client) leaveRoom(roomID string) {
	c.rooms.leave(roomID)
	c.inbox.call("OnPresence", func() { c.rooms.forget(roomID) })
}

// The rooms of a client are what it has been told of who is there. The zero value is ready.
type rooms struct {
	mu    sync.Mutex // guards what follows; a leaf
	lists map[string]attendance
	left  map[string]int // rooms for which news is ignored, until forget has been called so often
}

// An attendance is who is in one room. It is not changed once it is made.
type attendance struct {
	members map[string]Member // nil where they are counted
	counted bool
	count   int
}

// members returns who is in a room, as far as that is known.
func (r *rooms) members(roomID string) []Member {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a, ok := r.lists[roomID]; ok && r.left[roomID] == 0 {
		return a.sorted()
	}
	return nil
}

// leave has a room known as one that the client is not in, until forget is called.
func (r *rooms) leave(roomID string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left == nil {
		r.left = make(map[string]int)
	}
	r.left[roomID]++
}

// forget forgets a room that was left. What comes from then on is new.
func (r *rooms) forget(roomID string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.lists, roomID)
	if r.left[roomID]--; r.left[roomID] == 0 {
		delete(r.left, roomID)
	}
}

// forgetAll forgets all rooms.
func (r *rooms) forgetAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lists = nil
}

// take takes a frame, and returns what is new; not ok: nothing.
func (r *rooms) take(f presence.Frame) (p Presence, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before, known := r.lists[f.Room]
	listed := known && !before.counted
	var now attendance
	switch {
	case r.left[f.Room] > 0, isOver(f) && !known:
		return p, false
	case isOver(f):
		delete(r.lists, f.Room)
		return Presence{Room: f.Room, Counted: before.counted, Left: before.sorted()}, true
	case f.IsCount():
		now = attendance{counted: true, count: f.Count}
	case f.Full:
		now = attendance{members: map[string]Member{}}.with(f)
	case listed:
		now = before.with(f)
	default: // the list has been lost, and will come
		return p, false
	}
	if r.lists == nil {
		r.lists = make(map[string]attendance)
	}
	r.lists[f.Room] = now
	p = Presence{Room: f.Room, Count: now.count, Counted: now.counted, First: !now.counted && !listed}
	if now.counted {
		return p, !known || listed || now.count != before.count
	}
	p.Members = now.sorted()
	return p, p.First || p.compare(before)
}

// isOver says that the client is in the room no more.
func isOver(f presence.Frame) bool { return f.Full && f.Count == 0 }

// with returns who is there after a frame.
func (a attendance) with(f presence.Frame) attendance {
	members := maps.Clone(a.members)
	for _, m := range f.Join {
		members[m.ID] = Member{m.ID, m.User, m.Info, m.Away}
	}
	for _, id := range f.Leave {
		delete(members, id)
	}
	setAway(members, f.Away, true)
	setAway(members, f.Back, false)
	return attendance{members: members, count: len(members)}
}

func setAway(members map[string]Member, ids []string, away bool) {
	for _, id := range ids {
		if m, ok := members[id]; ok {
			m.Away = away
			members[id] = m
		}
	}
}

// compare says what has changed in a room that was listed before, and whether anything has.
func (p *Presence) compare(before attendance) (changed bool) {
	there := 0
	for _, m := range p.Members {
		was, ok := before.members[m.ID]
		if !ok {
			p.Joined = append(p.Joined, m)
			continue
		}
		there++
		if m.UserID != was.UserID || !bytes.Equal(m.Info, was.Info) {
			p.Updated = append(p.Updated, m)
		}
		switch {
		case m.Away && !was.Away:
			p.Away = append(p.Away, m)
		case was.Away && !m.Away:
			p.Back = append(p.Back, m)
		}
	}
	if there < len(before.members) {
		p.Left = before.without(p.Members)
	}
	return len(p.Joined)+len(p.Left)+len(p.Updated)+len(p.Away)+len(p.Back) > 0
}

// without returns those that are not among others, which are sorted.
func (a attendance) without(others []Member) []Member {
	return slices.DeleteFunc(a.sorted(), func(m Member) bool {
		_, found := slices.BinarySearchFunc(others, m, compareIDs)
		return found
	})
}

func (a attendance) sorted() []Member { return slices.SortedFunc(maps.Values(a.members), compareIDs) }

func compareIDs(a, b Member) int { return strings.Compare(a.ID, b.ID) }
