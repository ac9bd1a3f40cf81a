package wspulse

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wspulse/server/internal/wire"
)

// gather opens n suspended sessions in a room of a hub that does not run.
func (h *hub) gather(roomID string, n int) (sessions []*session) {
	for i := range n {
		s := newSession(h, roomID+strconv.Itoa(i), "")
		h.insert(s, roomID)
		sessions = append(sessions, s)
	}
	return sessions
}

// meanwhile calls on another goroutine what waits for the hub, and handles events until it returns, but fans nothing
// out.
func (h *hub) meanwhile(call func()) {
	done := make(chan struct{})
	go func() { defer close(done); call() }()
	for {
		h.handleEvents()
		select {
		case <-done:
			return
		default:
			runtime.Gosched()
		}
	}
}

// numbered returns a frame whose payload is a number.
func numbered(n int) *wire.Frame { return wire.New(TextMessage, []byte(strconv.Itoa(n))) }

// numbers returns those of the frames in a session's queue.
func numbers(s *session) (all []int) {
	s.outbox.mu.Lock()
	defer s.outbox.mu.Unlock()
	for _, f := range s.outbox.window.Next() {
		n, _ := strconv.Atoi(strings.Trim(string(f.Bytes[len(f.Bytes)-f.Size:]), `{"paylod:}`))
		all = append(all, n)
	}
	return all
}

// A visitCounter counts the visits to members of hot rooms: their buffers are full, so each visit loses a frame. At one
// of them another caller calls; how many visits later does that take effect?
type visitCounter struct {
	NoopCollector
	visits, at int
	call       func()
	waited     chan int // of capacity 1
}

func (c *visitCounter) FrameDropped(room, _ string) {
	if room == "other" {
		return
	}
	if c.visits++; c.visits == c.at {
		c.call()
	}
}

func (c *visitCounter) MessageBroadcast(room string, _, _ int) {
	if room == "other" {
		c.waited <- c.visits - c.at
	}
}

func (c *visitCounter) ConnectionClosed(_, _ string, _ time.Duration, reason DisconnectReason) {
	if reason != DisconnectServerClose {
		c.waited <- c.visits - c.at
	}
}

// However many rooms are busy, and however large they are, what others ask for takes effect within four slices. Of
// rooms that have just become busy, who comes first is served first: a slice for each, and less than two of busy ones
// after it.
func TestFanOut_NobodyWaitsForMoreThanFourSlices(t *testing.T) {
	for name, call := range map[string]func(s *server, hot, other *session){
		"Broadcast":         func(s *server, _, _ *session) { _ = s.Broadcast("other", Frame{}) },
		"Kick":              func(s *server, _, other *session) { _ = s.Kick(other.ID()) },
		"Close":             func(_ *server, _, other *session) { _ = other.Close() },
		"Kick in hot room":  func(s *server, hot, _ *session) { _ = s.Kick(hot.ID()) },
		"Close in hot room": func(_ *server, hot, _ *session) { _ = hot.Close() },
	} {
		for _, tc := range []struct{ rooms, members int }{{2, 1500}, {12, 600}} {
			t.Run(fmt.Sprintf("%s/rooms=%d", name, tc.rooms), func(t *testing.T) {
				first := 3 * tc.rooms * maxVisits // visits until each room has had a slice
				for _, at := range []int{1, first + 1, first + 257, first + 3000} {
					counter := &visitCounter{at: at, waited: make(chan int, 1)}
					h, _ := newQuietHub(0, 1, counter)
					other := h.gather("other", 2)[0]
					var hot []*session
					for i := range tc.rooms {
						hot = append(hot, h.gather(fmt.Sprint("hot", i), tc.members)...)
					}
					for _, s := range hot {
						s.push([]*wire.Frame{numbered(0)}) // fills its buffer
					}
					counter.call = func() {
						go call(&server{cfg: h.cfg, hub: h}, hot[len(hot)/2], other)
						for len(h.calls) == 0 {
							runtime.Gosched()
						}
					}
					for i := range tc.rooms {
						for n := range 10 {
							_ = h.broadcast(h.rooms[fmt.Sprint("hot", i)], numbered(n))
						}
					}
					go h.run()
					most := 4 * maxVisits
					if at < first {
						most += first
					}
					select {
					case waited := <-counter.waited:
						if waited > most {
							t.Errorf("a call at visit %d took effect %d visits later, want %d at the most", at, waited, most)
						}
					case <-time.After(time.Minute):
						t.Fatalf("a call at visit %d took no effect", at)
					}
					h.stop()
				}
			})
		}
	}
}

// Rooms that are idle and busy by turns come first, and yet one that is busy all the time gets on.
func TestFanOut_FreshRoomsDoNotStarveBusyOnes(t *testing.T) {
	h, _ := newQuietHub(0, 256, NoopCollector{})
	h.gather("hot", 4*maxVisits)
	hot := h.rooms["hot"]
	for i := range 100 {
		h.gather(fmt.Sprint("small", i), 10)
	}
	_ = h.broadcast(hot, numbered(0))
	rounds := 0
	for ; rounds < 100 && hot.hasPending(); rounds++ {
		for _, r := range h.rooms {
			if !r.hasPending() && r != hot {
				_ = h.broadcast(r, numbered(rounds))
			}
		}
		h.handleEvents()
		h.fanOut()
	}
	if rounds > 5 {
		t.Errorf("four slices of one room took %d rounds", rounds)
	}
}

