package modeltest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	wspulse "github.com/wspulse/server"
)

// FuzzModel does what the input says, with a server and with the model of the contract, and compares all there is to
// see: errors, callbacks, metrics, members, and what each client reads.
func FuzzModel(f *testing.F) {
	for _, input := range modelStories() {
		f.Add(input)
	}
	f.Fuzz(runModel)
}

// TestModel_Random does the same with random inputs.
func TestModel_Random(t *testing.T) {
	playRandom(t, 4, modelMaxSteps, []byte{doConnect, 0, 0, doConnect, 1, 0, doConnect, 2, notReading}, runModel)
}

const (
	modelMaxSteps    = 100
	modelPayloadSize = len(`{"event":"0001"}`) // frames are numbered from 0001 on
	modelFrameBytes  = 2 + modelPayloadSize    // on the wire
)

// runModel plays an input: four bytes that configure the server, and three for each step.
func runModel(t *testing.T, input []byte) {
	if len(input) < 4 {
		return
	}
	synctest.Test(t, func(t *testing.T) {
		r := newModelTrial(t, input)
		play(input[4:], modelMaxSteps, r.step)
		r.finish()
	})
}

// configOf picks a configuration. The steps happen at whole seconds, as do pings; the fractions keep what is due to a
// session apart. No writeWait is over 16 s: a deadline that is moved only after a sixteenth of it is exact then.
func configOf(b []byte) modelConfig {
	cfg := modelConfig{
		window:    []time.Duration{0, 2*second + second/8, 10*second + second/8, 60*second + second/8}[b[0]%4],
		buffer:    1 + int(b[1]%8),
		writeWait: []time.Duration{second / 2, 2*second + second/2, 10*second + second/2, 15*second + second/2}[b[2]%4],
	}
	beat := [][2]time.Duration{{3, 4}, {10, 30}, {60, 90}}[b[3]%3]
	cfg.pingPeriod, cfg.pongWait = beat[0]*second, beat[1]*second+second/4
	return cfg
}

const second = time.Second

// A modelTrial is a server, its clients and the model.
type modelTrial struct {
	t       *testing.T
	w       *world
	m       *model
	start   time.Time
	log     *modelLog
	story   []string // the steps in words
	clients []*modelClient
	joined  []*modelSession // the model's side of sessions
	frames  int             // so far
	hurried int             // calls since things were last compared

	mu       sync.Mutex           // guards what follows
	sessions []wspulse.Connection // in the order of their OnConnect
	accepted int                  // frames that must be delivered or counted as dropped
	settled  int                  // frames that were
	held     chan struct{}        // closed when the hub may go on; nil while it may
}

func newModelTrial(t *testing.T, input []byte) *modelTrial {
	r := &modelTrial{t: t, m: newModel(configOf(input)), start: time.Now(), log: newModelLog()}
	r.tell("a server with the window %v, the buffer %d, pings every %v for %v, writeWait %v",
		r.m.cfg.window, r.m.cfg.buffer, r.m.cfg.pingPeriod, r.m.cfg.pongWait, r.m.cfg.writeWait)
	r.w = newWorld(t,
		wspulse.WithResumeWindow(r.m.cfg.window),
		wspulse.WithSendBufferSize(r.m.cfg.buffer),
		wspulse.WithHeartbeat(r.m.cfg.pingPeriod, r.m.cfg.pongWait),
		wspulse.WithWriteWait(r.m.cfg.writeWait),
		wspulse.WithMetrics(&modelMetrics{r: r}),
		wspulse.WithOnConnect(r.onConnect),
		wspulse.WithOnMessage(r.onMessage),
		wspulse.WithOnTransportDrop(func(c wspulse.Connection, err error) { r.callback(c, "drop(%s)", cause(err)) }),
		wspulse.WithOnTransportRestore(func(c wspulse.Connection) { r.callback(c, "restore") }),
		wspulse.WithOnDisconnect(func(c wspulse.Connection, err error) { r.callback(c, "disconnect(%s)", cause(err)) }),
	)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("input %q\n%s", input, strings.Join(r.story, "\n"))
		}
		r.letHubGo()
		for _, c := range r.clients {
			c.Drop()
		}
	})
	return r
}

