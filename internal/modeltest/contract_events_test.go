package modeltest

import (
	"fmt"
	"slices"
	"time"
)

// What peers do.

// say sends a message that has OnMessage do what it says; the frame is what it sends on.
func (m *model) say(l *modelLink, word, frame string) {
	s := l.session
	if s.ending != nil {
		return
	}
	m.live(l)
	m.log.add(m.now, "room "+s.room, "message")
	result := "nil"
	switch word {
	case "malformed":
		return
	case "echo":
		result = m.send(s, frame)
	case "shout":
		result = m.broadcast(s.room, frame)
	}
	m.callback(s, "message(%s: %s)", word, result)
	switch word {
	case "quit":
		m.closeSession(s)
	case "kick":
		m.kick(s.id)
	case "panic":
		m.hangUp(l, "panic=oops", `close 1011 "the server failed in handling a message"`)
	}
}

// readOn makes a client read that did not.
func (m *model) readOn(l *modelLink) {
	l.reading = true
	switch {
	case l.gone:
		m.read(l, "close 1006")
	case l.session.ending != nil:
		m.sayGoodbye(l)
	default:
		m.deliver(l, l.hand)
		l.writing, l.hand = false, nil
		m.write(l)
		if l.pinged {
			l.pinged = false
			m.live(l)
		}
	}
	l.over = l.gone
}

// hangUp ends the transport of a client that reads and gets an answer, to its close frame or its fault.
func (m *model) hangUp(l *modelLink, err, answer string) {
	m.read(l, answer)
	l.over = true
	m.die(l, err)
}

// drop is the end of a transport without a word, when the client has read that many bytes of what the server writes.
func (m *model) drop(l *modelLink, bytes int) {
	whole := min(bytes/modelFrameBytes, len(l.hand))
	m.deliver(l, l.hand[:whole])
	l.hand = l.hand[whole:]
	m.read(l, "gone")
	l.over = true
	if !l.gone {
		m.die(l, "1006")
	}
}

// What time does.

// advance lets time pass, with all that is due meanwhile.
func (m *model) advance(to time.Duration) { advance(&m.now, to, m.next) }

// next returns what is due next, and when.
func (m *model) next() (at time.Duration, event func()) {
	at = never
	due := func(t time.Duration, e func()) {
		if t < at {
			at, event = t, e
		}
	}
	for _, s := range m.sessions {
		due(s.expires, func() { m.end(s, byExpiry, s.dropErr) })
	}
	for _, l := range m.links {
		if l.session.ending == nil {
			due(l.nextPing, func() { m.ping(l) })
		}
		if l.writing {
			due(l.writeBy, func() { m.die(l, "timeout") })
		}
		if l.session.ending == nil {
			due(l.pongBy, func() {
				m.log.add(m.now, "pongs of "+l.session.id, "timeout")
				m.die(l, "timeout")
			})
		}
	}
	return at, event
}

func (m *model) ping(l *modelLink) {
	l.nextPing += m.cfg.pingPeriod
	if l.lived {
		l.lived, l.pongBy = false, m.now+m.cfg.pongWait
	}
	if l.reading {
		m.live(l)
		return
	}
	l.pinged = true
	if !l.writing {
		m.stick(l, nil)
	}
}

// live says that something has come from the client, which has pongWait from the next ping on.
func (m *model) live(l *modelLink) { l.lived, l.pongBy = true, never }

// What comes of it.

// write writes what is queued, if there is somebody to write to. A client that does not read keeps the server in the
// first write.
func (m *model) write(l *modelLink) {
	if l == nil || l.writing {
		return
	}
	s := l.session
	if l.reading {
		m.deliver(l, s.queue)
		s.queue = nil
	} else if n := min(len(s.queue), modelBatch); n > 0 {
		m.stick(l, s.queue[:n])
		s.queue = s.queue[n:]
	}
}

func (m *model) stick(l *modelLink, hand []string) {
	l.writing, l.hand, l.writeBy = true, hand, m.now+m.cfg.writeWait
}

func (m *model) deliver(l *modelLink, frames []string) {
	for _, f := range frames {
		m.log.add(m.now, "writes to "+l.session.id, "%d bytes", modelPayloadSize)
		m.read(l, f)
	}
}

// end ends a session that lives, for callers and callbacks at once. Its link is there until the client has read the
// close frame, or cannot any more.
func (m *model) end(s *modelSession, e *sessionEnding, err string) {
	s.ending = e
	delete(m.sessions, s.id)
	m.log.add(m.now, "hub, "+s.id, "closed in %s after %v: %s", s.room, m.now-s.opened, e.reason)
	if len(m.members(s.room)) == 0 {
		m.log.add(m.now, "room "+s.room, "destroyed")
	}
	m.callback(s, "disconnect(%s)", err)
	switch l := s.link; {
	case l == nil:
		m.lost(s, s.queue)
	case l.reading:
		m.sayGoodbye(l)
	case !l.writing:
		m.stick(l, nil)
	}
}

// sayGoodbye lets a client that reads have the end of its session.
func (m *model) sayGoodbye(l *modelLink) {
	s := l.session
	m.deliver(l, l.hand)
	if s.ending.flush {
		m.deliver(l, s.queue)
	} else {
		m.lost(s, s.queue)
	}
	m.read(l, s.ending.close)
	l.over = true
	m.disconnect(l)
}

// die is the death of a transport: the session is suspended, or ends. What was not written whole is the first to go out
// on the next transport.
func (m *model) die(l *modelLink, err string) {
	s := l.session
	s.queue = slices.Concat(l.hand, s.queue)
	l.hand = nil
	s.link = nil
	switch {
	case s.ending != nil:
		m.lost(s, s.queue)
	case m.cfg.window == 0:
		m.end(s, byDeath, err)
	default:
		s.dropErr, s.expires = err, m.now+m.cfg.window
		m.callback(s, "drop(%s)", err)
	}
	m.disconnect(l)
}

func (m *model) disconnect(l *modelLink) {
	l.gone = true
	m.links = slices.DeleteFunc(m.links, func(other *modelLink) bool { return other == l })
	m.closeReturns()
}

func (m *model) lost(s *modelSession, frames []string) {
	for range frames {
		m.log.add(m.now, "losses of "+s.id, "dropped")
	}
}

func (m *model) read(l *modelLink, what string) { m.log.add(m.now, l.name, "%s", what) }

func (m *model) callback(s *modelSession, format string, args ...any) {
	m.log.add(m.now, s.name, format, args...)
}

// members returns the sessions of a room, suspended ones included.
func (m *model) members(room string) (members []*modelSession) {
	for _, s := range m.sessions {
		if s.room == room {
			members = append(members, s)
		}
	}
	return members
}

// calm says that no session is on the brink of a write in which the server will be stuck: how many of several frames
// that write has depends on how quick it is.
func (m *model) calm() bool {
	return !slices.ContainsFunc(m.links, func(l *modelLink) bool { return !l.reading && !l.writing })
}

func sessionName(number int, id string) string { return fmt.Sprintf("session %d (%s)", number, id) }
