package wspulse_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	wspulse "github.com/wspulse/server"
)

// A view is what a page makes of the presence of a room.
type view struct {
	room    string
	members map[string]bool // by connectionID: away
	listed  bool
	faults  []string
}

func (v *view) hear(payload []byte) {
	var f struct {
		Room string
		Full bool
		Join []struct {
			ID   string
			Away bool
		}
		Leave, Away, Back []string
		Count             int
	}
	_ = json.Unmarshal(payload, &f)
	if f.Room != v.room {
		return
	}
	fault := func(format string, args ...any) {
		v.faults = append(v.faults, fmt.Sprintf(format, args...)+" in "+string(payload))
	}
	switch {
	case f.Full && f.Count == 0: // it has left
		v.members, v.listed = map[string]bool{}, false
		return
	case f.Full:
		v.members, v.listed = map[string]bool{}, true
	case !v.listed:
		fault("news before the list")
		return
	}
	seen := map[string]bool{}
	for _, j := range f.Join {
		if seen[j.ID] {
			fault("%s twice", j.ID)
		}
		seen[j.ID] = true
		v.members[j.ID] = j.Away
	}
	for _, id := range f.Leave {
		if _, ok := v.members[id]; !ok {
			fault("unknown %s leaves", id)
		}
		delete(v.members, id)
	}
	for _, id := range f.Away {
		if away, ok := v.members[id]; !ok || away {
			fault("%s away", id)
		}
		v.members[id] = true
	}
	for _, id := range f.Back {
		if away, ok := v.members[id]; !ok || !away {
			fault("%s back", id)
		}
		v.members[id] = false
	}
	if f.Count != len(v.members) {
		fault("count %d, knows %d", f.Count, len(v.members))
	}
}

func (v *view) String() string {
	var words []string
	for id, away := range v.members {
		words = append(words, fmt.Sprint(id, ":", away))
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

// A hangout is a few peers who come, go and move about, each with what it has made of the presence of each room.
type hangout struct {
	w      *world
	random *rand.Rand
	peers  map[string]*peer
	views  map[string]map[string]*view // by connectionID and room
	story  []string
}

var (
	hangoutIDs   = []string{"a", "b", "c", "d", "e"}
	hangoutRooms = []string{"r", "s", "u"}
)

func (h *hangout) tell(format string, args ...any) {
	h.story = append(h.story, fmt.Sprintf(format, args...))
}

// hear has a page hear what has come.
func (h *hangout) hear(id string) {
	if h.peers[id] == nil {
		return
	}
	for _, f := range h.peers[id].Received() {
		for _, v := range h.views[id] {
			if f.Event == wspulse.EventPresence {
				v.hear(f.Payload)
			}
		}
	}
}

// dial opens a session, resumes it, replaces it or takes it over, with a page that knows nothing.
func (h *hangout) dial(id, room string) {
	h.hear(id)
	p, _, err := h.w.upgrade("?room="+room+"&id="+id, nil)
	if err != nil {
		h.tell("refused")
		return
	}
	h.peers[id], h.views[id] = p, make(map[string]*view)
	for _, room := range hangoutRooms {
		h.views[id][room] = &view{room: room}
	}
	p.StartReading()
	synctest.Wait()
}

func (h *hangout) step() {
	id, room := hangoutIDs[h.random.IntN(len(hangoutIDs))], hangoutRooms[h.random.IntN(len(hangoutRooms))]
	c, err := h.w.server.GetConnection(id)
	switch n := h.random.IntN(10); {
	case n < 3:
		h.tell("%s dials %s", id, room)
		h.dial(id, room)
	case n < 5 && h.peers[id] != nil:
		h.tell("%s drops", id)
		h.peers[id].drop()
	case n < 7 && err == nil:
		h.tell("%s joins %s: %v", id, room, c.Join(room))
	case n < 9 && err == nil:
		h.tell("%s leaves %s: %v", id, room, c.Leave(room))
	case n == 9:
		h.tell("%s is kicked: %v", id, h.w.server.Kick(id))
	}
}

// settle lets nothing happen for a while, and compares what the pages know with who is there.
func (h *hangout) settle() {
	h.tell("settle")
	time.Sleep(12 * time.Second)
	synctest.Wait()
	for _, id := range hangoutIDs {
		h.hear(id)
		if c, err := h.w.server.GetConnection(id); err == nil && !c.Suspended() {
			h.compare(c)
		}
	}
}

func (h *hangout) compare(c wspulse.Connection) {
	for _, room := range c.Rooms() {
		got := h.views[c.ID()][room]
		want := h.there(room)
		for before := ""; got.String() != want && want != before; { // somebody's window has just passed, maybe
			time.Sleep(3 * time.Second)
			synctest.Wait()
			h.hear(c.ID())
			before, want = want, h.there(room)
		}
		if got.String() != want {
			h.w.t.Errorf("%s sees in %s %q, want %q", c.ID(), room, got, want)
		}
		for _, fault := range got.faults {
			h.w.t.Errorf("%s in %s: %s", c.ID(), room, fault)
		}
	}
}

// there returns who is in a room.
func (h *hangout) there(room string) string {
	v := view{members: make(map[string]bool)}
	for _, m := range h.w.server.Presence(room) {
		v.members[m.ID] = m.Away
	}
	return v.String()
}

// Whatever the members of rooms do: what each knows of who is there is right a moment later, and no frame is odd.
func TestPresence_Model(t *testing.T) {
	for name, options := range map[string][]wspulse.ServerOption{
		"keep":   {wspulse.WithRoomOnResume(wspulse.KeepRoom)},
		"follow": {wspulse.WithRoomOnResume(wspulse.FollowRoom)},
		"new":    {wspulse.WithRoomOnResume(wspulse.NewSession)},
		"resume": {wspulse.WithRoomOnResume(wspulse.FollowRoom), wspulse.WithDuplicatePolicy(wspulse.Resume)},
	} {
		for range 30 {
			seed := rand.Uint64()
			inBubble(t, func(t *testing.T) {
				h := &hangout{
					w:      newWorld(t, append(options, withNames, wspulse.WithResumeWindow(20*time.Second))...),
					random: rand.New(rand.NewPCG(seed, 0)), //nolint:gosec // no secret
					peers:  make(map[string]*peer),
					views:  make(map[string]map[string]*view),
				}
				for range 60 {
					h.step()
					if h.random.IntN(2) == 0 {
						time.Sleep(time.Duration(h.random.IntN(3000)) * time.Millisecond)
					}
					if h.random.IntN(6) == 0 {
						h.settle()
					}
				}
				h.settle()
				if t.Failed() {
					t.Fatalf("%s, seed %d: %s", name, seed, strings.Join(h.story, "; "))
				}
			})
		}
	}
}
