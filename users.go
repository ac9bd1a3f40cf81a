package wspulse

import "slices"

// A user is the sessions of somebody.
type user struct{ sessions []*session }

// addUser counts a session among those of its user. h.mu is held.
func (h *hub) addUser(s *session) {
	id := s.UserID()
	if id == "" {
		return
	}
	u := h.users[id]
	if u == nil {
		u = &user{}
		h.users[id] = u
	}
	s.userSlot = int32(len(u.sessions)) //nolint:gosec // there is not memory for as many
	u.sessions = append(u.sessions, s)
}

// removeUser undoes addUser. h.mu is held.
func (h *hub) removeUser(s *session) {
	u := h.users[s.UserID()]
	if u == nil {
		return
	}
	last := len(u.sessions) - 1
	u.sessions[s.userSlot] = u.sessions[last]
	u.sessions[s.userSlot].userSlot = s.userSlot
	u.sessions[last] = nil
	if u.sessions = u.sessions[:last]; last == 0 {
		delete(h.users, s.UserID())
	}
}

// userSessions returns the sessions of a user.
func (h *hub) userSessions(userID string) []*session {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if u := h.users[userID]; u != nil {
		return slices.Clone(u.sessions)
	}
	return nil
}
