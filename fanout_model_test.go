package wspulse

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// A fanOutModel knows what each session is to get: the broadcasts that the hub took while it was a member, and what was
// sent to it, in that order.
type fanOutModel struct {
	NoopCollector
	t       *testing.T
	h       *hub
	random  *rand.Rand
	frames  int                 // so far
	members map[string][]string // by room, the names of the sessions
	all     map[string]*modelMember
	reached map[string][]int // by room, the members that each broadcast is to reach
	lost    map[string]int   // by name, frames: what an ended session had queued
}

type modelMember struct {
	session *session
	rooms   []string // its home first
	want    []int
}

func newFanOutModel(t *testing.T, seed uint64) *fanOutModel {
	m := &fanOutModel{
		t:       t,
		random:  rand.New(rand.NewPCG(seed, 0)), //nolint:gosec // no secret
		members: make(map[string][]string),
		all:     make(map[string]*modelMember),
		reached: make(map[string][]int),
		lost:    make(map[string]int),
	}
	m.h, _ = newQuietHub(0, 4096, m)
	return m
}

func (m *fanOutModel) FrameDropped(_, id string) { m.lost[id]++ }

func (m *fanOutModel) MessageBroadcast(room string, _, fanOut int) {
	if want := m.reached[room]; len(want) == 0 || want[0] != fanOut {
		m.t.Fatalf("a broadcast has reached %d members of room %s, the next are to reach %v", fanOut, room, want)
	}
	m.reached[room] = m.reached[room][1:]
}

// some returns one of the living sessions.
func (m *fanOutModel) some(room string) *modelMember {
	names := m.members[room]
	if len(names) == 0 {
		return nil
	}
	return m.all[names[m.random.IntN(len(names))]]
}

func (m *fanOutModel) join(room string) {
	name := fmt.Sprint("s", len(m.all))
	s := newSession(m.h, name, "")
	m.h.insert(s, room)
	m.all[name] = &modelMember{session: s, rooms: []string{room}}
	m.members[room] = append(m.members[room], name)
}

// also puts a session into another room, if it is not there.
func (m *fanOutModel) also(member *modelMember, room string) {
	var err error
	m.h.meanwhile(func() { err = member.session.Join(room) })
	if err != nil {
		m.t.Fatal(err)
	}
	if !slices.Contains(member.rooms, room) {
		member.rooms = append(member.rooms, room)
		m.members[room] = append(m.members[room], member.session.id)
	}
}

// leave takes a session out of the last room that it has joined.
func (m *fanOutModel) leave(member *modelMember) {
	last := len(member.rooms) - 1
	room := member.rooms[last]
	var err error
	m.h.meanwhile(func() { err = member.session.Leave(room) })
	if last == 0 {
		if err != ErrHomeRoom {
			m.t.Fatalf("leaving home: %v", err)
		}
		return
	}
	if err != nil {
		m.t.Fatal(err)
	}
	member.rooms = member.rooms[:last]
	m.forget(member.session.id, room)
}

func (m *fanOutModel) forget(name, room string) {
	m.members[room] = slices.DeleteFunc(m.members[room], func(n string) bool { return n == name })
}

// broadcast broadcasts to a room, but for those.
func (m *fanOutModel) broadcast(room string, except ...*modelMember) {
	r := m.h.rooms[room]
	if r == nil || len(r.pending) == cap(r.pending) {
		return
	}
	var ids []string
	for _, member := range except {
		ids = append(ids, member.session.id)
	}
	if err := m.h.broadcast(r, numbered(m.frames), ids...); err != nil {
		m.t.Fatal(err)
	}
	m.h.handleEvents()
	reached := 0
	for _, name := range m.members[room] {
		if !slices.Contains(ids, name) {
			m.all[name].want = append(m.all[name].want, m.frames)
			reached++
		}
	}
	if reached > 0 { // or nothing is heard of it
		m.reached[room] = append(m.reached[room], reached)
	}
	m.frames++
}

// broadcastAll broadcasts to everybody, if all rooms have room for it.
func (m *fanOutModel) broadcastAll() {
	for _, r := range m.h.rooms {
		if len(r.pending) == cap(r.pending) {
			return
		}
	}
	if err := m.h.broadcastAll(numbered(m.frames)); err != nil {
		m.t.Fatal(err)
	}
	m.h.handleEvents()
	for _, member := range m.all {
		if !member.session.ended() {
			member.want = append(member.want, m.frames)
		}
	}
	for room := range m.h.rooms {
		m.reached[room] = append(m.reached[room], len(m.members[room]))
	}
	m.frames++
}

func (m *fanOutModel) send(member *modelMember) {
	f := numbered(m.frames)
	m.h.meanwhile(func() {
		if err := m.h.sendInTurn(member.session, f); err != nil {
			m.t.Errorf("%s: %v", member.session.ID(), err)
		}
	})
	member.want = append(member.want, m.frames)
	m.frames++
}

