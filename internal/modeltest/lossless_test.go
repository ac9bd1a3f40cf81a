package modeltest

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	wspulse "github.com/wspulse/server"
)

// FuzzLossless does what the input says, with a server whose clients speak wspulse.v1 and with the model of the
// protocol, and compares all there is to see: what each client hears, callbacks, and what the collector gets.
func FuzzLossless(f *testing.F) {
	for _, input := range v1Stories() {
		f.Add(input)
	}
	f.Fuzz(runLossless)
}

// TestLossless_Random does the same with random inputs.
func TestLossless_Random(t *testing.T) {
	playRandom(t, v1ConfigBytes, v1MaxSteps, []byte{v1Open, 0, 0, v1Open, 1, 0}, runLossless)
}

const v1MaxSteps = 80

// runLossless plays an input: six bytes that configure the server, and three for each step.
func runLossless(t *testing.T, input []byte) {
	if len(input) < v1ConfigBytes {
		return
	}
	synctest.Test(t, func(t *testing.T) {
		r := newV1Trial(t, input)
		play(input[v1ConfigBytes:], v1MaxSteps, r.step)
		r.finish()
	})
}

const v1ConfigBytes = 6

// v1ConfigOf picks a configuration. The steps happen at milliseconds of a second that no two of them share; the
// fractions keep pings and the ends of sessions apart from them, and from each other.
func v1ConfigOf(b []byte) v1Config {
	const pings, ends = 100 * time.Nanosecond, 10 * time.Nanosecond
	return v1Config{
		window:     []time.Duration{0, 5*second + ends, 30*second + ends, 120*second + ends}[b[0]%4],
		buffer:     1 + int(b[1]%8),
		ackFrames:  []int{1, 2, 3, 5, 8, 1024}[b[2]%6],
		ackBytes:   []int{1 << 20, 1 << 20, 700, 40}[b[3]%4],
		pingPeriod: []time.Duration{3*second + pings, 10*second + pings}[b[4]%2],
		ackTimeout: []time.Duration{0, 5 * second, 30 * second}[b[4]/2%3],
		duplicates: wspulse.DuplicatePolicy(b[5] % 3),
	}
}

// A v1Trial is a server, its clients and the model.
type v1Trial struct {
	t       *testing.T
	w       *world
	m       *v1Model
	start   time.Time
	log     *modelLog
	story   []string          // the steps in words
	clients map[int]*v1Client // by the number of the link
	frames  int               // so far
	lies    int               // of clients, about counts

	mu         sync.Mutex           // guards what follows
	sessions   []wspulse.Connection // in the order of their OnConnect
	accepted   map[string][]string  // names of messages, by the name of the session
	heard      map[string]int       // the number of the last message that OnMessage got
	mismatches int
	taken      int // messages that must be delivered or counted as dropped
	settled    int // messages that were
}

func newV1Trial(t *testing.T, input []byte) *v1Trial {
	r := &v1Trial{t: t, m: newV1Model(v1ConfigOf(input)), start: time.Now(), log: newModelLog(),
		clients: make(map[int]*v1Client), accepted: make(map[string][]string), heard: make(map[string]int)}
	cfg := r.m.cfg
	r.tell("a server: %+v", cfg)
	r.w = newWorld(t,
		wspulse.WithResumeWindow(cfg.window),
		wspulse.WithSendBufferSize(cfg.buffer),
		wspulse.WithAckWindow(cfg.ackFrames, cfg.ackBytes),
		wspulse.WithAckTimeout(cfg.ackTimeout),
		wspulse.WithHeartbeat(cfg.pingPeriod, 4*cfg.pingPeriod),
		wspulse.WithDuplicatePolicy(cfg.duplicates),
		wspulse.WithMaxMessageSize(v1MaxMessage),
		wspulse.WithMalformedLimit(v1Malformed),
		wspulse.WithMetrics(&v1Collector{r: r}),
		wspulse.WithOnConnect(r.onConnect),
		wspulse.WithOnMessage(r.onMessage),
		wspulse.WithOnTransportDrop(func(c wspulse.Connection, err error) { r.callback(c, "drop(%s)", v1Cause(err)) }),
		wspulse.WithOnTransportRestore(func(c wspulse.Connection) { r.callback(c, "restore") }),
		wspulse.WithOnDisconnect(func(c wspulse.Connection, err error) { r.callback(c, "disconnect(%s)", v1Cause(err)) }),
	)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("input %q\n%s", input, strings.Join(r.story, "\n"))
		}
		for _, c := range r.clients {
			c.Drop()
		}
		time.Sleep(10 * v1BlockedTime) // for what blocks
	})
	return r
}

// finish has the clients of all sessions come back and acknowledge all that they get, closes the server, and draws the
// balance.
func (r *v1Trial) finish() {
	for _, id := range v1IDs {
		if s := r.m.sessions[id]; s != nil {
			r.drain(s)
		}
	}
	r.tell("Server.Close")
	go r.w.server.Close()
	synctest.Wait()
	r.m.closeServer()
	r.settle()
	r.pass(20 * second)
	r.settle()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.taken != r.settled {
		r.t.Errorf("%d messages were taken in, and %d delivered or dropped", r.taken, r.settled)
	}
}

