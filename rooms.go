package wspulse

import (
	"sync/atomic"

	"github.com/wspulse/server/internal/wire"
)

// A room is its members. The hub destroys it with the last one; a room of that name is then a new room.
type room struct {
	id      string
	members []*session   // guarded by hub.mu
	pending atomic.Int64 // broadcasts that were accepted and are not fanned out yet
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
		r = &room{id: roomID}
	}
	s.room = r
	h.mu.Lock()
	defer h.mu.Unlock()
	s.slot = len(r.members)
	r.members = append(r.members, s)
	h.rooms[roomID] = r
	h.sessions[s.id] = s
	return created
}

// remove takes a session out of the maps, and says whether its room is gone.
func (h *hub) remove(s *session) (destroyed bool) {
	r := s.room
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.sessions, s.id)
	last := len(r.members) - 1
	r.members[s.slot] = r.members[last]
	r.members[s.slot].slot = s.slot
	r.members[last] = nil
	r.members = r.members[:last]
	if destroyed = last == 0; destroyed {
		delete(h.rooms, r.id)
	}
	return destroyed
}

func (h *hub) fanOut(r *room, frames []*wire.Frame) {
	var pumps *convoy
	for _, s := range r.members {
		pumps = pumps.add(s.push(frames))
	}
	pumps.launch()
	if len(r.members) > 0 {
		for _, f := range frames {
			h.cfg.metrics.MessageBroadcast(r.id, f.Size, len(r.members))
		}
	}
	h.reclaim()
}
