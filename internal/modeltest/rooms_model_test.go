package modeltest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	wspulse "github.com/wspulse/server"
)

// A roomsModel is what the documentation says of rooms, users and times to end, as a small program. Its peers read all
// the time, and what is sent to one that is connected has been read when the call is over. All times count from the
// start of the server.
type roomsModel struct {
	cfg      roomsConfig
	now      time.Duration
	log      *modelLog
	opened   int                      // sessions so far
	dialled  int                      // links so far
	sessions map[string]*roomsSession // those that live, by connectionID
	closed   bool                     // Server.Close was called
}

type roomsConfig struct {
	window           time.Duration
	buffer, maxRooms int
	policy           wspulse.RoomPolicy
}

// roomsMaxID is what WithMaxIDLength allows.
const roomsMaxID = 8

// A roomsPeer is what ConnectFunc says of a peer.
type roomsPeer struct {
	id, home string
	attached bool // the rest counts: it has called Attach
	user     string
	also     []string      // Details.Rooms
	expires  time.Duration // never: zero
}

// A roomsSession is connected, suspended or ended.
type roomsSession struct {
	name, id, user string
	rooms          []string // the home first
	opened         time.Duration
	queue          []string   // while suspended
	link           *roomsLink // nil while suspended
	windowEnds     time.Duration
	expires        time.Duration
	dropErr        string         // that OnTransportDrop got
	ending         *sessionEnding // nil while it lives
	running        bool           // a callback of it runs,
	since          time.Duration  // which takes long
	turns          []roomsTurn    // that wait for it
}

// A roomsTurn is a callback that waits, or a message that waits for OnMessage.
type roomsTurn struct {
	line string
	do   func() // what the callback does; nil: nothing
	said *roomsSaid
}

// A roomsSaid is a message.
type roomsSaid struct {
	link             *roomsLink
	word, arg, frame string
}

// A roomsLink is a WebSocket, as its client sees it.
type roomsLink struct {
	name    string
	session *roomsSession
	begun   time.Duration
	over    bool // the client has come to the end
}

var byOverdue = &sessionEnding{wspulse.DisconnectExpired, `close 4401 "expired"`, true}

// byCode is an ending with another close frame.
func byCode(e *sessionEnding, code int, reason string) *sessionEnding {
	return &sessionEnding{e.reason, fmt.Sprintf("close %d %q", code, reason), e.flush}
}

func newRoomsModel(cfg roomsConfig) *roomsModel {
	return &roomsModel{cfg: cfg, log: newModelLog(), sessions: make(map[string]*roomsSession)}
}

// What callers do. Each returns the word for the error that they get.

func (m *roomsModel) send(s *roomsSession, frame string) string {
	switch {
	case s.ending != nil:
		return "connection closed"
	case frame == "":
		return "encoding"
	case s.link == nil && len(s.queue) >= m.cfg.buffer:
		m.lost(s, 1)
		return "full"
	}
	m.deliver(s, frame)
	return "nil"
}

func (m *roomsModel) serverSend(id, frame string) string {
	if s := m.sessions[id]; s != nil {
		return m.send(s, frame)
	}
	return "not found"
}

func (m *roomsModel) sendUser(user, frame string) string {
	sessions := m.userSessions(user)
	switch {
	case len(sessions) == 0:
		return "0 not found"
	case frame == "":
		return "0 encoding"
	}
	sent, err := 0, "nil"
	for _, s := range sessions {
		if m.send(s, frame) == "nil" {
			sent++
		} else {
			err = "full"
		}
	}
	return fmt.Sprint(sent, " ", err)
}

// broadcast is Broadcast and BroadcastExcept.
func (m *roomsModel) broadcast(room, frame string, except ...string) string {
	switch {
	case m.closed:
		return "server closed"
	case frame == "":
		return "encoding"
	}
	reached := 0
	for _, s := range m.members(room) {
		if !slices.Contains(except, s.id) {
			m.deliver(s, frame)
			reached++
		}
	}
	m.fannedOut(room, reached)
	return "nil"
}

func (m *roomsModel) broadcastAll(frame string) string {
	switch {
	case m.closed:
		return "server closed"
	case frame == "":
		return "encoding"
	}
	for _, s := range m.sessions {
		m.deliver(s, frame)
	}
	for _, room := range m.rooms() {
		m.fannedOut(room, len(m.members(room)))
	}
	return "nil"
}

