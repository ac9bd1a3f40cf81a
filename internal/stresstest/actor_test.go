package stresstest

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	wspulse "github.com/wspulse/server"
)

// An actor is one of the goroutines, with a peer of its own and its hands on all the others.
type actor struct {
	c       *chaos
	g       int
	random  *rand.Rand
	sent    int            // frames, to whomever
	streams map[string]int // frames by addressee: those a peer misses are gaps
	ids     int
	id      string
	peer    *stressPeer
}

func (a *actor) run() {
	var ended []*stressPeer
	for {
		select {
		case <-a.c.stop:
			for _, p := range append(ended, a.peer) {
				p.leave()
			}
			return
		default:
		}
		if a.peer == nil || a.peer.over() && a.random.IntN(2) == 0 || a.random.IntN(30) == 0 {
			ended = append(ended, a.peer)
			a.peer = a.connect()
		}
		a.step()
	}
}

// connect dials with an id of its own, new or known, or with one of those that all fight for.
func (a *actor) connect() *stressPeer {
	id, heard := "", map[int]int{}
	switch n := a.random.IntN(10); {
	case n == 0:
		id = fmt.Sprint("shared-", a.random.IntN(stressShared))
	case n < 4 || a.id == "":
		a.ids++
		a.id = fmt.Sprintf("a%d-%d", a.g, a.ids)
		id = a.id
	default:
		id = a.id
		if a.peer != nil && a.peer.id == id && a.peer.over() {
			heard = a.peer.heard // what it has read must not come again
		}
	}
	ws, err := a.c.w.tryDial(a.c.w.dialer(), fmt.Sprint("r", a.random.IntN(stressRooms)), id)
	if err != nil {
		if !a.c.stopping.Load() {
			a.c.t.Errorf("dial: %v", err)
		}
		return nil
	}
	p := &stressPeer{c: a.c, ws: ws, id: id, heard: maps.Clone(heard), done: make(chan struct{})}
	p.link = int(stressLinks.Add(1))
	go p.listen()
	return p
}

var stressLinks atomic.Int64

func (a *actor) step() {
	switch n := a.random.IntN(100); {
	case n < 30:
		a.say([]string{"note", "note", "note", "echo", "shout"}[a.random.IntN(5)])
	case n < 55:
		a.send()
	case n < 75:
		a.broadcast()
	case n < 78:
		a.say("quit")
	case n < 80:
		a.say("kick")
	case n < 82:
		a.kick()
	case n < 84:
		if s := a.anyone(); s != nil {
			_ = s.Close()
			if !ended(s) || slices.Contains(a.c.w.server.GetConnections(s.RoomID()), s) {
				a.c.t.Errorf("%s: not ended though Close has returned", s.ID())
			}
		}
	case n < 87:
		a.peer.cut(false)
	case n < 90:
		a.peer.cut(true)
	case n < 92:
		a.peer.leave()
	case n < 96:
		a.peer.doze(time.Duration(a.random.IntN(int(50 * time.Millisecond))))
	default:
		<-time.After(time.Duration(a.random.IntN(int(20 * time.Millisecond))))
	}
}

func ended(s wspulse.Connection) bool {
	select {
	case <-s.Done():
		return true
	default:
		return false
	}
}

// anyone returns a session, or nil.
func (a *actor) anyone() wspulse.Connection {
	members := a.c.w.server.GetConnections(fmt.Sprint("r", a.random.IntN(stressRooms)))
	if len(members) == 0 {
		return nil
	}
	return members[a.random.IntN(len(members))]
}

func (a *actor) say(event string) {
	if a.peer != nil {
		a.peer.say(event)
	}
}

// frame numbers the frames of this actor, and those of them that go to the same addressee.
func (a *actor) frame(to string) wspulse.Frame {
	size := 100
	if a.random.IntN(4) == 0 {
		size = 16 << 10
	}
	payload := `"` + strings.Repeat("x", size) + `"`
	return wspulse.Frame{ID: fmt.Sprintf("%d/%d/%d", a.g, a.sent+1, a.streams[to]+1), Event: to,
		Payload: []byte(payload)}
}

func (a *actor) send() {
	s := a.anyone()
	if s == nil {
		return
	}
	to := "to " + s.ID()
	f := a.frame(to)
	var err error
	if a.random.IntN(2) == 0 {
		err = s.Send(f)
	} else {
		err = a.c.w.server.Send(s.ID(), f)
	}
	if a.c.sent(s.ID(), err) {
		a.sent++
		a.streams[to]++
	}
}

