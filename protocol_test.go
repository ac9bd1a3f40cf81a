package wspulse_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/internal/rawpeer"
	"github.com/wspulse/server/internal/vectors"
)

// The server, against the transcripts of wspulse.v1 in testdata/protocol. The client's part is played here, with bytes
// that are written and read without the library.
func TestProtocol(t *testing.T) {
	for _, v := range vectors.Read(t, "testdata/protocol") {
		if v.IsFor("server") {
			t.Run(v.Name, func(t *testing.T) {
				inBubble(t, func(t *testing.T) { play(t, v) })
			})
		}
	}
}

const (
	stepTime = 2 * time.Second // that a step may take,
	dialTime = 35 * time.Second
	mainConn = "main"
)

// A player plays the part of the clients.
type player struct {
	t      *testing.T
	v      *vectors.Vector
	step   int
	w      *world
	seen   journal
	peers  map[string]*voice // by their names in the vector
	stands vectors.Bindings
	sent   map[string]int // messages of the application, by the connectionID they were for
	id     string         // of the last dial on main
	opcode byte           // of data messages

	mu     sync.Mutex    // guards what follows
	held   chan struct{} // closed at release; nil: nothing is held
	panics bool
}

// play runs a vector. It fails with the step, what it wants, what has come, and what was said before.
func play(t *testing.T, v *vectors.Vector) {
	p := &player{t: t, v: v, peers: make(map[string]*voice), stands: make(vectors.Bindings), sent: make(map[string]int),
		opcode: rawpeer.OpText}
	p.w = newWorld(t, p.options()...)
	t.Cleanup(p.release)
	for i := range v.Steps {
		p.step = i
		p.take(&v.Steps[i])
		synctest.Wait()
	}
}

// fail says where it went wrong.
func (p *player) fail(got string) {
	p.t.Helper()
	s := &p.v.Steps[p.step]
	before := ""
	if peer := p.peers[connOf(s)]; peer != nil {
		before = "\n  said on " + connOf(s) + ":\n    " + strings.Join(peer.log, "\n    ")
	}
	p.t.Fatalf("%s: %s\n  step %d\n  want %s\n  got  %s%s", p.v.Row, p.v.About, p.step+1, s.Text, got, before)
}

func connOf(s *vectors.Step) string {
	if s.On == "" {
		return mainConn
	}
	return s.On
}

func timeOf(s *vectors.Step, otherwise time.Duration) time.Duration {
	if s.Within > 0 {
		return time.Duration(s.Within)
	}
	return otherwise
}

func (p *player) take(s *vectors.Step) {
	switch {
	case s.Client != nil && s.Client.Dial != nil:
		p.dial(s)
	case s.Client != nil && s.Client.Nothing > 0:
		time.Sleep(time.Duration(s.Client.Nothing))
	case s.Client != nil:
		p.say(s)
	case s.Server != nil && s.Server.Nothing > 0:
		p.expectNothing(s)
	case s.Server != nil:
		p.expect(s)
	case s.Application != "":
		p.act(s)
	case s.Drop:
		p.peer(s).conn.Reset()
		p.peer(s).forget()
	case s.Silence:
		p.peer(s).silent.Store(true)
	default:
		time.Sleep(time.Duration(s.Wait)) // zero for the client's application
	}
}

// peer returns the connection that a step is about.
func (p *player) peer(s *vectors.Step) *voice {
	peer := p.peers[connOf(s)]
	if peer == nil {
		p.t.Fatalf("step %d: nothing has dialled on %s", p.step+1, connOf(s))
	}
	return peer
}

