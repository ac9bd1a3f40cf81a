package lossless

import (
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	wspulse "github.com/wspulse/server"
)

// Patience bounds what a proof waits for.
const Patience = time.Minute

// A Proof is a server that sends numbers to its clients and counts those that come from them. It is also the site of
// the pages: talk.html, and what it needs.
//
// A client connects to the path /ws, with the query id (empty: the server makes one up), down (how many numbers it
// wants), and length (the ms over which they are spread). A frame with the event "n" has a number.
type Proof struct {
	Site    string // http://127.0.0.1:PORT
	Server  wspulse.Server
	Metrics Metrics
	Faults  Faults

	t    testing.TB
	addr string
	stop chan struct{} // closed when the test has ended

	mu       sync.Mutex
	sessions map[string]*Session
	order    []string
	changed  chan struct{} // closed, and made anew, when a session has changed
}

// A Session is what the server knows of one.
type Session struct {
	ID      string
	Up      Counter
	Sent    int      // numbers that the server has sent
	Journal []string // "connect", "drop", "restore" and "end", as it was
	Reason  wspulse.DisconnectReason
}

//go:embed *.mjs *.html
var pages embed.FS

// New starts a server. clientjs is the directory of the JavaScript client.
func New(t testing.TB, clientjs string, options ...wspulse.ServerOption) *Proof {
	t.Helper()
	p := &Proof{t: t, stop: make(chan struct{}), sessions: make(map[string]*Session), changed: make(chan struct{})}
	p.Server = wspulse.NewServer(p.connect, append([]wspulse.ServerOption{
		wspulse.WithResumeWindow(5 * time.Minute),
		wspulse.WithMetrics(collector{&p.Metrics, p}),
		wspulse.WithCheckOrigin(func(*http.Request) bool { return true }), // the networks have ports of their own
		wspulse.WithOnConnect(func(c wspulse.Connection) {
			p.note(c.ID(), "connect")
			go p.number(c, c.Data().(plan))
		}),
		wspulse.WithOnTransportDrop(func(c wspulse.Connection, _ error) { p.note(c.ID(), "drop") }),
		wspulse.WithOnTransportRestore(func(c wspulse.Connection) { p.note(c.ID(), "restore") }),
		wspulse.WithOnDisconnect(func(c wspulse.Connection, _ error) { p.note(c.ID(), "end") }),
		wspulse.WithOnMessage(p.observe),
	}, options...)...)
	mux := http.NewServeMux()
	mux.Handle("/ws", p.Server)
	mux.Handle("/", http.FileServerFS(pages))
	mux.HandleFunc("/wspulse.mjs", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		http.ServeFile(w, r, filepath.Join(clientjs, "dist", "wspulse.js"))
	})
	web := httptest.NewServer(mux)
	p.Site, p.addr = web.URL, web.Listener.Addr().String()
	t.Cleanup(func() {
		close(p.stop)
		p.Server.Close()
		web.Close()
	})
	return p
}

// A plan is what a client wants to get.
type plan struct {
	down   int
	length time.Duration
}

func (p *Proof) connect(r *http.Request) (roomID, connectionID string, err error) {
	query := r.URL.Query()
	down, _ := strconv.Atoi(query.Get("down"))
	length, _ := strconv.Atoi(query.Get("length"))
	wspulse.Attach(r, wspulse.Details{Data: plan{down, time.Duration(length) * time.Millisecond}})
	return "session", query.Get("id"), nil
}

// number sends numbers, in step with the time.
func (p *Proof) number(c wspulse.Connection, plan plan) {
	start := time.Now()
	tick := time.NewTicker(4 * time.Millisecond)
	defer tick.Stop()
	for n := 1; n <= plan.down; {
		select {
		case <-tick.C:
		case <-c.Done():
			return
		case <-p.stop:
			return
		}
		due := plan.down
		if passed := time.Since(start); passed < plan.length {
			due = int(passed * time.Duration(plan.down) / plan.length)
		}
		for n <= due && c.Send(numbered(n)) == nil { // the rest when the buffer has room
			n++
		}
		p.change(c.ID(), func(s *Session) { s.Sent = n - 1 })
	}
}

// numbered returns a message of some size.
func numbered(n int) wspulse.Frame {
	payload, _ := json.Marshal(map[string]any{"n": n, "padding": strings.Repeat("x", rand.IntN(300))})
	return wspulse.Frame{Event: "n", Payload: payload}
}

func (p *Proof) observe(c wspulse.Connection, f wspulse.Frame) {
	var message struct{ N int }
	if err := json.Unmarshal(f.Payload, &message); err != nil {
		p.t.Errorf("%s: %v in %s", c.ID(), err, f.Payload)
	}
	p.change(c.ID(), func(s *Session) { s.Up.Count(message.N) })
}

func (p *Proof) note(id, what string) {
	p.change(id, func(s *Session) { s.Journal = append(s.Journal, what) })
}

func (p *Proof) change(id string, how func(*Session)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.sessions[id]
	if s == nil {
		s = &Session{ID: id, Up: Counter{Next: 1}}
		p.sessions[id] = s
		p.order = append(p.order, id)
	}
	how(s)
	close(p.changed)
	p.changed = make(chan struct{})
}

