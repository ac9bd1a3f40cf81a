package stresstest

import (
	"errors"
	"flag"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	wspulse "github.com/wspulse/server"
)

var (
	stressFor  = flag.Duration("stress", 3*time.Second, "how long TestStress runs")
	stressSeed = flag.Uint64("stress-seed", 0, "of the random choices of TestStress; 0 takes one from the clock")
)

const (
	stressActors = 32
	stressRooms  = 3
	stressShared = 4 // connectionIDs that all actors fight for
	stressBuffer = 8
	stressRound  = 1500 * time.Millisecond
)

// Goroutines connect, send, broadcast, kick, close, drop and resume at random. In every second round the server is
// closed while they are at it.
func TestStress(t *testing.T) {
	seed := *stressSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-stress-seed %d", seed)
	deadline := time.Now().Add(*stressFor)
	var total stressTotals
	for round := uint64(0); round < 2 || time.Now().Before(deadline); round++ {
		name := "StopThenClose"
		if round%2 == 1 {
			name = "CloseAmidst"
		}
		t.Run(name, func(t *testing.T) {
			c := newChaos(t)
			c.run(rand.New(rand.NewPCG(seed, round)), round%2 == 1) //nolint:gosec // no secret
			c.check()
			total.add(c)
		})
		if t.Failed() {
			break
		}
	}
	t.Logf("%+v", total)
	if total.Resumed == 0 || total.Refused == 0 || total.Dropped == 0 || total.Delivered == 0 || total.Flushed == 0 {
		t.Errorf("not everything was tried: %+v", total)
	}
}

// A Send that the end of the server overtakes has either queued its frame or said that it has not.
func TestStress_SendsDuringClose(t *testing.T) {
	for range 100 {
		tally := &loadTally{}
		w := newNetWorld(t, wspulse.WithMetrics(tally))
		peer := w.dial("r", "alice")
		go func() {
			for {
				if _, _, err := peer.ReadMessage(); err != nil {
					_ = peer.Close()
					return
				}
			}
		}()
		alice := w.session("r", "alice")
		var senders sync.WaitGroup
		var accepted, running atomic.Int64
		for range 8 {
			senders.Go(func() {
				for {
					if w.server.Broadcast("r", ev("all")) != nil {
						return
					}
					running.Add(1)
					switch err := alice.Send(ev("one")); {
					case err == nil, errors.Is(err, wspulse.ErrSendBufferFull):
						accepted.Add(1)
					}
				}
			})
		}
		eventually(t, "sends", func() bool { return running.Load() > 100 })
		w.server.Close()
		senders.Wait()
		accepted.Add(tally.fannedOut.Load())
		if out := tally.sent.Load() + tally.dropped.Load(); accepted.Load() != out {
			t.Fatalf("accepted %d, sent %d + dropped %d = %d", accepted.Load(), tally.sent.Load(), tally.dropped.Load(),
				out)
		}
	}
}

// An upgrade that races the end of the server is refused, or ended like all the others: its socket does not stay open.
func TestStress_UpgradesDuringClose(t *testing.T) {
	for range 50 {
		w := newNetWorld(t)
		var dialers sync.WaitGroup
		var dialed atomic.Int64
		for range 16 {
			dialers.Go(func() {
				for {
					ws, err := w.tryDial(w.dialer(), "r", "")
					if err != nil {
						return
					}
					dialed.Add(1)
					dialers.Go(func() {
						if _, _, err := ws.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseGoingAway) {
							t.Errorf("a peer read %v", err)
						}
						_ = ws.Close()
					})
				}
			})
		}
		eventually(t, "upgrades", func() bool { return dialed.Load() > 30 })
		w.server.Close()
		if _, n := w.listener.open(); n > 0 {
			t.Fatalf("Server.Close returned with %d sockets open", n)
		}
		dialers.Wait()
	}
}

type stressTotals struct {
	Rounds, Sessions, Resumed, Accepted, Refused, Delivered, Dropped, Flushed int64
}

// A chaos is one round: a server, and what is known of its sessions.
type chaos struct {
	wspulse.NoopCollector
	t        *testing.T
	w        *netWorld
	stop     chan struct{} // tells the actors to end; closed by run
	stopping atomic.Bool   // errors that Server.Close explains are to be expected

	lives    sync.Map // wspulse.Connection → *life
	tallies  sync.Map // connectionID → *tally
	restored atomic.Int64
	ended    atomic.Int64

	// Owned by the hub goroutine, until Server.Close has returned.
	rooms           map[string]map[string]bool // roomID → its members
	opened, resumed int64
	fannedOut       int64 // frames of broadcasts, once for each member that was handed one
}