func (p *player) dial(s *vectors.Step) {
	a := s.Client
	offers := make([]string, 0, len(*a.Dial))
	for _, o := range *a.Dial {
		offers = append(offers, o.Write(p.stands))
	}
	id := p.stands.Fill(a.As)
	query := url.Values{"room": {"r"}, "id": {id}}
	if a.User != "" {
		query.Set("user", a.User)
	}
	switch a.Refuse {
	case "":
	case "connect":
		query.Set("refuse", "")
	default:
		query.Set(a.Refuse, "")
	}
	conn, err := p.w.web.Listener.Dial(noFaults, noFaults)
	if err != nil {
		p.t.Fatal(err)
	}
	peer := newVoice(p.t, conn, p.opcode)
	if old := p.peers[connOf(s)]; old != nil {
		peer.log = append(slices.Clone(old.log), "--")
	}
	p.peers[connOf(s)] = peer
	early := ""
	if len(a.Early) > 0 {
		early = p.stands.Write(a.Early)
	}
	peer.request(query, offers, early)
	status, selected := peer.response(timeOf(s, dialTime))
	wantStatus, wantSelected := http.StatusSwitchingProtocols, "wspulse.v1"
	if a.Status > 0 {
		wantStatus, wantSelected = a.Status, ""
	}
	if a.Selects != nil {
		wantSelected = *a.Selects
	}
	if status != wantStatus || selected != wantSelected {
		p.fail(fmt.Sprintf("status %d, which selects %q, want %d, %q", status, selected, wantStatus, wantSelected))
	}
	if connOf(s) == mainConn {
		p.id = id
	}
	if status == http.StatusSwitchingProtocols {
		go peer.listen()
	}
	peer.claimed = 0
	for _, o := range *a.Dial {
		if o.Claim != nil {
			peer.claimed, _ = strconv.ParseUint(o.Claim.Recv.String(), 10, 64)
		}
	}
}

// say sends what the client says.
func (p *player) say(s *vectors.Step) {
	peer, a := p.peer(s), s.Client
	switch {
	case a.Type != "":
		raw, err := json.Marshal(a.Fields)
		if err != nil {
			p.t.Fatal(err)
		}
		peer.control(p.stands.Write(raw))
	case a.Raw != nil:
		peer.control(*a.Raw)
	case a.Data != nil:
		peer.data(*a.Data)
	case a.Close > 0:
		peer.close(a.Close)
	case a.Messages != nil:
		for k := a.Messages[0]; k <= a.Messages[1]; k++ {
			peer.data(encodeSized(p.t, fmt.Sprint("c", k), a.Bytes))
		}
	}
}

// expect waits for what the server is to say.
func (p *player) expect(s *vectors.Step) {
	peer, a := p.peer(s), s.Server
	if a.Messages == nil {
		p.expectOne(s, peer, func(u utterance) bool { return p.isWhat(a, u) })
		return
	}
	for k := a.Messages[0]; k <= a.Messages[1]; k++ {
		p.expectOne(s, peer, func(u utterance) bool {
			f, err := wspulse.JSONCodec.Decode([]byte(u.text))
			return u.kind == saysData && err == nil && f.Event == fmt.Sprint("s", k) && (a.Bytes == 0 || len(u.text) == a.Bytes)
		})
	}
}

// isWhat says whether the server has said that.
func (p *player) isWhat(a *vectors.Act, u utterance) bool {
	switch {
	case a.Type != "":
		return u.kind == saysControl && p.stands.Matches(a.Fields, u.fields)
	case a.Close > 0:
		return u.kind == saysClose && u.code == a.Close && (a.Reason == "*" || u.text == a.Reason)
	default: // the end
		return u.kind == saysEnd
	}
}

// expectOne takes the next thing that the server says, past what is not listed and need not be.
func (p *player) expectOne(s *vectors.Step, peer *voice, want func(u utterance) bool) {
	deadline := time.Now().Add(timeOf(s, stepTime))
	for {
		u, ok := p.next(peer, deadline)
		switch {
		case !ok && s.Optional:
			return
		case !ok:
			p.fail(fmt.Sprintf("nothing within %v", timeOf(s, stepTime)))
		case want(u):
			return
		case u.mayBeSkipped(s.Server):
		case s.Optional:
			peer.unread = append(peer.unread, u)
			return
		default:
			p.fail(u.String())
		}
	}
}

func (p *player) expectNothing(s *vectors.Step) {
	peer := p.peer(s)
	deadline := time.Now().Add(time.Duration(s.Server.Nothing))
	for u, ok := p.next(peer, deadline); ok; u, ok = p.next(peer, deadline) {
		if s.Strict || !u.mayBeSkipped(s.Server) {
			p.fail(u.String())
		}
	}
}

// next returns what the server says next, until then. It fails for what may not be.
func (p *player) next(peer *voice, deadline time.Time) (u utterance, ok bool) {
	u, fresh := peer.next(deadline)
	if u.kind == saysNothing {
		return u, false
	}
	if fresh {
		peer.log = append(peer.log, "server: "+u.String())
		if fault := peer.count(u); fault != "" {
			p.fail(u.String() + ": " + fault)
		}
		if slices.Contains(p.v.Never["server"], u.typ) {
			p.fail(u.String() + ", which must never be")
		}
	}
	return u, true
}