// Sessions returns all that there have been, as they are now, the first one first.
func (p *Proof) Sessions() (all []Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range p.order {
		all = append(all, *p.sessions[id])
	}
	return all
}

// Session returns one of them. Its Up.Next is 1, and the rest empty, when it has not connected yet.
func (p *Proof) Session(id string) Session {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.sessions[id]; s != nil {
		return *s
	}
	return Session{ID: id, Up: Counter{Next: 1}}
}

// Await waits until something holds that sessions have to do with, and fails the test when it does not.
func (p *Proof) Await(what string, holds func() bool) {
	p.t.Helper()
	timeout := time.After(Patience)
	for {
		p.mu.Lock()
		changed := p.changed
		p.mu.Unlock()
		if holds() {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			p.t.Fatalf("waited for %s: %+v", what, p.Sessions())
		}
	}
}

// collector notes why sessions end.
type collector struct {
	*Metrics
	proof *Proof
}

// ConnectionClosed implements wspulse.MetricsCollector.
func (c collector) ConnectionClosed(_, id string, _ time.Duration, reason wspulse.DisconnectReason) {
	c.proof.change(id, func(s *Session) { s.Reason = reason })
}

// A Plan is a talk that a page is to have: the fragment of talk.html, see page.mjs.
type Plan map[string]any

// Plan returns one for a client on that network, with that ID (empty: the server makes one up): so many numbers each way.
// more is what else is in it.
func (n *Network) Plan(id string, numbers int, length time.Duration, more Plan) Plan {
	ms := length.Milliseconds()
	plan := Plan{"url": fmt.Sprintf("%s?id=%s&down=%d&length=%d", n.URL(), id, numbers, ms), "up": numbers, "down": numbers, "length": ms}
	maps.Copy(plan, more)
	return plan
}

// TalkURL returns the URL of a page that has a talk.
func (p *Proof) TalkURL(plan Plan) string {
	given, err := json.Marshal(plan)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.Site + "/talk.html#" + url.PathEscape(string(given))
}

// A Talk is what a client says at the end: see talk.mjs.
type Talk struct {
	ID     string
	Sent   int
	Down   Counter
	Gaps   int
	Drops  []string // why the connection was lost
	Backs  int      // times that it came back
	Lost   []string // why the session was lost
	AtOnce int      // sockets
	Ended  *string  // why, "" after close
	Failed string   // what connect has thrown
}

// Judge fails the test where something was lost or doubled, of so many numbers each way.
func (p *Proof) Judge(talk Talk, up, down int) {
	p.t.Helper()
	s := p.Session(talk.ID)
	complete := func(c Counter, n int) bool { return c == Counter{Next: n + 1} }
	if talk.Failed != "" || !complete(s.Up, up) || !complete(talk.Down, down) || talk.Gaps+len(talk.Lost) > 0 || talk.AtOnce != 1 {
		p.t.Errorf("%d and %d numbers were to come:\nthe server has %+v\nthe client has %+v", up, down, s, talk)
	}
}

// JudgeByes waits until all connections of those sessions have ended, and fails the test where fewer than so many of ten
// of them did with a bye of the client.
func (p *Proof) JudgeByes(ids []string, ofTen int) {
	p.t.Helper()
	byes := 0
	p.Await("the end of all connections", func() bool {
		byes = 0
		for _, id := range ids {
			switch journal := p.Session(id).Journal; journal[len(journal)-1] {
			case "connect":
				return false
			case "end":
				byes++
			}
		}
		return true
	})
	p.t.Logf("%d of %d have said bye", byes, len(ids))
	if 10*byes < ofTen*len(ids) {
		p.t.Errorf("%d of ten were to do so at the least", ofTen)
	}
}

// JudgeMetrics fails the test where the server has found something wrong, or where there were fewer faults than that, or
// nothing has come of them.
func (p *Proof) JudgeMetrics(faults int) {
	p.t.Helper()
	m := &p.Metrics
	if m.Mismatches.Load()+m.Gaps.Load()+m.Refused.Load() != 0 {
		p.t.Errorf("%d count mismatches, %d told as gaps, claims refused: %v", m.Mismatches.Load(), m.Gaps.Load(), m.Reasons())
	}
	if p.Faults.Total() < faults || m.Resumes.Load() == 0 || faults > 0 && (m.Takeovers.Load() == 0 || m.Replayed.Load() == 0) {
		p.t.Errorf("not everything was tried: wanted %d faults, resumes, takeovers, and messages sent again: %s", faults, p.Summary())
	}
}

// Summary is what a reader is to see.
func (p *Proof) Summary() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d faults:", p.Faults.Total())
	for kind, n := range p.Faults.Count() {
		fmt.Fprintf(&b, " %d × %s;", n, FaultNames[kind])
	}
	m := &p.Metrics
	fmt.Fprintf(&b, " resumes %d, takeovers %d, messages sent again %d, duplicates suppressed %d, gaps %d, count mismatches %d",
		m.Resumes.Load(), m.Takeovers.Load(), m.Replayed.Load(), m.Suppressed.Load(), m.Gaps.Load(), m.Mismatches.Load())
	return b.String()
}
