package client_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/wspulse/server/client"
	"github.com/wspulse/server/internal/control"
	"github.com/wspulse/server/wstest"
)

// A script is a server that does what a test tells it to, and so what a real one never does: it counts wrongly, says
// what is no JSON, and closes without a bye. Each dial gets the next of its acts; those that come later get the last
// one.
type script struct {
	*world
	heard journal // what the clients have sent

	mu     sync.Mutex
	acts   []func(*peer)
	offers []string // of each request
}

// play runs a story in a bubble, with a server of those acts.
func play(t *testing.T, story func(t *testing.T, s *script), acts ...func(*peer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &script{acts: acts}
		s.world = &world{t: t, web: wstest.NewServer(t, http.HandlerFunc(s.serve))}
		story(t, s)
	})
}

func (s *script) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.offers = append(s.offers, r.Header.Get("Sec-WebSocket-Protocol"))
	act := s.acts[0]
	if len(s.acts) > 1 {
		s.acts = s.acts[1:]
	}
	s.mu.Unlock()
	upgrader := websocket.Upgrader{
		CheckOrigin:  func(*http.Request) bool { return true },
		Subprotocols: []string{control.Protocol},
	}
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer ws.Close()
	p := &peer{script: s, ws: ws, offered: r.Header.Get("Sec-WebSocket-Protocol"), over: make(chan struct{})}
	go p.read()
	act(p)
	<-p.over
}

// hears compares what the clients have sent.
func (s *script) hears(want string) {
	s.t.Helper()
	synctest.Wait()
	if got := s.heard.take(); got != want {
		s.t.Errorf("the server heard %q, want %q", got, want)
	}
}

// claim returns what the latest request claims, as "id recv token"; empty: nothing.
func (s *script) claim() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, claim, _ := control.Offered(strings.Split(s.offers[len(s.offers)-1], ", "))
	if claim == nil {
		return ""
	}
	return fmt.Sprintf("%s %d %s", claim.ID, claim.Recv, claim.Token[:1])
}

// A peer is the server's end of one WebSocket.
type peer struct {
	*script
	ws      *websocket.Conn
	offered string
	over    chan struct{} // closed when reading has ended
}

// read writes down what comes: "a" for a message, "ack:3@2" for a control message, "close:1000" for the end.
func (p *peer) read() {
	defer close(p.over)
	p.ws.SetPongHandler(func(text string) error { p.heard.add("pong(%s)", text); return nil })
	for {
		kind, data, err := p.ws.ReadMessage()
		var closed *websocket.CloseError
		switch {
		case errors.As(err, &closed) && closed.Code != websocket.CloseAbnormalClosure:
			p.heard.add("close:%d%s", closed.Code, closed.Text)
			return
		case err != nil:
			return
		case kind == websocket.TextMessage:
			var f struct{ Event string }
			_ = json.Unmarshal(data, &f)
			p.heard.add("%s", f.Event)
			continue
		}
		m, err := control.Parse(data, control.Ack, control.Ping, control.Bye)
		switch {
		case err != nil:
			p.heard.add("%v", err)
		case m.Type == control.Ack:
			p.heard.add("ack:%d@%d", m.N, m.At)
		default:
			p.heard.add("%s@%d", m.Type, m.At)
		}
	}
}

// say sends a control message.
func (p *peer) say(m control.Message) { p.raw(string(m.Append(nil))) }

// raw sends what is to pass for a control message.
func (p *peer) raw(text string) { _ = p.ws.WriteMessage(websocket.BinaryMessage, []byte(text)) }

// send sends messages.
func (p *peer) send(events ...string) {
	for _, event := range events {
		_ = p.ws.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"event":%q}`, event))
	}
}

// wait lets some time pass, unless the client goes before.
func (p *peer) wait(d time.Duration) {
	select {
	case <-time.After(d):
	case <-p.over:
	}
}

// close sends a close frame.
func (p *peer) close(code int, text string) {
	_ = p.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, text), time.Time{})
}

// welcome is a hello for a new session of alice, changed by some functions.
func welcome(changes ...func(*control.Message)) control.Message {
	m := control.Message{Type: control.Hello, Hello: control.Welcome{ID: "alice", Token: strings.Repeat("t", 43),
		Window: 30_000, Heartbeat: 20_000, MaxBytes: 1 << 20, Inflight: 256}}
	for _, change := range changes {
		change(&m)
	}
	return m
}

// resumed has a hello resume: the server has accepted recv messages, and sends what is behind at.
func resumed(recv, at uint64) func(*control.Message) {
	return func(m *control.Message) { m.Hello.Resumed, m.Hello.Recv, m.At = true, recv, at }
}

// lost has a hello say that there is no such session any more, of which recv messages were processed.
func lost(reason string, recv uint64) func(*control.Message) {
	return func(m *control.Message) { m.Hello.Reason, m.Hello.Recv = reason, recv }
}

// noWindow has a hello say that the server keeps no sessions.
func noWindow(m *control.Message) { m.Hello.Window, m.Hello.Token = 0, "" }

// greets is an act that says hello, and leaves it at that.
func greets(changes ...func(*control.Message)) func(*peer) {
	return func(p *peer) { p.say(welcome(changes...)) }
}

// hurry has a client come back after a second.
func hurry() client.Option { return client.WithReconnect(-1, time.Second, time.Second) }
