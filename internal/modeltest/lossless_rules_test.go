package modeltest

import (
	"fmt"
	"slices"
	"time"
)

// What clients say.

// say sends a data message. The number is what echo sends on.
func (m *v1Model) say(l *v1Link, word string, item v1Item) {
	s := l.session
	if s.link != l {
		return // the server has ended the transport meanwhile
	}
	s.confirmed = s.newest
	s.accepted++
	text := fmt.Sprintf("message(%d %s)", s.accepted, word)
	refused := word == "malformed" || word == "large"
	if refused {
		text = "" // there is no callback, but its turn comes
	}
	m.call(s, v1Call{text: text, word: word, link: l, item: item})
	switch {
	case word == "large":
		m.fail(s, "too-large", "max_message_size", 1009)
	case word != "malformed":
		l.malformed = 0
	case m.tooMalformed(l):
		m.fail(s, "malformed", "malformed", 1007)
	}
}

// tooMalformed counts a malformed message, and says whether it is one too many.
func (m *v1Model) tooMalformed(l *v1Link) bool {
	const perSecond = v1Malformed / 60.0
	l.malformed = 1 + max(0, l.malformed-(m.now-l.malformedAt).Seconds()*perSecond)
	l.malformedAt = m.now
	return l.malformed > v1Malformed-1
}

// control is a control message that is in order. The client counts so many messages that it has sent.
func (m *v1Model) control(l *v1Link, kind string, n, at int) {
	s := l.session
	if at != s.accepted {
		m.log.add(m.now, "collector, "+s.id, "mismatch")
		m.end(s, v1Miscounts, "")
		return
	}
	s.confirmed = s.newest
	switch kind {
	case "ping":
		m.hear(l, "pong")
	case "bye":
		s.link = nil
		m.hear(l, "close 1000")
		m.end(s, v1Left, "nil")
	case "ack":
		m.ack(s, n)
	}
}

// ack acknowledges n messages in all.
func (m *v1Model) ack(s *v1Session, n int) {
	switch {
	case !m.keeps() && n <= s.sent(): // nobody needs it
	case n < s.acknowledged, !s.holds(n):
		m.garbage(s.link)
	case n > s.acknowledged:
		m.acknowledge(s, n)
		s.progress = m.now
		m.write(s)
	}
}

// garbage is a control message that is none.
func (m *v1Model) garbage(l *v1Link) { m.fail(l.session, "", "protocol", 4400) }

// hangUp is a close frame without a bye: the session may go on.
func (m *v1Model) hangUp(l *v1Link, code int) {
	err := "nil"
	if code != 1000 && code != 1001 {
		err = fmt.Sprint(code)
	}
	m.hear(l, "close %d", code)
	m.die(l.session, err)
}

// drop is the end of a transport without a word.
func (m *v1Model) drop(l *v1Link) {
	m.hear(l, "gone")
	if s := l.session; s.link == l {
		m.die(s, "1006")
	}
}

// A client that does not read keeps the server in a write.

// stick is a client that reads no more.
func (m *v1Model) stick(l *v1Link) { l.stuck = true }

// read is so many bytes that it reads all the same.
func (m *v1Model) read(l *v1Link, bytes int) {
	for len(l.hand) > 0 && bytes >= l.hand[0].bytes {
		bytes -= l.hand[0].bytes
		m.hear(l, "%s", l.hand[0].name)
		if l.hand = l.hand[1:]; len(l.hand) == 0 {
			m.write(l.session)
		}
	}
}

// readOn is a client that reads again.
func (m *v1Model) readOn(l *v1Link) {
	m.read(l, 1<<30)
	l.stuck = false
}

// received returns how many messages the client of a link has read.
func (l *v1Link) received() int {
	n := l.session.sent()
	for _, item := range l.hand {
		n -= item.messages
	}
	return n
}

// What comes of it.

// write hands over what is waiting, and tells of what was dropped before that, as far as the window allows.
func (m *v1Model) write(s *v1Session) {
	l := s.link
	if l == nil || len(l.hand) > 0 {
		return
	}
	for bytes := s.windowBytes(); s.lost > 0 || len(s.waiting) > 0; {
		if !s.over && (len(s.numbered) >= m.cfg.ackFrames || bytes >= m.cfg.ackBytes) {
			return
		}
		if m.hand(s); !l.stuck {
			l.hand = nil
		}
		bytes = s.windowBytes()
	}
}

// hand hands the next message, or a gap, over to the transport.
func (m *v1Model) hand(s *v1Session) {
	if len(s.numbered) == 0 {
		s.progress = m.now
	}
	item := gapOf(s.lost, s.sent())
	if s.lost == 0 {
		item = s.waiting[0]
		s.waiting = s.waiting[1:]
	}
	s.lost = 0
	s.numbered = append(s.numbered, item)
	if s.link.hand = append(s.link.hand, item); !s.link.stuck {
		m.hear(s.link, "%s", item.name)
	}
	if !m.keeps() {
		m.acknowledge(s, s.sent())
	}
}

