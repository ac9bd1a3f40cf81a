package wspulse

import "github.com/wspulse/server/internal/presence"

// EventPresence is the event of the frames that [WithPresence] has a server send.
const EventPresence = presence.Event

// Member is a member of a room, as [Server].Presence returns it.
type Member struct {
	ID     string // connectionID
	UserID string
	Info   any  // what the function of WithPresence says; nil without one
	Away   bool // its session is suspended
}

// WithPresence has the members of each room told who is there. info says what the others are told of a member, beside
// its connectionID and UserID: anything that encoding/json takes, and that nobody changes later; nil is nothing. It is
// called when a session joins a room, and when it is resumed there, on a goroutine that does nothing else: it should be
// quick, since all rooms wait for it. A panic is logged, and says nothing.
//
// The frames have the event "presence" ([EventPresence]) and a payload of JSON, whatever the codec:
//
//	{"room":"r", "full":true, "join":[{"id":"…","user":"…","info":…,"away":true}], "leave":["id"],
//	 "away":["id"], "back":["id"], "count":7}
//
// What is empty is left out, but for count. What changes within 250 ms makes one frame, and where changes go on, within
// 2 s. Who joins gets a list of all first: "full":true and everybody in join. A join of who is there already is news of
// it. Who leaves a room, and stays in others, gets an empty list with the count 0. A session that is suspended is away,
// and back when it is resumed: it neither leaves nor joins. It gets nothing meanwhile, and a list when it is back. So
// does, within 5 s, who lost a frame to a full buffer.
//
// A room of more than 1,000 is told of count alone, until 750 are left.
//
// Danger: a list of 1,000 members is as large as all their IDs and infos, and a peer must take messages of that size.
// An info of more than 512 bytes of JSON is left out, and logged. IDs that are not UTF-8 can't be told apart in JSON.
//
// Danger: info must not call Server.Presence, which calls it, nor Join or Leave.
//
// Default none: nobody is told. Must not be nil.
func WithPresence(info func(c Connection) any) ServerOption {
	if info == nil {
		panic("wspulse: WithPresence: info must not be nil")
	}
	return func(c *serverConfig) { c.presence = info }
}

// Presence implements Server.
func (s *server) Presence(roomID string) []Member {
	connections := s.hub.members(roomID)
	members := make([]Member, len(connections))
	for i, c := range connections {
		members[i] = Member{ID: c.ID(), UserID: c.UserID(), Away: c.Suspended(), Info: s.hub.infoOf(c)}
	}
	return members
}

// infoOf returns what others are told of a member; a panic is nothing.
func (h *hub) infoOf(c Connection) (info any) {
	if h.cfg.presence != nil {
		h.contain("WithPresence", c.ID(), func() { info = h.cfg.presence(c) })
	}
	return info
}
