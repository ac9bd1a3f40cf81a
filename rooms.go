package wspulse

// A room is its members. The hub destroys it with the last one; a room of that name is then a new room.
type room struct {
	// Set at construction, then read-only.
	id      string
	pending chan struct{} // holds one for each broadcast that was accepted and is not fanned out; never closed

	members []*session // guarded by hub.mu

	// Owned by the hub goroutine.
	backlog   backlog
	pass      uint64 // those before it are being fanned out; backlog.first() between passes
	unvisited int    // members[:unvisited] have not been visited in this pass
	queued    bool   // in hub.fresh or hub.busy
	next      *room  // behind it there
}

func newRoom(cfg *serverConfig, id string) *room {
	return &room{id: id, pending: make(chan struct{}, cfg.pendingSize()), backlog: newBacklog()}
}

// hasPending says whether broadcasts have been accepted that are not fanned out yet. Anyone.
func (r *room) hasPending() bool { return len(r.pending) > 0 }

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
	for i, s := range r.members {
		connections[i] = s
	}
	return connections
}

// session returns the session of that connectionID, or nil.
func (h *hub) session(connectionID string) (s *session, stopping bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.sessions[connectionID], h.stopping
}

// insert puts a session into the maps, and says whether its room is new.
func (h *hub) insert(s *session, roomID string) (created bool) {
	r := h.rooms[roomID]
	if created = r == nil; created {
		r = newRoom(h.cfg, roomID)
	}
	s.room = r
	s.seen = r.backlog.next()
	h.mu.Lock()
	defer h.mu.Unlock()
	s.slot = len(r.members)
	r.members = append(r.members, s)
	h.rooms[roomID] = r
	h.sessions[s.id] = s
	return created
}

// remove takes a session out of the maps, and says whether its room is gone. What waits in the room it has been handed.
func (h *hub) remove(s *session) (destroyed bool) {
	h.catchUp(s)
	r := s.room
	h.mu.Lock()
	delete(h.sessions, s.id)
	last := len(r.members) - 1
	r.members[s.slot] = r.members[last]
	r.members[s.slot].slot = s.slot
	r.members[last] = nil
	r.members = r.members[:last]
	if destroyed = last == 0; destroyed {
		delete(h.rooms, r.id)
	}
	h.mu.Unlock()
	if r.unvisited = min(r.unvisited, last); destroyed {
		h.retire(r, r.backlog.next())
	}
	return destroyed
}