// A tally counts the frames of the sessions of one connectionID, one after the other.
type tally struct {
	accepted, refused, sent, dropped atomic.Int64 // accepted without the broadcasts
	received, gaps                   atomic.Int64 // by the peers; gaps are frames that they did not see
	cut                              atomic.Bool  // a link ended without a close frame

	// Owned by the hub goroutine.
	opened, closed int64
}

func newChaos(t *testing.T) *chaos {
	c := &chaos{t: t, stop: make(chan struct{}), rooms: make(map[string]map[string]bool)}
	c.w = newNetWorld(t,
		wspulse.WithMetrics(c),
		wspulse.WithSendBufferSize(stressBuffer),
		wspulse.WithResumeWindow(40*time.Millisecond),
		wspulse.WithHeartbeat(25*time.Millisecond, 5*time.Second),
		wspulse.WithWriteWait(500*time.Millisecond),
		wspulse.WithOnConnect(func(s wspulse.Connection) { c.turn(s, "connect")() }),
		wspulse.WithOnMessage(c.message),
		wspulse.WithOnTransportDrop(func(s wspulse.Connection, _ error) { c.turn(s, "drop")() }),
		wspulse.WithOnTransportRestore(func(s wspulse.Connection) {
			defer c.turn(s, "restore")()
			c.restored.Add(1)
		}),
		wspulse.WithOnDisconnect(func(s wspulse.Connection, _ error) {
			defer c.turn(s, "disconnect")()
			c.ended.Add(1)
			if err := s.Send(ev("late")); !errors.Is(err, wspulse.ErrConnectionClosed) {
				t.Errorf("Send in OnDisconnect: %v", err)
			}
		}))
	return c
}

func (c *chaos) run(random *rand.Rand, amidst bool) {
	var actors sync.WaitGroup
	for g := range stressActors {
		a := &actor{c: c, g: g, random: rand.New(rand.NewPCG(random.Uint64(), random.Uint64())), //nolint:gosec // no secret
			streams: make(map[string]int)}
		actors.Go(a.run)
	}
	<-time.After(stressRound)
	if amidst {
		c.stopping.Store(true)
		var closers sync.WaitGroup
		for range 3 {
			closers.Go(c.w.server.Close)
		}
		closers.Wait()
		if _, n := c.w.listener.open(); n > 0 {
			c.t.Errorf("Server.Close returned with %d sockets open", n)
		}
	}
	close(c.stop)
	actors.Wait()
	c.w.server.Close()
}

// check compares the books, when the server is closed and the actors have ended.
func (c *chaos) check() {
	eventually(c.t, "OnDisconnect for each session", func() bool { return c.ended.Load() >= c.opened })
	var connections int64
	c.lives.Range(func(s, l any) bool {
		connections++
		if state := l.(*life).state; state != "over" {
			c.t.Errorf("%s: in the end %s", s.(wspulse.Connection).ID(), state)
		}
		return true
	})
	if connections != c.opened || c.ended.Load() != c.opened {
		c.t.Errorf("%d sessions opened, %d seen by callbacks, %d OnDisconnects", c.opened, connections, c.ended.Load())
	}
	if c.resumed != c.restored.Load() {
		c.t.Errorf("%d sessions resumed, %d OnTransportRestores", c.resumed, c.restored.Load())
	}
	if len(c.rooms) > 0 {
		c.t.Errorf("rooms that were not destroyed: %v", c.rooms)
	}
	var accepted, refused, sent, dropped int64
	c.tallies.Range(func(id, v any) bool {
		y := v.(*tally)
		accepted += y.accepted.Load()
		refused += y.refused.Load()
		sent += y.sent.Load()
		dropped += y.dropped.Load()
		if y.opened != y.closed {
			c.t.Errorf("%s: %d sessions opened, %d closed", id, y.opened, y.closed)
		}
		if y.gaps.Load() > y.dropped.Load() {
			c.t.Errorf("%s: the peer missed %d frames, %d were dropped", id, y.gaps.Load(), y.dropped.Load())
		}
		if got, sent := y.received.Load(), y.sent.Load(); got > sent || !y.cut.Load() && got != sent {
			c.t.Errorf("%s: %d frames sent, the peer read %d (cut off: %t)", id, sent, got, y.cut.Load())
		}
		return true
	})
	if accepted+refused+c.fannedOut != sent+dropped {
		c.t.Errorf("accepted %d + refused %d + broadcast %d, but delivered %d + dropped %d",
			accepted, refused, c.fannedOut, sent, dropped)
	}
}