// Broadcasts to one room are handed over together, whatever is queued between them.
func TestFanOut_GathersOverTheQueue(t *testing.T) {
	h, _ := newQuietHub(0, 256, NoopCollector{})
	members := map[string][]*session{"a": h.gather("a", 10), "b": h.gather("b", 20)}
	for n := range 20 {
		_ = h.broadcast(h.rooms["a"], numbered(2*n))
		_ = h.broadcast(h.rooms["b"], numbered(2*n+1))
	}
	h.handleEvents()
	for id, sessions := range members {
		r := h.rooms[id]
		if visits := h.slice(r); visits != len(sessions) || r.hasPending() {
			t.Errorf("room %s: %d visits, then %d broadcasts were left", id, visits, len(r.pending))
		}
		for _, s := range sessions {
			for i, n := range numbers(s) {
				if want := 2*i + int(id[0]-'a'); n != want {
					t.Errorf("%s got %v", s.ID(), numbers(s))
					break
				}
			}
		}
	}
}

// A member that has got all there is gets no queue for it.
func TestFanOut_NothingIsHandedOver(t *testing.T) {
	h, sessions := newQuietHub(1, 16, NoopCollector{})
	h.catchUp(sessions[0])
	if sessions[0].outbox.window != nil {
		t.Error("a queue is kept for nothing")
	}
}

// A visit hands over as many broadcasts as are an eighth of a member's buffer, but one at least.
func TestFanOut_PassIsBounded(t *testing.T) {
	for buffer, want := range map[int]int{4096: 64, 256: 32, 16: 2, 1: 1} {
		h, _ := newQuietHub(1, buffer, NoopCollector{})
		for n := range minPending {
			_ = h.broadcast(h.rooms["r"], numbered(n))
		}
		h.handleEvents()
		h.slice(h.rooms["r"])
		if got := minPending - len(h.rooms["r"].pending); got != want {
			t.Errorf("%d broadcasts together to buffers of %d, want %d", got, buffer, want)
		}
	}
}

// The calls of one goroutine take effect in order, also for a member of a room whose pass is rarely through before the
// next call. Other members see the broadcasts in that order.
func TestSending_InOrderAmidPasses(t *testing.T) {
	const calls = 1500
	h, _ := newQuietHub(0, 4096, NoopCollector{})
	members := h.gather("r", 2000)
	go h.run()
	t.Cleanup(h.stop)
	alice, bob := members[500], members[1500]
	var forAlice, forBob []int
	busy := 0
	for n := range calls {
		if alice.home.room.Load().hasPending() {
			busy++
		}
		f := Frame{Payload: []byte(strconv.Itoa(n))}
		var err error
		if forAlice = append(forAlice, n); rand.IntN(5) == 0 {
			err = alice.Send(f)
		} else {
			forBob = append(forBob, n)
			err = (&server{cfg: h.cfg, hub: h}).Broadcast("r", f)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	forBob = append(forBob, calls)
	if err := bob.Send(Frame{Payload: []byte(strconv.Itoa(calls))}); err != nil { // behind all broadcasts
		t.Fatal(err)
	}
	for h.rooms["r"].hasPending() {
		runtime.Gosched()
	}
	for s, want := range map[*session][]int{alice: forAlice, bob: forBob} {
		if got := numbers(s); !slices.Equal(got, want) {
			t.Errorf("%s got %v, want %v", s.ID(), got, want)
		}
	}
	if busy < calls/10 {
		t.Errorf("at %d of %d calls only were broadcasts under way", busy, calls)
	}
}

// A server that is closed during a flood fans out what it has accepted, refuses the rest, and forgets nobody who waits.
func TestClose_DuringAFlood(t *testing.T) {
	const rooms, members = 4, 300
	for range 5 {
		m := &dropCounter{}
		h, _ := newQuietHub(0, 16, m)
		var all []*room
		for i := range rooms {
			all = append(all, h.gather(fmt.Sprint(i), members)[0].home.room.Load())
		}
		go h.run()
		var (
			callers  sync.WaitGroup
			accepted atomic.Int64
			running  = &server{cfg: h.cfg, hub: h}
		)
		for i := range 3 * rooms {
			callers.Go(func() {
				for running.Broadcast(fmt.Sprint(i%rooms), Frame{}) == nil {
					accepted.Add(1)
				}
			})
		}
		for accepted.Load() < 500 {
			runtime.Gosched()
		}
		running.Close()
		callers.Wait()
		if want := accepted.Load() * members; m.reached.Load() != want || m.dropped.Load() != want {
			t.Fatalf("fanned out %d times, dropped %d, want %d", m.reached.Load(), m.dropped.Load(), want)
		}
		for _, r := range all {
			if n := len(r.pending); n > 0 {
				t.Fatalf("%d broadcasts are left in room %s", n, r.id)
			}
		}
	}
}
