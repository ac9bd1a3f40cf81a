package modeltest

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/wstest"
)

// FuzzRooms does what the input says, with a server and with the model of rooms and users, and compares all there is to
// see: errors, callbacks, metrics, who is where, and what each client reads.
func FuzzRooms(f *testing.F) {
	for _, input := range roomsStories() {
		f.Add(input)
	}
	f.Fuzz(runRooms)
}

// TestRooms_Random does the same with random inputs.
func TestRooms_Random(t *testing.T) {
	playRandom(t, roomsConfigBytes, roomsMaxSteps,
		[]byte{roomsConnect, 0, 0x0C, roomsConnect, 1, 0x05, roomsConnect, 2, 0x02}, runRooms)
}

const (
	roomsMaxSteps    = 100
	roomsConfigBytes = 4
)

// runRooms plays an input: four bytes that configure the server, and three for each step.
func runRooms(t *testing.T, input []byte) {
	if len(input) < roomsConfigBytes {
		return
	}
	synctest.Test(t, func(t *testing.T) {
		r := newRoomsTrial(t, input)
		play(input[roomsConfigBytes:], roomsMaxSteps, r.step)
		r.finish()
	})
}

// The room policies, shorter.
const followRoom, newSession = wspulse.FollowRoom, wspulse.NewSession

// roomsConfigOf picks a configuration. The steps happen at whole seconds; the fractions keep what is due to a session
// apart.
func roomsConfigOf(b []byte) roomsConfig {
	return roomsConfig{
		window:   []time.Duration{60*second + second/8, 10*second + second/8, 2*second + second/8, 0}[b[0]%4],
		buffer:   []int{2, 4, 8, 40}[b[1]%4],
		policy:   wspulse.RoomPolicy(b[2] % 3),
		maxRooms: []int{128, 3, 2, 1}[b[3]%4],
	}
}

// A roomsTrial is a server, its clients and the model.
type roomsTrial struct {
	t       *testing.T
	w       *world
	m       *roomsModel
	start   time.Time
	log     *modelLog
	story   []string // the steps in words
	clients []*roomsClient
	joined  []*roomsSession // the model's side of sessions
	frames  int             // so far
	calls   []roomsCall     // to be made one after the other, without waiting
	queued  int             // frames of these
	gate    chan struct{}   // takes what lets the hub go on that waits in a hook; closed at the end

	mu       sync.Mutex               // guards what follows
	sessions []wspulse.Connection     // in the order of their OnConnect
	free     map[string]chan struct{} // by the name of the session whose callback waits for it; closed to let it return
}

// A roomsClient is a client as it really is, beside the model's.
type roomsClient struct {
	*wstest.Client // whose reading is listen's
	link           *roomsLink
}

func newRoomsTrial(t *testing.T, input []byte) *roomsTrial {
	r := &roomsTrial{t: t, m: newRoomsModel(roomsConfigOf(input)), start: time.Now(), log: newModelLog(),
		gate: make(chan struct{}), free: make(map[string]chan struct{})}
	r.tell("a server with the window %v, the buffer %d, the policy %d, %d rooms", r.m.cfg.window, r.m.cfg.buffer,
		r.m.cfg.policy, r.m.cfg.maxRooms)
	server := wspulse.NewServer(r.connectFunc,
		wspulse.WithResumeWindow(r.m.cfg.window),
		wspulse.WithSendBufferSize(r.m.cfg.buffer),
		wspulse.WithRoomOnResume(r.m.cfg.policy),
		wspulse.WithMaxRooms(r.m.cfg.maxRooms),
		wspulse.WithMaxIDLength(roomsMaxID),
		wspulse.WithMetrics(&roomsMetrics{r: r}),
		wspulse.WithOnConnect(r.onConnect),
		wspulse.WithOnMessage(r.onMessage),
		wspulse.WithOnJoin(func(c wspulse.Connection, room string) { r.callback(c, "join(%s)", room) }),
		wspulse.WithOnLeave(func(c wspulse.Connection, room string) { r.callback(c, "leave(%s)", room) }),
		wspulse.WithOnTransportDrop(func(c wspulse.Connection, err error) { r.callback(c, "drop(%s)", cause(err)) }),
		wspulse.WithOnTransportRestore(r.onRestore),
		wspulse.WithOnDisconnect(func(c wspulse.Connection, err error) {
			word := cause(err)
			if errors.Is(err, wspulse.ErrSessionExpired) {
				word = "expired"
			}
			r.callback(c, "disconnect(%s)", word)
		}))
	r.w = &world{server: server, web: wstest.NewServer(t, server)}
	t.Cleanup(server.Close) // while the peers are there
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("input %q\n%s", input, strings.Join(r.story, "\n"))
		}
		close(r.gate)
		for _, free := range r.free {
			close(free)
		}
		for _, c := range r.clients {
			c.Drop()
		}
	})
	r.postWarden()
	return r
}

// connectFunc has the server know what the peer says of itself.
func (r *roomsTrial) connectFunc(req *http.Request) (roomID, connectionID string, err error) {
	q := req.URL.Query()
	if q.Has("attach") {
		d := wspulse.Details{UserID: q.Get("user"), Rooms: q["also"]}
		if q.Has("expires") {
			after, _ := time.ParseDuration(q.Get("expires"))
			d.Expires = r.start.Add(after)
		}
		wspulse.Attach(req, d)
	}
	return q.Get("room"), q.Get("id"), nil
}

// finish closes the server, and lets all callbacks return.
func (r *roomsTrial) finish() {
	r.settle()
	r.freeAll()
	r.closeServer()
	r.settle()
	if len(r.free) > 0 {
		r.t.Error("a callback has not returned")
	}
}

