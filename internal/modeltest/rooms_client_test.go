package modeltest

import (
	"fmt"
	"net/url"
	"strconv"
	"testing/synctest"
	"time"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/wstest"
)

// roomsPeerOf picks what ConnectFunc says of a peer.
func roomsPeerOf(a, b byte) roomsPeer {
	p := roomsPeer{id: modelIDs[a%4], home: roomsNames[b%4], attached: a>>2%4 != 3, user: roomsUsers[a>>2%4%3]}
	for i, room := range roomsNames[:4] {
		if b>>(2+i)&1 != 0 {
			p.also = append(p.also, room)
		}
	}
	if b&atOnce != 0 {
		p.also = append(p.also, p.also...)
	}
	p.expires = [...]time.Duration{never, never, 5*second + second/4, 30*second + second/4}[a>>4%4]
	if long := "a very long ID"; a>>6 == 3 && b&0x40 != 0 {
		p.user = long
	}
	return p
}

func (r *roomsTrial) connect(p roomsPeer) {
	if s := r.m.sessions[p.id]; s != nil && s.running && s.link != nil {
		r.freeSession(s) // it may pass for one that is about to leave
	}
	if p.expires != never {
		p.expires += r.m.now
	}
	query := url.Values{"room": {p.home}, "id": {p.id}, "user": {p.user}, "also": p.also}
	if p.attached {
		query.Set("attach", "")
	}
	if p.expires != never {
		query.Set("expires", p.expires.String())
	}
	client, response, err := r.w.web.TryDial("/?"+query.Encode(), wstest.WithIdle())
	got := "nil"
	switch {
	case err != nil && response == nil:
		got = "no answer"
	case err != nil && response.StatusCode == 503:
		got = "503"
	case err != nil:
		got = "refused"
	}
	link, want := r.m.connect(p)
	r.tell("%+v connects: %s", p, want)
	if got != want {
		r.t.Errorf("%+v connects: got %s, want %s", p, got, want)
	}
	if got != "nil" || want != "nil" {
		return
	}
	if len(r.joined) < r.m.opened {
		r.joined = append(r.joined, link.session)
	}
	c := &roomsClient{client, link}
	r.clients = append(r.clients, c)
	go r.listen(c)
}

// listen writes down what a client reads.
func (r *roomsTrial) listen(c *roomsClient) {
	for {
		var f wspulse.Frame
		_, data, err := c.WebSocket.ReadMessage()
		if err == nil {
			f, err = wspulse.JSONCodec.Decode(data)
		}
		if err != nil {
			r.note(c.link.name, "%s", farewell(err))
			c.WebSocket.Close()
			return
		}
		r.note(c.link.name, "%s", f.Event)
	}
}

// clientStep takes a step of one of the clients that are there. One is left alone while its session's callback has not
// taken long enough for the server to read on.
func (r *roomsTrial) clientStep(op, a, b byte) {
	var there []*roomsClient
	for _, c := range r.clients {
		if s := c.link.session; !c.link.over && (!s.running || r.m.now > max(s.since, c.link.begun)) {
			there = append(there, c)
		}
	}
	if len(there) == 0 {
		return
	}
	switch c := there[int(a)%len(there)]; op {
	case roomsSay:
		r.sayStep(c, b)
	case roomsBusy:
		if !c.link.session.running {
			r.say(c, "busy", "")
		}
		if b&1 != 0 {
			r.settle()
			r.pass(1)
		}
	case roomsDrop:
		r.drop(c, b)
	}
}

func (r *roomsTrial) sayStep(c *roomsClient, b byte) {
	word := roomsWords[int(b&0x0F)%len(roomsWords)]
	arg := roomsNames[int(b>>4)%len(roomsNames)]
	if word == "kick" {
		arg = roomsUsers[int(b>>4)%len(roomsUsers)]
	}
	if s := c.link.session; s.running && (word == "kick" || len(s.turns) >= r.m.cfg.buffer) {
		word = "note" // what is queued then the client may read, or not; and there is no room for more
	}
	r.say(c, word, arg)
}

func (r *roomsTrial) say(c *roomsClient, word, arg string) {
	_, number := r.frame(0)
	r.tell("%s says %s %s %s", c.link.name, word, arg, number)
	c.Send(wspulse.Frame{Event: word, ID: number, Payload: []byte(strconv.Quote(arg))})
	r.m.say(c.link, word, arg, number)
}