func (m *fanOutModel) end(member *modelMember) {
	m.h.meanwhile(func() { m.h.endSession(member.session, endKicked) })
	name := member.session.ID()
	for _, room := range member.rooms {
		m.forget(name, room)
	}
	if m.lost[name] != len(member.want) {
		m.t.Fatalf("%s has got %d frames before its end, want %d", name, m.lost[name], len(member.want))
	}
}

// Members join, leave, are sent something and ended while passes are under way. Each gets exactly what it is to get, in
// order.
func TestFanOut_Model(t *testing.T) {
	for trial := range 12 {
		seed := uint64(time.Now().UnixNano()) //nolint:gosec // any number will do
		m := newFanOutModel(t, seed)
		for i, size := range []int{1 + m.random.IntN(3), 700, 1500}[:1+trial%3] {
			for range size {
				m.join(fmt.Sprint("room", i))
			}
		}
		for range 400 {
			room := fmt.Sprint("room", m.random.IntN(1+trial%3))
			switch n := m.random.IntN(100); {
			case n < 25:
				m.broadcast(room)
			case n < 35:
				if member, other := m.some(room), m.some("room0"); member != nil && other != nil {
					m.broadcast(room, member, other)
				}
			case n < 40:
				m.broadcastAll()
			case n < 65:
				m.h.fanOut()
			case n < 76:
				for range 1 + m.random.IntN(2)*m.random.IntN(20) {
					m.join(room)
				}
			case n < 81:
				for range 1 + m.random.IntN(40) {
					if member := m.some(room); member != nil && m.random.IntN(3) > 0 {
						m.also(member, fmt.Sprint("room", m.random.IntN(5)))
					} else if member != nil {
						m.leave(member)
					}
				}
			case n < 82:
				for range len(m.members[room]) * 9 / 10 {
					m.end(m.some(room))
				}
			case n < 90:
				if member := m.some(room); member != nil {
					m.end(member)
				}
			default:
				if member := m.some(room); member != nil {
					m.send(member)
				}
			}
		}
		m.h.runDry()
		for name, member := range m.all {
			if got := numbers(member.session); !member.session.ended() && !slices.Equal(got, member.want) {
				t.Errorf("%s of %v got %v, want %v", name, member.rooms, got, member.want)
			}
		}
		for id, r := range m.h.rooms {
			if r.hasPending() || len(m.reached[id]) > 0 {
				t.Errorf("room %s: %d broadcasts are left, of %d nothing was heard", id, len(r.pending), len(m.reached[id]))
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d, trial %d", seed, trial)
		}
	}
}

// A hookOrder writes down how a room ends, without what is repeated.
type hookOrder struct {
	dropCounter
	words []string
}

func (o *hookOrder) add(word string) {
	if n := len(o.words); n == 0 || o.words[n-1] != word {
		o.words = append(o.words, word)
	}
}

func (o *hookOrder) MessageBroadcast(room string, size, n int) {
	o.dropCounter.MessageBroadcast(room, size, n)
	o.add("broadcast")
}

func (o *hookOrder) RoomDestroyed(string) { o.add("destroyed") }

// The last member leaves while broadcasts wait; others have found the room before, and come after it.
func TestBroadcast_TheRoomEnds(t *testing.T) {
	m := &hookOrder{}
	h, _ := newQuietHub(0, 256, m)
	s := h.gather("r", 1)[0]
	r := h.rooms["r"]
	for n := range cap(r.pending) {
		_ = h.broadcast(r, numbered(n))
	}
	h.handleEvents()
	h.slice(r)
	want := int64(cap(r.pending))
	h.meanwhile(func() { _ = s.Close() })
	go h.run()
	for range 3 * cap(r.pending) {
		if err := h.broadcast(r, numbered(0)); err != nil {
			t.Error(err)
		}
	}
	h.stop()
	if r.hasPending() || h.rooms["r"] != nil || m.reached.Load() != want || m.dropped.Load() != want {
		t.Errorf("%d left, %d fanned out and %d dropped of %d", len(r.pending), m.reached.Load(), m.dropped.Load(), want)
	}
	if got := strings.Join(m.words, " "); got != "broadcast destroyed" {
		t.Errorf("hooks: %s", got)
	}
}

// What was accepted is served when the server closes, also where it is for nobody.
func TestClose_ServesARoomThatHasEnded(t *testing.T) {
	h, sessions := newQuietHub(1, 256, NoopCollector{})
	r := h.rooms["r"]
	h.end(sessions[0], endKicked, nil)
	_ = h.broadcast(r, numbered(0))
	h.shutDown()
	if r.hasPending() {
		t.Error("a broadcast is pending")
	}
}