func (a *actor) broadcast() {
	room := fmt.Sprint("r", a.random.IntN(stressRooms))
	switch err := a.c.w.server.Broadcast(room, a.frame("in "+room)); {
	case err == nil:
		a.sent++
		a.streams["in "+room]++
	case !errors.Is(err, wspulse.ErrServerClosed) || !a.c.stopping.Load():
		a.c.t.Errorf("Broadcast: %v", err)
	}
}

func (a *actor) kick() {
	s := a.anyone()
	if s == nil {
		return
	}
	switch err := a.c.w.server.Kick(s.ID()); {
	case err == nil, errors.Is(err, wspulse.ErrConnectionNotFound):
		if !ended(s) && err == nil {
			// The ID may have passed to a new session between the two calls, but s has ended then, too.
			a.c.t.Errorf("%s: not ended though Kick has returned", s.ID())
		}
	case !errors.Is(err, wspulse.ErrServerClosed) || !a.c.stopping.Load():
		a.c.t.Errorf("Kick: %v", err)
	}
}

// A stressPeer is a client that checks what it reads. A nil one does nothing.
type stressPeer struct {
	c    *chaos
	ws   *websocket.Conn
	id   string
	link int
	seq  int // of the messages it has sent
	nap  atomic.Int64
	done chan struct{} // closed when listen has ended

	// Owned by listen, then read-only.
	heard map[int]int // the last frame of each actor
}

func (p *stressPeer) listen() {
	defer close(p.done)
	y := p.c.tally(p.id)
	streams := make(map[string]int)
	for {
		if nap := p.nap.Swap(0); nap > 0 {
			<-time.After(time.Duration(nap))
		}
		_, data, err := p.ws.ReadMessage()
		if err != nil {
			if !websocket.IsCloseError(err, websocket.CloseNormalClosure, websocket.CloseGoingAway) {
				y.cut.Store(true)
			}
			_ = p.ws.Close()
			return
		}
		y.received.Add(1)
		f, err := wspulse.JSONCodec.Decode(data)
		if err != nil {
			p.c.t.Errorf("%s read %.100q: %v", p.id, data, err)
			return
		}
		numbers := strings.Split(f.ID, "/")
		if len(numbers) != 3 {
			continue // from a callback
		}
		g, n, k := atoi(numbers[0]), atoi(numbers[1]), atoi(numbers[2])
		if n <= p.heard[g] {
			p.c.t.Errorf("%s: frame %d of actor %d after its frame %d", p.id, n, g, p.heard[g])
		}
		p.heard[g] = n
		stream := numbers[0] + " " + f.Event
		if last := streams[stream]; last > 0 {
			y.gaps.Add(int64(k - last - 1))
		}
		streams[stream] = k
	}
}

func (p *stressPeer) over() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func (p *stressPeer) say(event string) {
	p.seq++
	data, err := wspulse.JSONCodec.Encode(wspulse.Frame{ID: fmt.Sprintf("%d/%d", p.link, p.seq), Event: event})
	if err == nil {
		err = p.ws.SetWriteDeadline(time.Now().Add(patience))
	}
	if err == nil {
		err = p.ws.WriteMessage(websocket.TextMessage, data)
	}
	if isNetTimeout(err) {
		p.c.t.Errorf("%s: the server does not read", p.id)
	}
}

// cut closes the socket, with or without a reset.
func (p *stressPeer) cut(reset bool) {
	if p == nil {
		return
	}
	p.c.tally(p.id).cut.Store(true)
	if reset {
		_ = p.ws.NetConn().(*net.TCPConn).SetLinger(0)
	}
	_ = p.ws.NetConn().Close()
}

// leave says good-bye, and waits until the server has answered.
func (p *stressPeer) leave() {
	if p == nil {
		return
	}
	bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	_ = p.ws.WriteControl(websocket.CloseMessage, bye, time.Now().Add(patience))
	select {
	case <-p.done:
	case <-time.After(patience):
		p.c.t.Errorf("%s: no answer to a close frame", p.id)
		_ = p.ws.Close()
		<-p.done
	}
}

// doze makes the peer read nothing for a while.
func (p *stressPeer) doze(d time.Duration) {
	if p != nil {
		p.nap.Store(int64(d))
	}
}
