package wspulse

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync/atomic"
)

// A room is its members. The hub destroys it with the last one; a room of that name is then a new room.
type room struct {
	// Set at construction, then read-only.
	id      string
	pending chan struct{} // holds one for each broadcast that was accepted and is not fanned out; never closed

	members []*membership // guarded by hub.mu

	// Owned by the hub goroutine.
	backlog   backlog
	pass      uint64 // those before it are being fanned out; backlog.first() between passes
	unvisited int    // members[:unvisited] have not been visited in this pass
	queued    bool   // in hub.fresh or hub.busy
	next      *room  // behind it there
}

// A membership is a session in a room. That in the session's home room is part of the session.
type membership struct {
	session *session             // set at construction, then read-only
	room    atomic.Pointer[room] // set by the hub; only a home ever moves

	// Owned by the hub goroutine.
	seen uint64 // number of the first of the room's broadcasts that it has not been handed
	slot int32  // in room.members
}

func newRoom(cfg *serverConfig, id string) *room {
	return &room{id: id, pending: make(chan struct{}, cfg.pendingSize()), backlog: newBacklog()}
}

// hasPending says whether broadcasts have been accepted that are not fanned out yet. Anyone.
func (r *room) hasPending() bool { return len(r.pending) > 0 }

// count counts a broadcast, if there is room for one.
func (r *room) count() bool {
	select {
	case r.pending <- struct{}{}:
		return true
	default:
		return false
	}
}

// hasPending says that of one of the session's rooms. Anyone.
func (s *session) hasPending() bool {
	if s.home.room.Load().hasPending() {
		return true
	}
	others := s.others.Load()
	return others != nil && slices.ContainsFunc(*others, func(m *membership) bool { return m.room.Load().hasPending() })
}

// memberships yields those of a session, that at home first. Anyone.
func (s *session) memberships() iter.Seq[*membership] {
	return func(yield func(*membership) bool) {
		others := s.others.Load()
		if !yield(&s.home) || others == nil {
			return
		}
		for _, m := range *others {
			if !yield(m) {
				return
			}
		}
	}
}

// membership returns that in a room, or nil. Hub.
func (s *session) membership(r *room) *membership {
	for m := range s.memberships() {
		if m.room.Load() == r {
			return m
		}
	}
	return nil
}

// Rooms implements Connection.
func (s *session) Rooms() (ids []string) {
	for m := range s.memberships() {
		ids = append(ids, m.room.Load().id)
	}
	return ids
}

// room returns the room of that ID, or nil.
func (h *hub) room(roomID string) (r *room, stopping bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.rooms[roomID], h.stopping
}

// members returns the members of a room.
func (h *hub) members(roomID string) []Connection {
	h.mu.RLock()
	defer h.mu.RUnlock()
	r := h.rooms[roomID]
	if r == nil {
		return []Connection{}
	}
	connections := make([]Connection, len(r.members))
	for i, m := range r.members {
		connections[i] = m.session
	}
	return connections
}

// roomSize returns how many members a room has.
func (h *hub) roomSize(roomID string) int {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if r := h.rooms[roomID]; r != nil {
		return len(r.members)
	}
	return 0
}

// allRooms returns the rooms that there are.
func (h *hub) allRooms() []*room {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return slices.Collect(maps.Values(h.rooms))
}

// session returns the session of that connectionID, or nil.
func (h *hub) session(connectionID string) (s *session, stopping bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.sessions[connectionID], h.stopping
}

// insert puts a session into the maps: into its home, and into the rooms that its Details name.
func (h *hub) insert(s *session, roomID string) {
	h.callbacks.Add(1)
	r := h.roomFor(&s.home, roomID)
	h.mu.Lock()
	created := h.addMember(&s.home, r)
	h.sessions[s.id] = s
	h.addUser(s)
	h.mu.Unlock()
	h.entered(&s.home, r, created)
	for _, id := range s.detail().Rooms {
		_, _ = h.join(s, id) // there are not too many: see Details.check
	}
}

// remove takes a session out of the maps. What waits in its rooms it has been handed.
func (h *hub) remove(s *session) {
	h.catchUp(s)
	h.mu.Lock()
	delete(h.sessions, s.id)
	h.removeUser(s)
	for m := range s.memberships() {
		h.removeMember(m)
	}
	h.mu.Unlock()
	for m := range s.memberships() {
		h.exited(m)
	}
}

// enter makes a membership one of a room, which is made if need be.
func (h *hub) enter(m *membership, roomID string) {
	r := h.roomFor(m, roomID)
	h.mu.Lock()
	created := h.addMember(m, r)
	h.mu.Unlock()
	h.entered(m, r, created)
}

// exit takes a membership out of its room, which is destroyed with the last. What waits in the room it has been handed.
func (h *hub) exit(m *membership) {
	h.mu.Lock()
	h.removeMember(m)
	h.mu.Unlock()
	h.exited(m)
}

