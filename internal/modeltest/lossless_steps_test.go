package modeltest

import (
	"fmt"
	"strings"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/wstest"
)

// The steps: each takes two bytes, a for the connectionID that it is about, and b for how.
const (
	v1Open      = iota // without a claim
	v1Claims           // a: also which token; b: which count
	v1Say              // b: what; a: also how often
	v1Acks             // b: how many
	v1Lies             // b: how the count of what was sent is wrong; a: also in what
	v1Garbage          // b: which
	v1Ping             //
	v1SayBye           //
	v1HangUp           // b: status
	v1Drop             // b: says so many messages, of which the server has to make sure
	v1Cut              // its client does not read: see cut
	v1Send             // Server.Send; b: of what size, and how often
	v1SendOn           // Connection.Send; a: which session, 0 is the last; b: of what size
	v1Broadcast        // b: of what size, and how often
	v1Kick             //
	v1Close            // Connection.Close; a: which session
	v1Pass             // b: how long
	v1Steps
)

// v1More is what numbers from v1Steps on stand for: life rather than death.
var v1More = []byte{v1Open, v1Claims, v1Claims, v1Claims, v1Say, v1Say, v1Say, v1Acks, v1Acks, v1Acks, v1Drop, v1Drop,
	v1Cut, v1Send, v1Send, v1Broadcast, v1Broadcast, v1Broadcast, v1Pass, v1Pass, v1Pass}

var (
	v1IDs   = []string{"alice", "bob", "carol"}
	v1Words = []string{"note", "note", "echo", "block", "panic", "malformed", "large", "quit"} // that clients say
)

// step takes one step. No two happen at the same millisecond of a second: whatever comes of one later, for certain is
// not due when something else is.
func (r *v1Trial) step(op, a, b byte) {
	if op %= v1Steps + byte(len(v1More)); op >= v1Steps {
		op = v1More[op-v1Steps]
	}
	id := v1IDs[a%3]
	more := a / 3
	s := r.m.sessions[id]
	switch op {
	case v1Open:
		r.connect(id, nil)
	case v1Claims:
		r.comeBack(a, b)
	case v1Send, v1SendOn, v1Broadcast, v1Kick, v1Close:
		r.call(op, a, b)
	case v1Pass:
		r.pass([]time.Duration{second, 2 * second, second / 2, 5 * second, 10 * second, 31 * second, r.m.cfg.window,
			v1GraveTime}[b%8].Truncate(time.Millisecond))
	default:
		if s != nil && s.link != nil {
			r.clientStep(r.clients[s.link.number], op, more, b)
		}
	}
	r.settle()
	r.pass(time.Millisecond)
	r.settle()
}

func (r *v1Trial) clientStep(c *v1Client, op, a, b byte) {
	l := c.link
	s := l.session
	switch op {
	case v1Say:
		r.say(c, v1Words[b%8], []int{1, 1, 1, 2, 3, 5, 20, 70}[a%8])
	case v1Acks:
		r.tellControl(c, "ack", r.ackOf(s, b), s.accepted)
	case v1Lies:
		at := max(0, s.accepted+[]int{1, -1, 5, 1000}[b%4])
		if at != s.accepted {
			r.lie()
		}
		r.tellControl(c, []string{"ack", "ping", "bye"}[a%3], s.sent(), at)
	case v1Garbage:
		r.garbage(c, b)
	case v1Ping:
		r.tellControl(c, "ping", 0, s.accepted)
	case v1SayBye:
		r.tellControl(c, "bye", 0, s.accepted)
	case v1HangUp:
		code := []int{1000, 1001, 4000}[b%3]
		r.tell("%s closes with %d", l.name, code)
		_ = c.WebSocket.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), time.Time{})
		r.m.hangUp(l, code)
	case v1Drop:
		if b%4 > 1 {
			r.speak(c, "note", int(b%4))
		}
		r.tell("%s is cut off", l.name)
		c.Drop()
		r.m.drop(l)
	case v1Cut:
		r.cut(c, a, b)
	}
}

// lie notes that a client counts what was not.
func (r *v1Trial) lie() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lies++
}

// connect connects a client. It has the token of a link that there is, or none that was ever given.
func (r *v1Trial) connect(id string, claim *v1Claim) *v1Client {
	offer := []string{"wspulse.v1"}
	if r.tell("%s connects", id); claim != nil {
		token := strings.Repeat("A", 43)
		if c := r.clients[claim.token]; c != nil && c.token != "" {
			token = c.token
		}
		offer = append(offer, claim.subprotocol(token))
		r.tell("  and claims %+v", *claim)
		if s := r.m.sessions[claim.id]; s != nil && s.knows(claim.token) && !s.holds(claim.recv) && claim.id == id {
			r.lie()
		}
	}
	client, response, err := r.w.web.TryDial("/?room=r&id="+id, wstest.WithIdle(),
		wstest.WithDialer(func(d *websocket.Dialer) { d.Subprotocols = offer }))
	if err != nil {
		r.t.Fatalf("%s is refused: %v, %v", id, response, err)
	}
	if got := client.WebSocket.Subprotocol(); got != "wspulse.v1" {
		r.t.Errorf("%s gets the subprotocol %q", id, got)
	}
	c := &v1Client{Client: client, link: r.m.connect(id, claim), trial: r}
	r.clients[c.link.number] = c
	go c.listen()
	return c
}