// finish closes the server, lets all clients read the end, and draws the balance.
func (r *modelTrial) finish() {
	r.settle()
	r.closeServer()
	r.settle()
	r.pass(20)
	for _, c := range r.clients {
		if !c.link.over && !c.link.reading {
			r.readOn(c)
		}
	}
	r.settle()
	if len(r.m.links) > 0 || r.m.closers > 0 {
		r.t.Errorf("%d links and %d calls of Server.Close are left", len(r.m.links), r.m.closers)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.accepted != r.settled {
		r.t.Errorf("%d frames were taken in, %d delivered or dropped", r.accepted, r.settled)
	}
}

// settle waits until nothing moves and compares what has happened since the last time.
func (r *modelTrial) settle() {
	r.t.Helper()
	r.letHubGo()
	synctest.Wait()
	r.hurried = 0
	got, want := r.log.take(), r.m.log.take()
	for _, s := range r.joined {
		want["over: "+s.name] = fmt.Sprint(s.ending != nil)
	}
	r.mu.Lock()
	for i, c := range r.sessions {
		got["over: "+sessionName(i, c.ID())] = fmt.Sprint(ended(c))
	}
	r.mu.Unlock()
	for _, room := range modelRooms {
		got["members of "+room], want["members of "+room] = r.members(room), r.m.memberNames(room)
	}
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

// members returns the names of the sessions in a room, as the server has them.
func (r *modelTrial) members(room string) string {
	var names []string
	for _, c := range r.w.server.GetConnections(room) {
		names = append(names, r.name(c))
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// memberNames returns the same, as the model has them.
func (m *model) memberNames(room string) string {
	var names []string
	for _, s := range m.members(room) {
		names = append(names, s.name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// tell adds a step to the story.
func (r *modelTrial) tell(format string, args ...any) {
	r.story = append(r.story, fmt.Sprintf("%4v  ", r.m.now)+fmt.Sprintf(format, args...))
}

// note writes something down that the server has done.
func (r *modelTrial) note(key, format string, args ...any) {
	r.log.add(time.Since(r.start), key, format, args...)
}

func (r *modelTrial) callback(c wspulse.Connection, format string, args ...any) {
	r.note(r.name(c), format, args...)
}

func (r *modelTrial) onConnect(c wspulse.Connection) {
	r.mu.Lock()
	r.sessions = append(r.sessions, c)
	r.mu.Unlock()
	r.callback(c, "connect")
}

// onMessage does what the message says.
func (r *modelTrial) onMessage(c wspulse.Connection, f wspulse.Frame) {
	result := "nil"
	switch f.Event {
	case "echo":
		result = r.sent(c.Send(ev(f.ID)))
	case "shout":
		result = verdict(r.w.server.Broadcast(c.RoomID(), ev(f.ID)))
	case "quit":
		result = verdict(c.Close())
	case "kick":
		result = verdict(r.w.server.Kick(c.ID()))
	}
	r.callback(c, "message(%s: %s)", f.Event, result)
	if f.Event == "panic" {
		panic("oops")
	}
}

// name gives a Connection the name that the model gives it: sessions are numbered as they open.
func (r *modelTrial) name(c wspulse.Connection) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return sessionName(slices.Index(r.sessions, c), c.ID())
}

// sent counts what a Send has taken in, or refused as the one too many.
func (r *modelTrial) sent(err error) string {
	if err == nil || errors.Is(err, wspulse.ErrSendBufferFull) {
		r.count(1, 0)
	}
	return verdict(err)
}

func (r *modelTrial) count(accepted, settled int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.accepted += accepted
	r.settled += settled
}

// verdict gives the errors that calls return a word each.
func verdict(err error) string {
	switch err {
	case nil:
		return "nil"
	case wspulse.ErrConnectionNotFound:
		return "not found"
	case wspulse.ErrConnectionClosed:
		return "connection closed"
	case wspulse.ErrServerClosed:
		return "server closed"
	case wspulse.ErrSendBufferFull:
		return "full"
	default:
		return "encoding"
	}
}

// cause is name, without the text of errors that the contract leaves open.
func cause(err error) string {
	word, _, _ := strings.Cut(name(err), "error=")
	return word
}

// farewell says what a client has read at the end. The contract gives the reason but for 1002.
func farewell(err error) string {
	var closed *websocket.CloseError
	switch {
	case !errors.As(err, &closed):
		return "gone"
	case closed.Code == websocket.CloseAbnormalClosure, closed.Code == websocket.CloseProtocolError:
		return fmt.Sprintf("close %d", closed.Code)
	default:
		return fmt.Sprintf("close %d %q", closed.Code, closed.Text)
	}
}

// A modelLog is what has happened to each thing that can be watched, in its order.
type modelLog struct {
	mu    sync.Mutex
	lines map[string][]string
}

func newModelLog() *modelLog { return &modelLog{lines: make(map[string][]string)} }

func (g *modelLog) add(at time.Duration, key, format string, args ...any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lines[key] = append(g.lines[key], fmt.Sprintf("%v ", at)+fmt.Sprintf(format, args...))
}

// take returns the lines since the last time.
func (g *modelLog) take() map[string]string {
	g.mu.Lock()
	defer g.mu.Unlock()
	taken := make(map[string]string)
	for key, lines := range g.lines {
		taken[key] = strings.Join(lines, ", ")
	}
	clear(g.lines)
	return taken
}

// modelMetrics writes the hooks down.
type modelMetrics struct {
	wspulse.NoopCollector
	r *modelTrial
}

func (m *modelMetrics) ConnectionOpened(room, id string) { m.r.note("hub, "+id, "opened in %s", room) }
func (m *modelMetrics) ConnectionClosed(room, id string, life time.Duration, reason wspulse.DisconnectReason) {
	m.r.note("hub, "+id, "closed in %s after %v: %s", room, life, reason)
}
func (m *modelMetrics) ResumeAttempt(room, id string) { m.r.note("hub, "+id, "resumed in %s", room) }
func (m *modelMetrics) RoomCreated(room string)       { m.r.note("room "+room, "created") }
func (m *modelMetrics) RoomDestroyed(room string)     { m.r.note("room "+room, "destroyed") }
func (m *modelMetrics) PongTimeout(_, id string)      { m.r.note("pongs of "+id, "timeout") }
func (m *modelMetrics) MessageReceived(room string, _ int) {
	m.r.note("room "+room, "message")
}

func (m *modelMetrics) MessageBroadcast(room string, size, fanOut int) {
	m.r.mu.Lock()
	held := m.r.held
	m.r.mu.Unlock()
	if held != nil {
		<-held
	}
	m.r.note("room "+room, "broadcast of %d bytes to %d", size, fanOut)
	m.r.count(fanOut, 0)
}

func (m *modelMetrics) MessageSent(_, id string, size int) {
	m.r.note("writes to "+id, "%d bytes", size)
	m.r.count(0, 1)
}

// SendBufferUtilization is not in the model: how many writes there are is for the server to choose.
func (m *modelMetrics) SendBufferUtilization(_, id string, used, capacity int) {
	if used < 0 || used > capacity || capacity != m.r.m.cfg.buffer {
		m.r.note("buffer of "+id, "%d of %d used", used, capacity)
	}
}

func (m *modelMetrics) FrameDropped(_, id string) {
	m.r.note("losses of "+id, "dropped")
	m.r.count(0, 1)
}