// windowBytes returns the bytes that the client has to acknowledge.
func (s *v1Session) windowBytes() (n int) {
	for _, item := range s.numbered {
		n += item.bytes
	}
	return n
}

func gapOf(messages, at int) v1Item {
	size := len(fmt.Sprintf(`{"t":"gap","n":%d,"at":%d}`, messages, at)) + 2
	return v1Item{fmt.Sprintf("gap:%d", messages), messages, size}
}

// acknowledge removes what the client has.
func (m *v1Model) acknowledge(s *v1Session, n int) {
	for ; s.acknowledged < n; s.numbered = s.numbered[1:] {
		s.acknowledged += s.numbered[0].messages
	}
}

// fail ends a transport whose client is at fault, and hears so.
func (m *v1Model) fail(s *v1Session, err, reason string, code int) {
	m.sayBye(s.link, reason, true, [2]int{}, code)
	m.die(s, err)
}

// die is the death of a transport.
func (m *v1Model) die(s *v1Session, err string) {
	s.link = nil
	if !m.keeps() {
		m.end(s, v1Left, err)
		return
	}
	s.dropErr, s.expires = err, m.now+m.cfg.window
	m.call(s, v1Call{text: fmt.Sprintf("drop(%s)", err)})
}

// end ends a session that lives.
func (m *v1Model) end(s *v1Session, e v1Ending, err string) {
	delete(m.sessions, s.id)
	s.over, s.expires = true, never
	m.log.add(m.now, "hub, "+s.id, "closed: %s", e.metric)
	if m.keeps() {
		m.graves[s.id] = &v1Grave{s, e.bye, m.now}
	}
	if s.link != nil {
		if e.flush {
			m.write(s)
		}
		m.sayBye(s.link, e.bye, e.reconnect, e.after, e.code)
		s.link = nil
	}
	if e.silences {
		s.silence()
	}
	m.call(s, v1Call{text: fmt.Sprintf("disconnect(%s)", err)})
}

// silence takes from OnMessage what waits.
func (s *v1Session) silence() {
	s.calls = slices.DeleteFunc(s.calls, func(c v1Call) bool { return c.word != "" })
}

func (m *v1Model) sayBye(l *v1Link, reason string, reconnect bool, after [2]int, code int) {
	if l.stuck {
		return // it will not hear it
	}
	m.hear(l, "%s", v1Bye{reason, reconnect, after})
	m.hear(l, "close %d", code)
}

func (m *v1Model) hear(l *v1Link, format string, args ...any) {
	m.log.add(m.now, l.name, format, args...)
}

// Callbacks, one at a time.

// call queues a callback of a session.
func (m *v1Model) call(s *v1Session, c v1Call) {
	s.calls = append(s.calls, c)
	if !s.inRun {
		m.run(s)
	}
}

// run runs those that wait, until one blocks.
func (m *v1Model) run(s *v1Session) {
	s.inRun = true
	for len(s.calls) > 0 && s.busy == never {
		c := s.calls[0]
		s.calls = s.calls[1:]
		if c.text != "" {
			m.log.add(m.now, s.name, "%s", c.text)
		}
		switch c.word {
		case "":
			continue
		case "block":
			s.busy = m.now + v1BlockedTime
			continue
		case "echo":
			m.send(s, c.item)
		case "quit":
			m.closeSession(s)
		case "panic":
			if s.link == c.link {
				m.fail(s, "panic=oops", "panic", 1011)
			}
		}
		s.processed = append(s.processed, m.now)
	}
	s.inRun = false
}

// unblock is the end of a callback that has blocked.
func (m *v1Model) unblock(s *v1Session) {
	s.busy = never
	s.processed = append(s.processed, m.now)
	m.run(s)
}

// What time does.

// advance lets time pass, with all that is due meanwhile.
func (m *v1Model) advance(to time.Duration) { advance(&m.now, to, m.next) }

// next returns what is due next, and when. No two things are due at once: see v1Trial.step.
func (m *v1Model) next() (at time.Duration, event func()) {
	at = never
	due := func(t time.Duration, e func()) {
		if t < at {
			at, event = t, e
		}
	}
	for _, s := range m.all {
		due(s.busy, func() { m.unblock(s) })
		due(s.expires, func() { m.end(s, v1Expired, s.dropErr) })
		if s.link != nil {
			due(s.link.nextPing, func() { m.ping(s) })
		}
	}
	return at, event
}

// ping pings a client, and gives it up if it has acknowledged nothing for too long. Whether it gets that ping before
// the end is left open.
func (m *v1Model) ping(s *v1Session) {
	l := s.link
	l.nextPing += m.cfg.pingPeriod
	if m.keeps() && m.cfg.ackTimeout > 0 && len(s.numbered) > 0 && m.now-s.progress > m.cfg.ackTimeout {
		l.maybe = m.now
		m.fail(s, "ack_timeout", "ack_timeout", 1008)
		return
	}
	l.pings = append(l.pings, m.now)
}