// comeBack connects a client with a claim.
func (r *v1Trial) comeBack(a, count byte) {
	id, which := v1IDs[a%3], a/3
	claim := &v1Claim{id: id}
	other := v1IDs[(int(a)+1+int(which)/16%2)%3]
	nth := func(id string, n int) int { // from the last
		if tokens := r.m.tokens[id]; n < len(tokens) {
			return tokens[len(tokens)-1-n]
		}
		return 0
	}
	switch n := int(which % 16); n {
	case 9, 10:
		if s := r.m.sessions[id]; s != nil {
			claim.token = s.confirmed
		}
	case 11, 12:
		claim.token = nth(id, n-10)
	case 13: // made up
	case 14:
		claim.token = nth(other, 0)
	case 15:
		claim.id, claim.token = other, nth(other, 0)
	default:
		claim.token = nth(id, 0)
	}
	claim.recv = int(count / 8)
	if s := r.m.sessions[claim.id]; s != nil {
		known := s.sent() - s.acknowledged
		claim.recv = max(0, []int{s.sent(), s.sent(), s.sent(), s.acknowledged, s.acknowledged + int(count/8)%(known+1),
			s.sent() + 1, s.acknowledged - 1, 0}[count%8])
	}
	r.connect(id, claim)
}

// say has a client say something, so often.
func (r *v1Trial) say(c *v1Client, word string, times int) {
	if word == "block" || word == "quit" {
		times = min(times, 3)
	}
	if word == "echo" && c.link.session.busy != never {
		word = "note" // how many of them find room at once is for the server to choose
	} else if word == "echo" {
		times = min(times, r.m.cfg.buffer)
	}
	if word == "quit" && c.link.session.willPanic() {
		word = "note" // whether the panic or the end is known first is left to chance
	}
	r.speak(c, word, times)
	if word == "block" {
		r.settleLater()
	}
}

// settleLater gives the server time to notice that a callback takes long, before anything else is done.
func (r *v1Trial) settleLater() {
	synctest.Wait()
	r.pass(second)
}

func (r *v1Trial) speak(c *v1Client, word string, times int) {
	l := c.link
	r.tell("%s says %s, %d times, from number %d on", l.name, word, times, l.session.accepted+1)
	for i := range times {
		number, item := l.session.accepted+1, v1Item{}
		if word == "echo" {
			item, _ = r.item(0)
		}
		data, _ := wspulse.JSONCodec.Encode(wspulse.Frame{Event: word, ID: fmt.Sprint(number, " ", item.name)})
		switch word {
		case "malformed":
			data = []byte("malformed")
		case "large":
			data = []byte(strings.Repeat("x", v1MaxMessage+1+i))
		}
		c.say(data)
		r.m.say(l, word, item)
	}
}

// ackOf picks a number to acknowledge.
func (r *v1Trial) ackOf(s *v1Session, b byte) int {
	known := s.sent() - s.acknowledged
	return []int{s.sent(), s.sent(), s.sent(), s.acknowledged + min(1, known), s.acknowledged + int(b/8)%(known+1),
		s.acknowledged, s.sent() + 1 + int(b/8), s.acknowledged - 1}[b%8]
}

// tellControl sends a control message.
func (r *v1Trial) tellControl(c *v1Client, kind string, n, at int) {
	r.tell("%s: %s %d at %d, of %d", c.link.name, kind, n, at, c.link.session.accepted)
	r.control(c, kind, n, at)
}

func (r *v1Trial) control(c *v1Client, kind string, n, at int) {
	data := fmt.Sprintf(`{"t":%q,"at":%d}`, kind, at)
	if kind == "ack" {
		data = fmt.Sprintf(`{"at":%d,"n":%d,"later":[{}],"t":"ack"}`, at, n)
	}
	c.sendControl(data)
	if kind == "ack" && n < 0 {
		r.m.garbage(c.link)
	} else {
		r.m.control(c.link, kind, n, at)
	}
}