func (total *stressTotals) add(c *chaos) {
	total.Rounds++
	total.Accepted += c.fannedOut
	total.Sessions += c.opened
	total.Resumed += c.resumed
	c.tallies.Range(func(_, v any) bool {
		y := v.(*tally)
		total.Accepted += y.accepted.Load()
		total.Refused += y.refused.Load()
		total.Delivered += y.sent.Load()
		total.Dropped += y.dropped.Load()
		if !y.cut.Load() {
			total.Flushed += y.received.Load()
		}
		return true
	})
}

func (c *chaos) tally(id string) *tally {
	y, ok := c.tallies.Load(id)
	if !ok {
		y, _ = c.tallies.LoadOrStore(id, new(tally))
	}
	return y.(*tally)
}

// The hooks.

func (c *chaos) RoomCreated(room string) {
	if c.rooms[room] != nil {
		c.t.Errorf("room %s created twice", room)
	}
	c.rooms[room] = make(map[string]bool)
}

func (c *chaos) RoomDestroyed(room string) {
	if c.rooms[room] == nil || len(c.rooms[room]) > 0 {
		c.t.Errorf("room %s destroyed with the members %v", room, c.rooms[room])
	}
	delete(c.rooms, room)
}

func (c *chaos) ConnectionOpened(room, id string) {
	if c.rooms[room] == nil || c.rooms[room][id] {
		c.t.Errorf("%s opened in room %s with the members %v", id, room, c.rooms[room])
		return
	}
	c.rooms[room][id] = true
	c.tally(id).opened++
	c.opened++
}

func (c *chaos) ConnectionClosed(room, id string, _ time.Duration, _ wspulse.DisconnectReason) {
	if !c.rooms[room][id] {
		c.t.Errorf("%s closed, which is not in room %s", id, room)
	}
	delete(c.rooms[room], id)
	c.tally(id).closed++
}

func (c *chaos) ResumeAttempt(_, _ string) { c.resumed++ }

// MessageBroadcast counts the frame for those that were handed it, some of whom may have left.
func (c *chaos) MessageBroadcast(_ string, _, fanOut int) { c.fannedOut += int64(fanOut) }

func (c *chaos) MessageSent(_, id string, _ int) { c.tally(id).sent.Add(1) }
func (c *chaos) FrameDropped(_, id string)       { c.tally(id).dropped.Add(1) }

// A life is the state of a Connection as its callbacks tell it. Only callbacks use it, which take turns: the race
// detector finds those that do not.
type life struct {
	busy  atomic.Bool
	state string
	link  int // the last message came by, and
	seq   int // its number
}

// turn enters a callback, and returns the function that leaves it.
func (c *chaos) turn(s wspulse.Connection, event string) func() {
	v, _ := c.lives.LoadOrStore(s, &life{state: "new"})
	l := v.(*life)
	if !l.busy.CompareAndSwap(false, true) {
		c.t.Errorf("%s: %s during another callback", s.ID(), event)
	}
	next := map[string]string{
		"new connect": "up", "up message": "up", "up drop": "down", "down restore": "up",
		"up disconnect": "over", "down disconnect": "over",
	}[l.state+" "+event]
	if next == "" {
		c.t.Errorf("%s: %s when %s", s.ID(), event, l.state)
	}
	l.state = next
	return func() { l.busy.Store(false) }
}

// message is OnMessage. The frame's ID says which link it came by and its number there; its event says what to do.
func (c *chaos) message(s wspulse.Connection, f wspulse.Frame) {
	defer c.turn(s, "message")()
	v, _ := c.lives.Load(s)
	l := v.(*life)
	numbers := strings.Split(f.ID, "/")
	link, seq := atoi(numbers[0]), atoi(numbers[1])
	if link == l.link && seq != l.seq+1 || link != l.link && seq != 1 {
		c.t.Errorf("%s: message %d of link %d after message %d of link %d", s.ID(), seq, link, l.seq, l.link)
	}
	l.link, l.seq = link, seq
	switch f.Event {
	case "echo":
		c.sent(s.ID(), s.Send(f))
	case "shout":
		_ = c.w.server.Broadcast(s.RoomID(), f)
	case "quit":
		_ = s.Close()
	case "kick":
		_ = c.w.server.Kick(s.ID())
	}
}

// sent books the result of a Send, and says whether the frame has got a place in the order.
func (c *chaos) sent(id string, err error) bool {
	switch {
	case err == nil:
		c.tally(id).accepted.Add(1)
	case errors.Is(err, wspulse.ErrSendBufferFull):
		c.tally(id).refused.Add(1)
	case errors.Is(err, wspulse.ErrConnectionClosed), errors.Is(err, wspulse.ErrConnectionNotFound):
		return false
	default:
		c.t.Errorf("Send to %s: %v", id, err)
	}
	return true
}

func atoi(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}
