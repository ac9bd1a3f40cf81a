package modeltest

import (
	"fmt"
	"slices"
	"time"
)

// What peers do, what time does, and what comes of it.

// connect returns no link when the server refuses.
func (m *roomsModel) connect(p roomsPeer) (*roomsLink, string) {
	if !p.attached {
		p.user, p.also, p.expires = "", nil, never
	}
	rooms := []string{p.home}
	for _, room := range p.also {
		if !slices.Contains(rooms, room) {
			rooms = append(rooms, room)
		}
	}
	tooLong := slices.ContainsFunc(append(rooms, p.user), func(id string) bool { return len(id) > roomsMaxID })
	switch {
	case m.closed:
		return nil, "503"
	case tooLong, len(rooms) > m.cfg.maxRooms:
		return nil, "refused" // with what status, the documentation leaves open
	}
	s := m.sessions[p.id]
	if s != nil && !m.goesOn(s, p) {
		m.end(s, byDuplicate, "duplicate")
		s = nil
	}
	l := &roomsLink{name: fmt.Sprintf("client %d (%s)", m.dialled, p.id), begun: m.now}
	m.dialled++
	if s == nil {
		l.session = m.open(p, rooms)
	} else {
		l.session = s
		m.resume(s, p)
	}
	l.session.link, l.session.expires = l, p.expires
	for _, frame := range l.session.queue {
		m.read(l, frame)
	}
	l.session.queue = nil
	m.run(l.session)
	return l, "nil"
}

// goesOn says whether a peer resumes the session that has its connectionID.
func (m *roomsModel) goesOn(s *roomsSession, p roomsPeer) bool {
	return s.link == nil && s.user == p.user && (m.cfg.policy != newSession || s.rooms[0] == p.home)
}

func (m *roomsModel) open(p roomsPeer, rooms []string) *roomsSession {
	for _, room := range rooms {
		m.enter(room)
	}
	s := &roomsSession{name: sessionName(m.opened, p.id), id: p.id, user: p.user, rooms: rooms, opened: m.now,
		windowEnds: never}
	m.opened++
	m.sessions[p.id] = s
	m.log.add(m.now, "hub, "+p.id, "opened in %s", p.home)
	s.turns = append(s.turns, roomsTurn{line: "connect", do: func() { m.onConnect(s) }})
	for _, room := range rooms {
		s.turns = append(s.turns, roomsTurn{line: fmt.Sprintf("join(%s)", room)})
	}
	return s
}

func (m *roomsModel) resume(s *roomsSession, p roomsPeer) {
	s.windowEnds = never
	m.log.add(m.now, "hub, "+s.id, "resumed")
	s.turns = append(s.turns, roomsTurn{line: "restore", do: func() { m.onRestore(s) }})
	home := s.rooms[0]
	if m.cfg.policy != followRoom || p.home == home {
		return
	}
	s.turns = append(s.turns, roomsTurn{line: fmt.Sprintf("leave(%s)", home)})
	if !slices.Contains(s.rooms, p.home) {
		m.enter(p.home)
		s.turns = append(s.turns, roomsTurn{line: fmt.Sprintf("join(%s)", p.home)})
	}
	s.rooms = append([]string{p.home}, without(s.rooms[1:], p.home)...)
	m.exited(home)
}

// say sends a message, which has OnMessage do what it says; the frame is what it sends on.
func (m *roomsModel) say(l *roomsLink, word, arg, frame string) {
	s := l.session
	m.log.add(m.now, "room "+s.rooms[0], "message")
	s.turns = append(s.turns, roomsTurn{said: &roomsSaid{l, word, arg, frame}})
	m.run(s)
}

// drop is the end of a WebSocket, by its client.
func (m *roomsModel) drop(l *roomsLink, err, answer string) {
	s := l.session
	m.read(l, answer)
	l.over, s.link = true, nil
	if m.cfg.window == 0 {
		m.end(s, byDeath, err)
		return
	}
	s.dropErr, s.windowEnds = err, m.now+m.cfg.window
	m.append(s, "drop(%s)", err)
}

// advance lets time pass, with all that is due meanwhile.
func (m *roomsModel) advance(to time.Duration) { advance(&m.now, to, m.next) }

// next returns what is due next, and when.
func (m *roomsModel) next() (at time.Duration, event func()) {
	at = never
	for _, s := range m.sessions {
		if s.windowEnds < at {
			at, event = s.windowEnds, func() { m.end(s, byExpiry, s.dropErr) }
		}
		if s.expires < at {
			at, event = s.expires, func() { m.end(s, byOverdue, "expired") }
		}
	}
	return at, event
}