// garbage sends a control message that is none, or one that is at the edge of it.
func (r *v1Trial) garbage(c *v1Client, b byte) {
	at := c.link.session.accepted
	ping := fmt.Sprintf(`{"t":"ping","at":%d}`, at)
	garbage := []string{
		fmt.Sprintf(`{"t":"what","at":%d}`, at), `{`, ``, `[]`, `null`, `{"t":"ping"}`, `{"at":0}`,
		fmt.Sprintf(`{"t":"ack","at":%d}`, at), fmt.Sprintf(`{"t":"ack","n":0.5,"at":%d}`, at),
		fmt.Sprintf(`{"t":"ack","n":1e0,"at":%d}`, at), fmt.Sprintf(`{"t":"ack","n":"0","at":%d}`, at),
		fmt.Sprintf(`{"t":"ack","n":9007199254740992,"at":%d}`, at), fmt.Sprintf(`{"t":"ping","at":%d.0}`, at),
		fmt.Sprintf(`{"t":"gap","n":1,"at":%d}`, at), fmt.Sprintf(`{"t":"pong","at":%d}`, at),
		fmt.Sprintf(`{"t":"hello","at":%d}`, at), ping + ping, ping + strings.Repeat(" ", 5<<10),
		ping + strings.Repeat(" ", 4<<10-len(ping)), // as much as may be
	}
	n := int(b) % len(garbage)
	r.tell("%s: %.80s", c.link.name, garbage[n])
	if c.sendControl(garbage[n]); n == len(garbage)-1 {
		r.m.control(c.link, "ping", 0, at)
	} else {
		r.m.garbage(c.link)
	}
}

// cut has a client not read while messages are sent to it, but for some bytes, and then be cut off, be replaced by one
// that comes back, or read on.
func (r *v1Trial) cut(c *v1Client, a, b byte) {
	l := c.link
	s := l.session
	r.tell("%s reads no more", l.name)
	c.Conn.Downstream(nothing)
	r.m.stick(l)
	for i := range 1 + a%4 {
		r.send(s.id, a/4*(i%2))
		synctest.Wait()
	}
	bytes := int(b/4) * 2
	if bytes > 0 {
		r.tell("%s reads %d bytes", l.name, bytes)
		c.Conn.Downstream(wstest.Faults{Window: wstest.Unbuffered, Throttle: wstest.Rate{Bytes: bytes, Every: time.Hour}})
		synctest.Wait()
		r.m.read(l, bytes)
	}
	switch b % 4 {
	case 0:
		r.tell("%s reads on", l.name)
		c.Conn.Downstream(wstest.Faults{})
		r.m.readOn(l)
		return
	case 1:
		if r.m.keeps() {
			c.Conn.Downstream(nothing)
			r.connect(s.id, &v1Claim{s.id, max(s.acknowledged, l.received()), s.newest})
			synctest.Wait()
		}
	}
	r.tell("%s is cut off", l.name)
	c.Drop()
	r.m.drop(l)
}

// item returns the next message to a client, of one of four sizes, as the model has it and as the server.
func (r *v1Trial) item(b byte) (v1Item, wspulse.Frame) {
	r.frames++
	name := fmt.Sprintf("%04d", r.frames)
	f := ev(name + strings.Repeat("x", []int{0, 0, 100, 400}[b%4]))
	data, _ := wspulse.JSONCodec.Encode(f)
	header := 2
	if len(data) > 125 {
		header = 4
	}
	return v1Item{name, 1, header + len(data)}, f
}

func (r *v1Trial) send(id string, b byte) {
	item, f := r.item(b)
	name := ""
	if s := r.m.sessions[id]; s != nil {
		name = s.name
	}
	r.called("Server.Send "+item.name+" to "+id, r.sent(name, item.name, r.w.server.Send(id, f)),
		r.m.serverSend(id, item))
}

func (r *v1Trial) broadcast(b byte) {
	item, f := r.item(b)
	r.mu.Lock()
	for _, s := range r.m.sessions {
		r.accepted[s.name] = append(r.accepted[s.name], item.name)
	}
	r.mu.Unlock()
	r.called("Broadcast "+item.name, verdict(r.w.server.Broadcast("r", f)), r.m.broadcast(item))
}

// call calls a method of the server or of a session.
func (r *v1Trial) call(op, a, b byte) {
	id := v1IDs[a%3]
	switch op {
	case v1Send:
		for range 1 + b/4%8 {
			r.send(id, b)
			synctest.Wait()
		}
		return
	case v1Kick:
		r.called("Kick "+id, verdict(r.w.server.Kick(id)), r.m.kick(id))
		return
	case v1Broadcast:
		for range 1 + b/4%8 {
			r.broadcast(b)
			synctest.Wait()
		}
		return
	}
	n := len(r.m.all)
	if n == 0 {
		return
	}
	n -= 1 + int(a)%min(n, 4)
	s, c := r.m.all[n], r.sessions[n]
	if op == v1Close {
		r.called("Connection.Close of "+s.name, verdict(c.Close()), r.m.closeSession(s))
		return
	}
	item, f := r.item(b)
	r.called("Connection.Send "+item.name+" to "+s.name, r.sent(s.name, item.name, c.Send(f)), r.m.send(s, item))
}

// called tells of a call and compares its result.
func (r *v1Trial) called(what, got, want string) {
	r.tell("%s: %s", what, want)
	if got != want {
		r.t.Errorf("%s: got %s, want %s", what, got, want)
	}
}

// pass lets time pass.
func (r *v1Trial) pass(d time.Duration) {
	if d >= second {
		r.tell("%v pass", d)
	}
	time.Sleep(d)
	synctest.Wait()
	r.m.advance(r.m.now + d)
}