// roomFor returns the room that a membership is about to be one of, and which it knows from then on.
func (h *hub) roomFor(m *membership, roomID string) *room {
	r := h.rooms[roomID]
	if r == nil {
		r = newRoom(h.cfg, roomID)
	}
	m.seen = r.backlog.next()
	m.room.Store(r)
	return r
}

// addMember adds a membership to its room, and says whether that is new. h.mu is held.
func (h *hub) addMember(m *membership, r *room) (created bool) {
	created = len(r.members) == 0
	m.slot = int32(len(r.members)) //nolint:gosec // there is not memory for as many
	r.members = append(r.members, m)
	h.rooms[r.id] = r
	return created
}

// removeMember undoes addMember. h.mu is held.
func (h *hub) removeMember(m *membership) {
	r := m.room.Load()
	last := len(r.members) - 1
	r.members[m.slot] = r.members[last]
	r.members[m.slot].slot = m.slot
	r.members[last] = nil
	if r.members = r.members[:last]; last == 0 {
		delete(h.rooms, r.id)
	}
}

// entered tells of a membership that has been added.
func (h *hub) entered(m *membership, r *room, created bool) {
	if created {
		h.cfg.metrics.RoomCreated(r.id)
	}
	h.roster.note(presenceNews{presenceJoin, m.session, r.id, h.suspended.Contains(m.session)})
}

// exited sees to the room of a membership that has been removed, and tells of it.
func (h *hub) exited(m *membership) {
	r := m.room.Load()
	h.roster.note(presenceNews{kind: presenceLeave, session: m.session, roomID: r.id})
	if r.unvisited = min(r.unvisited, len(r.members)); len(r.members) == 0 {
		h.retire(r, r.backlog.next())
		h.cfg.metrics.RoomDestroyed(r.id)
	}
}

// join puts a session into another room, and says whether it was not there before. Errors: ErrConnectionClosed,
// ErrTooManyRooms.
func (h *hub) join(s *session, roomID string) (joined bool, err error) {
	switch r := h.rooms[roomID]; {
	case s.ended():
		return false, ErrConnectionClosed
	case r != nil && s.membership(r) != nil:
		return false, nil
	}
	var others []*membership
	if before := s.others.Load(); before != nil {
		others = *before
	}
	if most := h.cfg.maxRooms; len(others)+1 >= most {
		return false, fmt.Errorf("%w: the session is in %d already (WithMaxRooms)", ErrTooManyRooms, most)
	}
	m := &membership{session: s}
	h.enter(m, roomID)
	others = slices.Concat(others, []*membership{m})
	s.others.Store(&others)
	return true, nil
}

// leave takes a session out of a room that is not its home, and says whether it was there.
func (h *hub) leave(s *session, roomID string) (left bool) {
	others := s.others.Load()
	if s.ended() || others == nil {
		return false
	}
	i := slices.IndexFunc(*others, func(m *membership) bool { return m.room.Load().id == roomID })
	if i < 0 {
		return false
	}
	m := (*others)[i]
	h.catchUp(s)
	h.exit(m)
	s.forget(m)
	return true
}

// move gives a session another home. It says whether it was not there before.
func (h *hub) move(s *session, roomID string) (joined bool) {
	h.catchUp(s)
	h.exit(&s.home)
	if r := h.rooms[roomID]; r != nil {
		if m := s.membership(r); m != nil {
			h.makeHome(s, m)
			return false
		}
	}
	h.enter(&s.home, roomID)
	return true
}

// makeHome has the home of a session, which is in no room, take the place of another membership.
func (h *hub) makeHome(s *session, m *membership) {
	r := m.room.Load()
	s.home.seen, s.home.slot = m.seen, m.slot
	s.home.room.Store(r)
	h.mu.Lock()
	r.members[m.slot] = &s.home
	h.mu.Unlock()
	s.forget(m)
}

// forget removes a membership that is not that at home.
func (s *session) forget(m *membership) {
	rest := slices.DeleteFunc(slices.Clone(*s.others.Load()), func(other *membership) bool { return other == m })
	if len(rest) > 0 {
		s.others.Store(&rest)
	} else {
		s.others.Store(nil)
	}
}

// Join implements Connection.
func (s *session) Join(roomID string) error {
	if err := s.hub.cfg.checkID("room", roomID); err != nil {
		return err
	}
	err := ErrConnectionClosed
	s.hub.ask(func() {
		joined := false
		if joined, err = s.hub.join(s, roomID); joined {
			s.hub.tell(s, s.hub.joined(roomID))
		}
	})
	return err
}

// Leave implements Connection.
func (s *session) Leave(roomID string) error {
	err := ErrConnectionClosed
	s.hub.ask(func() {
		switch {
		case s.ended():
		case s.RoomID() == roomID:
			err = ErrHomeRoom
		case !s.hub.leave(s, roomID):
			err = ErrNotInRoom
		default:
			err = nil
			s.hub.tell(s, s.hub.left(roomID))
		}
	})
	return err
}
