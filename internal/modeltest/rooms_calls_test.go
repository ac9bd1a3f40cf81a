package modeltest

import (
	"errors"
	"fmt"
	"strings"
	"time"

	wspulse "github.com/wspulse/server"
)

// The calls, each on both sides.

// frame returns the next frame and its number, or one that cannot be encoded.
func (r *roomsTrial) frame(b byte) (f wspulse.Frame, number string) {
	if b&broken == broken {
		return wspulse.Frame{Payload: []byte("{")}, ""
	}
	r.frames++
	r.queued++
	number = fmt.Sprintf("%04d", r.frames)
	return ev(number), number
}

func (r *roomsTrial) sendStep(op, a, b byte) {
	f, number := r.frame(b)
	server, id, user, room := r.w.server, modelIDs[a%4], roomsUsers[a%3], roomsNames[a%4]
	switch op {
	case roomsSend:
		r.call(r.m.serverSend(id, number), func() string { return roomsVerdict(server.Send(id, f)) },
			"Send %q to %s", number, id)
	case roomsSendUser:
		r.call(r.m.sendUser(user, number), func() string {
			sent, err := server.SendUser(user, f)
			return fmt.Sprint(sent, " ", roomsVerdict(err))
		}, "SendUser %q to %q", number, user)
	case roomsBroadcast:
		r.call(r.m.broadcast(room, number), func() string { return roomsVerdict(server.Broadcast(room, f)) },
			"Broadcast %q in the %s", number, room)
	case roomsExcept:
		var except []string
		for i, id := range modelIDs {
			if b>>i&1 != 0 {
				except = append(except, id)
			}
		}
		r.call(r.m.broadcast(room, number, except...), func() string {
			defer clear(except) // which are the caller's again
			return roomsVerdict(server.BroadcastExcept(room, f, except...))
		}, "BroadcastExcept %q in the %s, not to %v", number, room, except)
	case roomsAll:
		r.call(r.m.broadcastAll(number), func() string { return roomsVerdict(server.BroadcastAll(f)) },
			"BroadcastAll %q", number)
	}
}

// session returns one of the last eight sessions, on both sides.
func (r *roomsTrial) session(a byte) (wspulse.Connection, *roomsSession) {
	n := len(r.joined)
	if n == 0 {
		return nil, nil
	}
	n -= 1 + int(a)%min(n, 8)
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sessions[n], r.joined[n]
}

func (r *roomsTrial) sessionStep(c wspulse.Connection, s *roomsSession, op, b byte) {
	room := roomsNames[b&0x3F%byte(len(roomsNames))]
	if s.ending != nil && len(room) > roomsMaxID {
		room = "den" // which of the two errors it is, the documentation leaves open
	}
	switch op {
	case roomsSendOn:
		f, number := r.frame(b)
		r.call(r.m.send(s, number), func() string { return roomsVerdict(c.Send(f)) }, "Send %q to %s", number, s.name)
	case roomsJoin:
		r.call(r.m.join(s, room), func() string { return roomsVerdict(c.Join(room)) }, "%s joins the %s", s.name, room)
	case roomsLeave:
		r.call(r.m.leave(s, room), func() string { return roomsVerdict(c.Leave(room)) }, "%s leaves the %s", s.name,
			room)
	case roomsEnd:
		r.end(c, s, b)
	case roomsExpires:
		at := [...]time.Duration{never, r.m.now + 3*second + second/4, r.m.now + 20*second + second/4, 0}[b%4]
		r.expires(c, s, at)
	}
}

func (r *roomsTrial) end(c wspulse.Connection, s *roomsSession, b byte) {
	switch b % 4 {
	case 0:
		r.call(r.m.closeSession(s, byClose), func() string { return roomsVerdict(c.Close()) }, "Close of %s", s.name)
	case 1:
		r.call(r.m.closeSession(s, byCode(byClose, 3000, "be nice")), func() string {
			return roomsVerdict(c.CloseWith(3000, "be nice"))
		}, "CloseWith of %s", s.name)
	case 2:
		r.call("bad", func() string { return roomsVerdict(c.CloseWith(1001, "")) }, "CloseWith 1001 of %s", s.name)
	case 3:
		r.expires(c, s, 0)
	}
}

func (r *roomsTrial) expires(c wspulse.Connection, s *roomsSession, at time.Duration) {
	r.m.setExpires(s, at)
	r.call("nil", func() string {
		if at == never {
			c.SetExpires(time.Time{})
		} else {
			c.SetExpires(r.start.Add(at))
		}
		return "nil"
	}, "SetExpires of %s to %v", s.name, at)
}

func (r *roomsTrial) kick(id, user string, b byte) {
	server := r.w.server
	switch how := b % 4; {
	case how == 0:
		r.call(r.m.kick(id, byKick), func() string { return roomsVerdict(server.Kick(id)) }, "Kick %s", id)
	case how == 1 && b&4 != 0:
		r.call(r.m.kickUser(user, byCode(byKick, 4998, "out")), func() string {
			n, err := server.KickUserWith(user, 4998, "out")
			if err != nil {
				return err.Error()
			}
			return fmt.Sprint(n)
		}, "KickUserWith %q", user)
	case how == 1:
		r.call(r.m.kickUser(user, byKick), func() string { return fmt.Sprint(server.KickUser(user)) }, "KickUser %q", user)
	case how == 2 && r.m.sessions[id] != nil:
		r.call("bad", func() string { return roomsVerdict(server.KickWith(id, 5000, "")) }, "KickWith 5000 %s", id)
	default:
		r.call(r.m.kick(id, byCode(byKick, 4999, "go")), func() string {
			return roomsVerdict(server.KickWith(id, 4999, "go"))
		}, "KickWith %s", id)
	}
}

func (r *roomsTrial) closeServer() {
	if len(r.free) > 0 {
		r.settle()
		r.freeAll() // it waits for those who read, and these pass that on in a while
	}
	r.call(r.m.closeServer(), func() string {
		r.w.server.Close()
		return "nil"
	}, "Server.Close")
}

// roomsVerdict gives the errors that calls return a word each.
func roomsVerdict(err error) string {
	switch {
	case errors.Is(err, wspulse.ErrTooManyRooms):
		return "too many"
	case errors.Is(err, wspulse.ErrIDTooLong):
		return "too long"
	case err == wspulse.ErrHomeRoom:
		return "home"
	case err == wspulse.ErrNotInRoom:
		return "not in room"
	case err != nil && strings.Contains(err.Error(), "close code"):
		return "bad"
	default:
		return verdict(err)
	}
}