func (r *roomsTrial) drop(c *roomsClient, b byte) {
	code := []int{0, 1000, 1005, 4000}[b%4]
	r.tell("%s leaves with %d", c.link.name, code)
	word := "nil"
	switch code {
	case 0:
		c.Drop()
		r.m.drop(c.link, "1006", "gone")
		return
	case 4000:
		word = "4000"
	}
	c.Close(code, "")
	r.m.drop(c.link, word, fmt.Sprintf("close %d %q", code, ""))
}

// What the server calls.

func (r *roomsTrial) onConnect(c wspulse.Connection) {
	if c.ID() == wardenID {
		return
	}
	r.mu.Lock()
	r.sessions = append(r.sessions, c)
	r.mu.Unlock()
	r.callback(c, "connect")
	if c.ID() == roomsJoiner {
		_ = c.Join("den")
	}
}

func (r *roomsTrial) onRestore(c wspulse.Connection) {
	r.callback(c, "restore")
	if c.ID() == roomsJoiner {
		_ = c.Leave("attic")
	}
}

// roomsJoiner is who has callbacks join and leave.
const roomsJoiner = "dave"

func (r *roomsTrial) callback(c wspulse.Connection, format string, args ...any) {
	if c.ID() != wardenID {
		r.note(r.name(c), format, args...)
	}
}

// onMessage does what the message says.
func (r *roomsTrial) onMessage(c wspulse.Connection, f wspulse.Frame) {
	result, server := "nil", r.w.server
	arg, _ := strconv.Unquote(string(f.Payload))
	switch f.Event {
	case "busy":
		r.takeLong(c)
		return
	case "echo":
		result = roomsVerdict(c.Send(ev(f.ID)))
	case "shout":
		result = roomsVerdict(server.BroadcastExcept(arg, ev(f.ID), c.ID()))
	case "all":
		result = roomsVerdict(server.BroadcastAll(ev(f.ID)))
	case "join":
		result = roomsVerdict(c.Join(arg))
	case "leave":
		result = roomsVerdict(c.Leave(arg))
	case "move":
		result = roomsVerdict(c.Leave(arg)) + roomsVerdict(c.Join("den"))
	case "kick":
		result = fmt.Sprint(server.KickUser(arg))
	case "quit":
		result = roomsVerdict(c.CloseWith(4000, "bye"))
	case "expire":
		c.SetExpires(r.start)
	}
	r.callback(c, "message(%s %s: %s)", f.Event, arg, result)
}

// takeLong returns when the callback is let free.
func (r *roomsTrial) takeLong(c wspulse.Connection) {
	r.callback(c, "busy")
	free := make(chan struct{})
	name := r.name(c)
	r.mu.Lock()
	r.free[name] = free
	r.mu.Unlock()
	<-free
	r.callback(c, "free")
}

func (r *roomsTrial) freeOne(a byte) {
	var busy []*roomsSession
	for _, s := range r.joined {
		if s.running {
			busy = append(busy, s)
		}
	}
	if len(busy) > 0 {
		r.freeSession(busy[int(a)%len(busy)])
	}
}

func (r *roomsTrial) freeAll() {
	for _, s := range r.joined {
		if s.running {
			r.freeSession(s)
		}
	}
}

// freeSession lets the callback of a session return, and those that wait behind it run.
func (r *roomsTrial) freeSession(s *roomsSession) {
	r.tell("the callback of %s returns", s.name)
	r.mu.Lock()
	close(r.free[s.name])
	delete(r.free, s.name)
	r.mu.Unlock()
	r.m.free(s)
	r.settle()
}

// The warden is a member of a room of its own. It is there to have the hub wait in the middle of a fan-out.
const wardenID, wardenRoom = "warden", "gate"

func (r *roomsTrial) postWarden() {
	warden, _, err := r.w.connect(wardenRoom, wardenID)
	if err != nil {
		r.t.Fatal(err)
	}
	warden.StartReading()
	synctest.Wait()
	r.log.take()
}

// holdHub has the hub wait between the calls that are made before and those that come, so that these queue up.
func (r *roomsTrial) holdHub() {
	want := "nil"
	if r.m.closed {
		want = "server closed"
	}
	r.call(want, func() string {
		return roomsVerdict(r.w.server.Broadcast(wardenRoom, wspulse.Frame{Event: "hold", ID: "up"}))
	}, "the hub is held up")
}