// act is what the application on the server does.
func (p *player) act(s *vectors.Step) {
	id := p.id
	if s.To != "" {
		id = s.To
	}
	switch s.Application {
	case "send", "broadcast":
		p.send(s, id)
	case "kick":
		if s.Code == 0 {
			p.w.must(p.w.server.Kick(id))
		} else {
			p.w.must(p.w.server.KickWith(id, s.Code, s.Reason))
		}
	case "close":
		if c := p.w.connection("r", id); s.Code == 0 {
			p.w.must(c.Close())
		} else {
			p.w.must(c.CloseWith(s.Code, s.Reason))
		}
	case "expire":
		p.w.connection("r", id).SetExpires(time.Now())
	case "stop":
		go p.w.server.Close()
	case "hold":
		p.mu.Lock()
		defer p.mu.Unlock()
		p.held = make(chan struct{})
	case "release":
		p.release()
	case "panic":
		p.mu.Lock()
		defer p.mu.Unlock()
		p.panics = true
	case "sees":
		synctest.Wait()
		if got := p.seen.take(); got != strings.Join(s.Events, " ") {
			p.fail(got)
		}
	default:
		p.t.Fatalf("step %d: the application can't %s", p.step+1, s.Application)
	}
}

func (p *player) send(s *vectors.Step, id string) {
	accepted := 0
	for range s.Count {
		data := encodeSized(p.t, fmt.Sprint("s", p.sent[id]+1), s.Bytes)
		f, err := wspulse.JSONCodec.Decode([]byte(data))
		if err != nil {
			p.t.Fatal(err)
		}
		if s.Application == "broadcast" {
			err = p.w.server.Broadcast("r", f)
		} else {
			err = p.w.server.Send(id, f)
		}
		synctest.Wait()
		if err == nil {
			p.sent[id]++
			accepted++
		}
	}
	if want := s.Count; s.Accepted == nil && accepted != want || s.Accepted != nil && accepted != *s.Accepted {
		p.fail(fmt.Sprintf("%d of %d accepted", accepted, want))
	}
}

// release lets OnMessage return.
func (p *player) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held != nil {
		close(p.held)
		p.held = nil
	}
}

func (p *player) onMessage(_ wspulse.Connection, f wspulse.Frame) {
	p.seen.add("message %s", strings.TrimPrefix(f.Event, "c"))
	p.mu.Lock()
	held, panics := p.held, p.panics
	p.panics = false
	p.mu.Unlock()
	if panics {
		panic("as the vector says")
	}
	if held != nil {
		<-held
	}
}

// options are those of the server, and what it calls.
func (p *player) options() []wspulse.ServerOption {
	options := []wspulse.ServerOption{
		wspulse.WithOnConnect(func(wspulse.Connection) { p.seen.add("connect") }),
		wspulse.WithOnMessage(p.onMessage),
		wspulse.WithOnTransportDrop(func(wspulse.Connection, error) { p.seen.add("drop") }),
		wspulse.WithOnTransportRestore(func(wspulse.Connection) { p.seen.add("restore") }),
		wspulse.WithOnDisconnect(func(wspulse.Connection, error) { p.seen.add("disconnect") }),
	}
	for name, value := range p.v.Server {
		option := protocolOptions[name]
		if option == nil {
			p.t.Fatalf("%s: the server has no option %s", p.v.Row, name)
		}
		options = append(options, option(p.t, value))
	}
	if string(p.v.Server["codec"]) == `"binary"` {
		p.opcode = rawpeer.OpBinary
	}
	return options
}

// encodeSized encodes a frame that has an event, and a payload that brings it to a size.
func encodeSized(t *testing.T, event string, size int) string {
	t.Helper()
	f := ev(event)
	for {
		data, err := wspulse.JSONCodec.Encode(f)
		if err != nil {
			t.Fatal(err)
		}
		switch missing := size - len(data); {
		case missing <= 0:
			return string(data)
		case f.Payload == nil:
			f.Payload = []byte(`""`)
		default:
			f.Payload = []byte(`"` + strings.Repeat("x", missing) + `"`)
		}
	}
}
