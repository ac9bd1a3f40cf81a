package modeltest

import (
	"fmt"
	"math"
	"time"

	wspulse "github.com/wspulse/server"
)

// A model is the contract as a small program: what one has to see of a server whose peers either read all the time or
// not at all, and that comes to rest after each call. It writes down what it expects; modelTrial compares. All times
// count from the start of the server.
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
	lived    bool          // something has come from the client since the last ping
	pongBy   time.Duration // when it is given up; never, while no ping is without an answer
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
		nextPing: m.now + m.cfg.pingPeriod, pongBy: never, lived: true}
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