// end ends a session that lives. That the others of its rooms are left in the order that is Rooms' from its end is for
// the server to choose.
func (m *roomsModel) end(s *roomsSession, e *sessionEnding, err string) {
	s.ending = e
	delete(m.sessions, s.id)
	m.log.add(m.now, "hub, "+s.id, "closed in %s after %v: %s", s.rooms[0], m.now-s.opened, e.reason)
	if e != byDeath && e != byExpiry { // what a peer has said that has left is not lost
		s.hearNoMore()
	}
	for _, room := range slices.Backward(s.rooms) {
		m.exited(room)
		m.append(s, "leave(%s)", room)
	}
	m.append(s, "disconnect(%s)", err)
	if l := s.link; l != nil {
		m.read(l, e.close)
		l.over = true
	}
	m.lost(s, len(s.queue))
	s.queue = nil
}

// What callbacks do.

// hearNoMore has messages that wait for OnMessage wait in vain.
func (s *roomsSession) hearNoMore() {
	s.turns = slices.DeleteFunc(s.turns, func(t roomsTurn) bool { return t.said != nil })
}

// append has a callback run behind all that waits.
func (m *roomsModel) append(s *roomsSession, format string, args ...any) {
	s.turns = append(s.turns, roomsTurn{line: fmt.Sprintf(format, args...)})
	m.run(s)
}

// tell has a callback run behind those that run or wait, and before the messages that wait for OnMessage, but for those
// of a client that has left.
func (m *roomsModel) tell(s *roomsSession, format string, args ...any) {
	i := slices.IndexFunc(s.turns, func(t roomsTurn) bool { return t.said != nil && t.said.link == s.link })
	if i < 0 {
		i = len(s.turns)
	}
	s.turns = slices.Insert(s.turns, i, roomsTurn{line: fmt.Sprintf(format, args...)})
	m.run(s)
}

// run runs what waits, one after the other, unless a callback runs.
func (m *roomsModel) run(s *roomsSession) {
	for !s.running && len(s.turns) > 0 {
		turn := s.turns[0]
		s.turns = s.turns[1:]
		s.running = true
		switch {
		case turn.said == nil:
			m.callback(s, "%s", turn.line)
			if turn.do != nil {
				turn.do()
			}
		case turn.said.word == "busy":
			s.since = m.now
			m.callback(s, "busy")
			return
		default:
			m.handle(s, turn.said)
		}
		s.running = false
	}
}

// free lets a callback return that has been busy.
func (m *roomsModel) free(s *roomsSession) {
	m.callback(s, "free")
	s.running = false
	m.run(s)
}

// onConnect is OnConnect, in which one of the peers joins a room.
func (m *roomsModel) onConnect(s *roomsSession) {
	if s.id == roomsJoiner {
		m.join(s, "den")
	}
}

// onRestore is OnTransportRestore, in which the same one leaves another.
func (m *roomsModel) onRestore(s *roomsSession) {
	if s.id == roomsJoiner {
		m.leave(s, "attic")
	}
}

// handle is OnMessage. What it does to its own session tells of itself when it has returned.
func (m *roomsModel) handle(s *roomsSession, said *roomsSaid) {
	result := "nil"
	switch said.word {
	case "echo":
		result = m.send(s, said.frame)
	case "shout":
		result = m.broadcast(said.arg, said.frame, s.id)
	case "all":
		result = m.broadcastAll(said.frame)
	case "join":
		result = m.join(s, said.arg)
	case "leave":
		result = m.leave(s, said.arg)
	case "move":
		result = m.leave(s, said.arg) + m.join(s, "den")
	case "kick":
		result = m.kickUser(said.arg, byKick)
	case "quit":
		result = m.closeSession(s, byCode(byClose, 4000, "bye"))
	case "expire":
		m.setExpires(s, 0)
	}
	m.callback(s, "message(%s %s: %s)", said.word, said.arg, result)
}

func (m *roomsModel) callback(s *roomsSession, format string, args ...any) {
	m.log.add(m.now, s.name, format, args...)
}

func (m *roomsModel) read(l *roomsLink, what string) { m.log.add(m.now, l.name, "%s", what) }

func (m *roomsModel) lost(s *roomsSession, frames int) {
	for range frames {
		m.log.add(m.now, "losses of "+s.id, "dropped")
	}
}