func (m *roomsModel) fannedOut(room string, members int) {
	if members > 0 {
		m.log.add(m.now, "room "+room, "broadcast of %d bytes to %d", modelPayloadSize, members)
	}
}

// deliver has a session get a frame, at the cost of the oldest one where there is no room for it.
func (m *roomsModel) deliver(s *roomsSession, frame string) {
	if s.link != nil {
		m.read(s.link, frame)
		return
	}
	if s.queue = append(s.queue, frame); len(s.queue) > m.cfg.buffer {
		s.queue = s.queue[1:]
		m.lost(s, 1)
	}
}

func (m *roomsModel) join(s *roomsSession, room string) string {
	switch {
	case len(room) > roomsMaxID:
		return "too long"
	case s.ending != nil:
		return "connection closed"
	case slices.Contains(s.rooms, room):
		return "nil"
	case len(s.rooms) >= m.cfg.maxRooms:
		return "too many"
	}
	m.enter(room)
	s.rooms = append(s.rooms, room)
	m.tell(s, "join(%s)", room)
	return "nil"
}

func (m *roomsModel) leave(s *roomsSession, room string) string {
	switch {
	case s.ending != nil:
		return "connection closed"
	case s.rooms[0] == room:
		return "home"
	case !slices.Contains(s.rooms, room):
		return "not in room"
	}
	s.rooms = without(s.rooms, room)
	m.exited(room)
	m.tell(s, "leave(%s)", room)
	return "nil"
}

// kick is Kick and KickWith.
func (m *roomsModel) kick(id string, e *sessionEnding) string {
	switch s := m.sessions[id]; {
	case m.closed:
		return "server closed"
	case s == nil:
		return "not found"
	default:
		m.end(s, e, "nil")
		return "nil"
	}
}

func (m *roomsModel) kickUser(user string, e *sessionEnding) string {
	sessions := m.userSessions(user)
	for _, s := range sessions {
		m.end(s, e, "nil")
	}
	return fmt.Sprint(len(sessions))
}

// closeSession is Close and CloseWith. What a peer has said that has left is lost by these, if by nothing else: nobody
// wants to hear it.
func (m *roomsModel) closeSession(s *roomsSession, e *sessionEnding) string {
	s.hearNoMore()
	if s.ending == nil {
		m.end(s, e, "nil")
	}
	return "nil"
}

func (m *roomsModel) setExpires(s *roomsSession, at time.Duration) {
	if s.ending != nil {
		return
	}
	if s.expires = at; at <= m.now {
		m.end(s, byOverdue, "expired")
	}
}

func (m *roomsModel) closeServer() string {
	m.closed = true
	for _, s := range m.sessions {
		m.end(s, byServer, "server-closed")
	}
	return "nil"
}

// Who is where.

// enter is to be called before a session is in a room.
func (m *roomsModel) enter(room string) {
	if len(m.members(room)) == 0 {
		m.log.add(m.now, "room "+room, "created")
	}
}

// exited is to be called when a session is in a room no more.
func (m *roomsModel) exited(room string) {
	if len(m.members(room)) == 0 {
		m.log.add(m.now, "room "+room, "destroyed")
	}
}

func (m *roomsModel) members(room string) []*roomsSession {
	return m.living(func(s *roomsSession) bool { return slices.Contains(s.rooms, room) })
}

// userSessions returns nobody for the user "", who is nobody in particular.
func (m *roomsModel) userSessions(user string) []*roomsSession {
	return m.living(func(s *roomsSession) bool { return user != "" && s.user == user })
}

func (m *roomsModel) living(which func(*roomsSession) bool) (sessions []*roomsSession) {
	for _, s := range m.sessions {
		if which(s) {
			sessions = append(sessions, s)
		}
	}
	slices.SortFunc(sessions, func(a, b *roomsSession) int { return strings.Compare(a.name, b.name) })
	return sessions
}

// rooms returns those that have members.
func (m *roomsModel) rooms() (rooms []string) {
	for _, s := range m.sessions {
		rooms = append(rooms, s.rooms...)
	}
	slices.Sort(rooms)
	return slices.Compact(rooms)
}

func without(rooms []string, room string) []string {
	return slices.DeleteFunc(slices.Clone(rooms), func(r string) bool { return r == room })
}
