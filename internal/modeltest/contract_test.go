package modeltest

import (
	"fmt"
	"math"
	"slices"
	"time"

	wspulse "github.com/wspulse/server"
)

// A model is the contract as a small program: what one has to see of a server whose peers either read all the time or not
// at all, and that comes to rest after each call. It writes down what it expects; modelTrial compares. All times count from
// the start of the server.
type model struct {
	cfg      modelConfig
	now      time.Duration
	log      *modelLog
	opened   int                      // sessions so far
	dialled  int                      // links so far
	sessions map[string]*modelSession // those that live, by connectionID
	links    []*modelLink             // those that the server has not closed
	closed   bool                     // Server.Close was called
	closers  int                      // calls of it that have not returned
}

type modelConfig struct {
	window, pingPeriod, pongWait, writeWait time.Duration
	buffer                                  int
}

// A modelSession is connected, suspended or, for as long as its last link is there, ended.
type modelSession struct {
	name, id, room string
	opened         time.Duration
	queue          []string       // the frames that wait to be written
	link           *modelLink     // nil while suspended
	expires        time.Duration  // never unless suspended
	dropErr        string         // that OnTransportDrop got
	ending         *sessionEnding // nil while it lives
}

// A modelLink is a WebSocket, seen from both sides.
type modelLink struct {
	name     string
	session  *modelSession
	reading  bool          // the client reads
	writing  bool          // the server is stuck in a write
	hand     []string      // the frames of that write; a ping or a close frame has none
	writeBy  time.Duration // when that write fails
	nextPing time.Duration
	pongBy   time.Duration // when the read fails
	pinged   bool          // a ping waits for the client to read on
	gone     bool          // the server has closed the socket
	over     bool          // the client has, or has read the end
}

// A sessionEnding is a row of the contract's table of endings.
type sessionEnding struct {
	reason wspulse.DisconnectReason
	close  string // that a connected client reads
	flush  bool   // what is queued goes out before that
}

var (
	byClose     = &sessionEnding{wspulse.DisconnectNormal, `close 1000 ""`, true}
	byKick      = &sessionEnding{wspulse.DisconnectKick, `close 1000 "kicked"`, false}
	byDuplicate = &sessionEnding{wspulse.DisconnectDuplicate, `close 1000 "duplicate connection id"`, false}
	byServer    = &sessionEnding{wspulse.DisconnectServerClose, `close 1001 "server shutting down"`, true}
	byExpiry    = &sessionEnding{reason: wspulse.DisconnectGraceExpired} // nobody is connected
	byDeath     = &sessionEnding{reason: wspulse.DisconnectNormal}       // nobody is connected
)

const (
	never      = time.Duration(math.MaxInt64)
	modelBatch = 64 // frames that the server writes at once, at the most
)

func newModel(cfg modelConfig) *model {
	return &model{cfg: cfg, log: newModelLog(), sessions: make(map[string]*modelSession)}
}

// What callers do. Each returns the word for the error that they get.

// connect returns no link when the server refuses.
func (m *model) connect(id, room string, reading bool) (*modelLink, string) {
	if m.closed {
		return nil, "503"
	}
	s := m.sessions[id]
	if s != nil && s.link != nil {
		m.end(s, byDuplicate, "duplicate")
		s = nil
	}
	if s == nil {
		s = m.open(id, room)
	} else {
		m.log.add(m.now, "hub, "+id, "resumed in %s", s.room)
		m.callback(s, "restore")
	}
	l := &modelLink{name: fmt.Sprintf("client %d (%s)", m.dialled, id), session: s, reading: reading,
		nextPing: m.now + m.cfg.pingPeriod, pongBy: m.now + m.cfg.pongWait}
	m.dialled++
	m.links = append(m.links, l)
	s.link, s.expires = l, never
	m.write(l)
	return l, "nil"
}

func (m *model) open(id, room string) *modelSession {
	if len(m.members(room)) == 0 {
		m.log.add(m.now, "room "+room, "created")
	}
	s := &modelSession{name: sessionName(m.opened, id), id: id, room: room, opened: m.now, expires: never}
	m.opened++
	m.sessions[id] = s
	m.log.add(m.now, "hub, "+id, "opened in %s", room)
	m.callback(s, "connect")
	return s
}

func (m *model) serverSend(id, frame string) string {
	s := m.sessions[id]
	if s == nil {
		return "not found"
	}
	return m.send(s, frame)
}

// send is Connection.Send. The frame "" stands for one that cannot be encoded.
func (m *model) send(s *modelSession, frame string) string {
	switch {
	case s.ending != nil:
		return "connection closed"
	case frame == "":
		return "encoding"
	case len(s.queue) >= m.cfg.buffer:
		m.lost(s, []string{frame})
		return "full"
	}
	s.queue = append(s.queue, frame)
	m.write(s.link)
	return "nil"
}

func (m *model) broadcast(room, frame string) string {
	switch {
	case m.closed:
		return "server closed"
	case frame == "":
		return "encoding"
	}
	members := m.members(room)
	for _, s := range members {
		if len(s.queue) >= m.cfg.buffer {
			m.lost(s, s.queue[:1])
			s.queue = s.queue[1:]
		}
		s.queue = append(s.queue, frame)
		m.write(s.link)
	}
	if len(members) > 0 {
		m.log.add(m.now, "room "+room, "broadcast of %d bytes to %d", modelPayloadSize, len(members))
	}
	return "nil"
}

func (m *model) kick(id string) string {
	switch s := m.sessions[id]; {
	case m.closed:
		return "server closed"
	case s == nil:
		return "not found"
	default:
		m.end(s, byKick, "nil")
		return "nil"
	}
}

// closeSession is Connection.Close.
func (m *model) closeSession(s *modelSession) {
	if s.ending == nil {
		m.end(s, byClose, "nil")
	}
}

func (m *model) closeServer() {
	m.closed = true
	m.closers++
	for _, s := range m.sessions {
		m.end(s, byServer, "server-closed")
	}
	m.closeReturns()
}

// closeReturns lets Server.Close return once no socket is left.
func (m *model) closeReturns() {
	for ; m.closed && len(m.links) == 0 && m.closers > 0; m.closers-- {
		m.log.add(m.now, "server", "Close returned")
	}
}

// What peers do.

// say sends a message that has OnMessage do what it says; the frame is what it sends on.
func (m *model) say(l *modelLink, word, frame string) {
	s := l.session
	if s.ending != nil {
		return
	}
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
		m.hangUp(l, "panic=oops", `close 1011 ""`)
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
			l.pinged, l.pongBy = false, m.now+m.cfg.pongWait
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
func (m *model) advance(to time.Duration) {
	for {
		at, event := m.next()
		if at > to {
			break
		}
		m.now = at
		event()
	}
	m.now = to
}

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
		due(l.pongBy, func() {
			if l.session.ending == nil {
				m.log.add(m.now, "pongs of "+l.session.id, "timeout")
			}
			m.die(l, "timeout")
		})
	}
	return at, event
}

func (m *model) ping(l *modelLink) {
	l.nextPing += m.cfg.pingPeriod
	if l.reading {
		l.pongBy = m.now + m.cfg.pongWait
		return
	}
	l.pinged = true
	if !l.writing {
		m.stick(l, nil)
	}
}

// What comes of it.

// write writes what is queued, if there is somebody to write to. A client that does not read keeps the server in the first
// write.
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

// end ends a session that lives, for callers and callbacks at once. Its link is there until the client has read the close
// frame, or cannot any more.
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

// die is the death of a transport: the session is suspended, or ends. What was not written whole is the first to go out on
// the next transport.
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