// drain checks that a session that lives delivers, and tells as gaps, all that was accepted for it.
func (r *v1Trial) drain(s *v1Session) {
	if r.m.keeps() {
		r.connect(s.id, &v1Claim{s.id, s.sent(), s.newest})
		r.settle()
	}
	c := r.clients[s.link.number]
	for before := -1; before != s.acknowledged && r.m.keeps(); r.settle() {
		before = s.acknowledged
		r.tell("%s acknowledges %d", s.link.name, s.sent())
		r.control(c, "ack", s.sent(), s.accepted)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if accepted := len(r.acceptedFor(s)); c.at != accepted {
		r.t.Errorf("%s: %d messages have come or were told of, %d were accepted", s.name, c.at, accepted)
	}
}

// settle waits until nothing moves and compares what has happened since the last time.
func (r *v1Trial) settle() {
	r.t.Helper()
	synctest.Wait()
	got, want := r.log.take(), r.m.log.take()
	for _, s := range r.m.all {
		want["over: "+s.name] = fmt.Sprint(s.over)
	}
	r.mu.Lock()
	for i, c := range r.sessions {
		got["over: "+sessionName(i, c.ID())] = fmt.Sprint(ended(c))
	}
	r.mu.Unlock()
	keys := maps.Clone(got)
	maps.Copy(keys, want)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if got[key] != want[key] {
			r.t.Errorf("%s: got\n%q, want\n%q", key, got[key], want[key])
		}
	}
	for _, c := range r.clients {
		r.compare(c)
	}
	if r.t.Failed() {
		r.t.FailNow()
	}
}

// tell adds a step to the story.
func (r *v1Trial) tell(format string, args ...any) {
	r.story = append(r.story, fmt.Sprintf("%9v  ", r.m.now)+fmt.Sprintf(format, args...))
}

// note writes something down that the server has done.
func (r *v1Trial) note(key, format string, args ...any) {
	r.log.add(time.Since(r.start), key, format, args...)
}

func (r *v1Trial) callback(c wspulse.Connection, format string, args ...any) {
	r.note(r.name(c), format, args...)
}

func (r *v1Trial) onConnect(c wspulse.Connection) {
	r.mu.Lock()
	r.sessions = append(r.sessions, c)
	r.mu.Unlock()
	r.callback(c, "connect")
}

// onMessage does what the message says. Each is numbered as its client counts, and comes once and in order.
func (r *v1Trial) onMessage(c wspulse.Connection, f wspulse.Frame) {
	var number int
	var item string
	_, _ = fmt.Sscan(f.ID, &number, &item)
	name := r.name(c)
	r.mu.Lock()
	if number <= r.heard[name] {
		r.t.Errorf("%s: OnMessage got number %d after number %d", name, number, r.heard[name])
	}
	r.heard[name] = number
	r.mu.Unlock()
	r.callback(c, "message(%d %s)", number, f.Event)
	switch f.Event {
	case "echo":
		r.sent(name, item, c.Send(ev(item)))
	case "quit":
		_ = c.Close()
	case "block":
		time.Sleep(v1BlockedTime)
	case "panic":
		panic("oops")
	}
}

// name gives a Connection the name that the model gives it: sessions are numbered as they open.
func (r *v1Trial) name(c wspulse.Connection) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return sessionName(slices.Index(r.sessions, c), c.ID())
}

// sent notes what a Send has taken in, or refused as the one too many.
func (r *v1Trial) sent(session, item string, err error) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil || errors.Is(err, wspulse.ErrSendBufferFull) {
		r.taken++
	}
	if err == nil {
		r.accepted[session] = append(r.accepted[session], item)
	}
	return verdict(err)
}

// acceptedFor returns the messages that were accepted for a session.
func (r *v1Trial) acceptedFor(s *v1Session) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.accepted[s.name]
}

// v1Cause is cause with the errors of wspulse.v1.
func v1Cause(err error) string {
	var limit *wspulse.LimitError
	switch {
	case errors.Is(err, wspulse.ErrTransportReplaced):
		return "replaced"
	case errors.As(err, &limit):
		return string(limit.Limit)
	default:
		return cause(err)
	}
}

func base64url(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// v1Collector writes down what the hooks get that the protocol says something of.
type v1Collector struct {
	wspulse.NoopCollector
	r *v1Trial
}

func (m *v1Collector) ConnectionOpened(_, id string) { m.r.note("hub, "+id, "opened") }
func (m *v1Collector) ConnectionClosed(_, id string, _ time.Duration, reason wspulse.DisconnectReason) {
	m.r.note("hub, "+id, "closed: %s", reason)
}

func (m *v1Collector) ResumeClaimed(_, id string, resumed bool, reason string) {
	m.r.note("claims, "+id, "%t %s", resumed, reason)
}
func (m *v1Collector) TransportReplaced(_, id string) { m.r.note("collector, "+id, "replaced") }
func (m *v1Collector) DuplicatesSuppressed(_, id string, n int) {
	m.r.note("collector, "+id, "%d suppressed", n)
}

// CountMismatch must be for a client that has lied.
func (m *v1Collector) CountMismatch(_, id string) {
	m.r.note("collector, "+id, "mismatch")
	m.r.mu.Lock()
	defer m.r.mu.Unlock()
	if m.r.mismatches++; m.r.mismatches > m.r.lies {
		m.r.t.Errorf("%d counts of %s do not match, its clients have lied %d times", m.r.mismatches, id, m.r.lies)
	}
}

func (m *v1Collector) MessageBroadcast(_ string, _, fanOut int) { m.r.count(fanOut, 0) }
func (m *v1Collector) MessageSent(_, _ string, _ int)           { m.r.count(0, 1) }
func (m *v1Collector) FrameDropped(_, _ string)                 { m.r.count(0, 1) }

func (r *v1Trial) count(taken, settled int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taken += taken
	r.settled += settled
}