// settle makes the calls that are to be made, waits until nothing moves, and compares what has happened since the last
// time.
func (r *roomsTrial) settle() {
	r.t.Helper()
	r.makeCalls()
	synctest.Wait()
	got, want := r.log.take(), r.m.log.take()
	delete(got, "room "+wardenRoom)
	r.look(got)
	r.expect(want)
	keys := maps.Clone(got)
	maps.Copy(keys, want)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if got[key] != want[key] {
			r.t.Errorf("%s: got %q, want %q", key, got[key], want[key])
		}
	}
	if r.t.Failed() {
		r.t.FailNow()
	}
}

// look writes down what the server says of who is where.
func (r *roomsTrial) look(lines map[string]string) {
	r.mu.Lock()
	sessions := slices.Clone(r.sessions)
	r.mu.Unlock()
	for i, c := range sessions {
		lines[sessionName(i, c.ID())] += fmt.Sprint(" / over ", ended(c), ", in ", c.Rooms(), ", user ", c.UserID(),
			", suspended ", c.Suspended())
		if !ended(c) {
			expires := never
			if !c.Expires().IsZero() {
				expires = c.Expires().Sub(r.start)
			}
			lines[sessionName(i, c.ID())] += fmt.Sprint(", home ", c.RoomID(), ", expires ", expires)
		}
	}
	server := r.w.server
	rooms := without(server.Rooms(), wardenRoom)
	slices.Sort(rooms)
	lines["rooms"] = fmt.Sprint(rooms)
	for _, room := range roomsNames {
		lines["members of "+room] = fmt.Sprint(server.RoomSize(room), r.names(server.GetConnections(room)))
	}
	for _, user := range roomsUsers {
		lines["sessions of "+user] = fmt.Sprint(r.names(server.GetUser(user)))
	}
	for _, id := range modelIDs {
		c, err := server.GetConnection(id)
		if err == nil {
			lines["session of "+id] = r.name(c)
		} else {
			lines["session of "+id] = roomsVerdict(err)
		}
	}
}

// expect writes down the same, as the model says it.
func (r *roomsTrial) expect(lines map[string]string) {
	for _, s := range r.joined {
		lines[s.name] += fmt.Sprint(" / over ", s.ending != nil, ", in ", s.rooms, ", user ", s.user,
			", suspended ", s.ending == nil && s.link == nil)
		if s.ending == nil {
			lines[s.name] += fmt.Sprint(", home ", s.rooms[0], ", expires ", s.expires)
		}
	}
	lines["rooms"] = fmt.Sprint(r.m.rooms())
	for _, room := range roomsNames {
		members := r.m.members(room)
		lines["members of "+room] = fmt.Sprint(len(members), roomsSessionNames(members))
	}
	for _, user := range roomsUsers {
		lines["sessions of "+user] = fmt.Sprint(roomsSessionNames(r.m.userSessions(user)))
	}
	for _, id := range modelIDs {
		lines["session of "+id] = "not found"
		if s := r.m.sessions[id]; s != nil {
			lines["session of "+id] = s.name
		}
	}
}

func (r *roomsTrial) names(connections []wspulse.Connection) (names []string) {
	for _, c := range connections {
		names = append(names, r.name(c))
	}
	slices.Sort(names)
	return names
}

func roomsSessionNames(sessions []*roomsSession) (names []string) {
	for _, s := range sessions {
		names = append(names, s.name)
	}
	slices.Sort(names)
	return names
}

// tell adds a step to the story.
func (r *roomsTrial) tell(format string, args ...any) {
	r.story = append(r.story, fmt.Sprintf("%4v  ", r.m.now)+fmt.Sprintf(format, args...))
}

// note writes something down that the server has done.
func (r *roomsTrial) note(key, format string, args ...any) {
	r.log.add(time.Since(r.start), key, format, args...)
}

// name gives a Connection the name that the model gives it: sessions are numbered as they open.
func (r *roomsTrial) name(c wspulse.Connection) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return sessionName(slices.Index(r.sessions, c), c.ID())
}

// roomsMetrics writes the hooks down. That of a broadcast in the warden's room waits at the gate.
type roomsMetrics struct {
	wspulse.NoopCollector
	r *roomsTrial
}

func (m *roomsMetrics) ConnectionOpened(room, id string) {
	if id != wardenID {
		m.r.note("hub, "+id, "opened in %s", room)
	}
}

func (m *roomsMetrics) ConnectionClosed(room, id string, life time.Duration, reason wspulse.DisconnectReason) {
	if id != wardenID {
		m.r.note("hub, "+id, "closed in %s after %v: %s", room, life, reason)
	}
}
func (m *roomsMetrics) ResumeAttempt(_, id string)         { m.r.note("hub, "+id, "resumed") }
func (m *roomsMetrics) RoomCreated(room string)            { m.r.note("room "+room, "created") }
func (m *roomsMetrics) RoomDestroyed(room string)          { m.r.note("room "+room, "destroyed") }
func (m *roomsMetrics) MessageReceived(room string, _ int) { m.r.note("room "+room, "message") }
func (m *roomsMetrics) FrameDropped(_, id string)          { m.r.note("losses of "+id, "dropped") }
func (m *roomsMetrics) MessageBroadcast(room string, size, fanOut int) {
	m.r.note("room "+room, "broadcast of %d bytes to %d", size, fanOut)
	if room == wardenRoom && size != modelPayloadSize {
		<-m.r.gate
	}
}
