package modeltest

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/wstest"
)

// A v1Client is a client as it really is, beside the model's.
type v1Client struct {
	*wstest.Client // whose reading is listen's
	link           *v1Link
	trial          *v1Trial

	mu    sync.Mutex // guards what follows
	at    int        // messages that have come by this and former links of the session, with those of gaps
	token string
	pings []time.Duration
	acks  []v1Ack
	came  []v1Came // since the last look
}

// A v1Ack is an acknowledgement that has come.
type v1Ack struct {
	n  int
	at time.Duration
}

// A v1Came is a message that has come as the nth.
type v1Came struct {
	n    int
	name string
}

// v1Hello is what a hello says, but for its token.
type v1Hello struct {
	ID, Reason        string
	Resumed           bool
	Recv, At          int
	Window, Heartbeat int64
	MaxBytes          int
	Inflight          int
}

func (h v1Hello) String() string {
	word := "new"
	if h.Resumed {
		word = "resumed"
	}
	return fmt.Sprintf("hello %s %s %q recv %d at %d, window %d heartbeat %d maxBytes %d inflight %d", word, h.ID,
		h.Reason, h.Recv, h.At, h.Window, h.Heartbeat, h.MaxBytes, h.Inflight)
}

// v1Bye is what a bye says.
type v1Bye struct {
	Reason    string
	Reconnect bool
	After     [2]int
}

func (b v1Bye) String() string { return fmt.Sprintf("bye %s %t %v", b.Reason, b.Reconnect, b.After) }

// String returns the subprotocol that a client offers who comes back.
func (c v1Claim) subprotocol(token string) string {
	return fmt.Sprintf("wspulse.v1.resume.%s.%d.%s", base64url(c.id), c.recv, token)
}

// listen writes down what a client reads.
func (c *v1Client) listen() {
	for {
		kind, data, err := c.WebSocket.ReadMessage()
		switch {
		case err != nil:
			c.trial.note(c.link.name, "%s", v1Farewell(err))
			c.WebSocket.Close()
			return
		case kind == websocket.TextMessage:
			c.message(data)
		default:
			c.control(data)
		}
	}
}

// v1Farewell leaves out what the close frame says besides its code: that is for people.
func v1Farewell(err error) string {
	closed, ok := err.(*websocket.CloseError)
	if !ok || closed.Code == websocket.CloseAbnormalClosure {
		return "gone"
	}
	return fmt.Sprintf("close %d", closed.Code)
}

func (c *v1Client) message(data []byte) {
	f, err := wspulse.JSONCodec.Decode(data)
	if err != nil || len(f.Event) < 4 {
		c.trial.t.Errorf("%s: got %.80q: %v", c.link.name, data, err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at++
	c.came = append(c.came, v1Came{c.at, f.Event[:4]})
	c.trial.note(c.link.name, "%s", f.Event[:4])
}

func (c *v1Client) control(data []byte) {
	var m struct {
		T, Token string
		N, At    *int
		v1Hello
		v1Bye
	}
	var hello v1Hello
	var bye v1Bye
	for _, v := range []any{&m, &hello, &bye} {
		if err := json.Unmarshal(data, v); err != nil {
			c.trial.t.Errorf("%s: got %.80q: %v", c.link.name, data, err)
			return
		}
	}
	now := time.Since(c.trial.start)
	c.mu.Lock()
	defer c.mu.Unlock()
	if m.T == "hello" {
		c.at, c.token = hello.At, m.Token
	}
	if m.At == nil || *m.At != c.at || len(data) > 4096 {
		c.trial.t.Errorf("%s: got %.80s when %d messages had come", c.link.name, data, c.at)
	}
	switch m.T {
	case "hello":
		c.trial.note(c.link.name, "%s", hello)
	case "gap":
		c.at += *m.N
		c.trial.note(c.link.name, "gap:%d", *m.N)
	case "ack":
		c.acks = append(c.acks, v1Ack{*m.N, now})
	case "ping":
		c.pings = append(c.pings, now)
	case "pong":
		c.trial.note(c.link.name, "pong")
	case "bye":
		c.trial.note(c.link.name, "%s", bye)
	default:
		c.trial.t.Errorf("%s: got %.80q", c.link.name, data)
	}
}

// say sends a data message. The server may have hung up, which is heard.
func (c *v1Client) say(data []byte) { _ = c.WebSocket.WriteMessage(websocket.TextMessage, data) }

func (c *v1Client) sendControl(data string) {
	_ = c.WebSocket.WriteMessage(websocket.BinaryMessage, []byte(data))
}

// compare compares what is not in the journal: pings, acknowledgements, and that each message is what was accepted as
// the nth for the session.
func (r *v1Trial) compare(c *v1Client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.link
	if n := len(c.pings); n > 0 && l.maybe > 0 && c.pings[n-1] == l.maybe {
		c.pings = c.pings[:n-1]
	}
	if got, want := fmt.Sprint(c.pings), fmt.Sprint(l.pings); got != want {
		r.t.Errorf("%s: pings at %s, want %s", l.name, got, want)
	}
	c.pings, l.pings = nil, nil
	if l.session == nil {
		return
	}
	for _, v := range c.came {
		if accepted := r.acceptedFor(l.session); v.n > len(accepted) || accepted[v.n-1] != v.name {
			r.t.Errorf("%s: got %s as number %d of %v", l.name, v.name, v.n, accepted)
		}
	}
	c.came = nil
	r.compareAcks(c)
}

// compareAcks compares acknowledgements with a bound, since it is for the server to put some of them together. Each is
// of all that is processed by then, and comes a second after one of these, or for 64, or at the beginning of a
// transport. Nothing that is processed waits longer for it.
func (r *v1Trial) compareAcks(c *v1Client) {
	const most, period = 64, time.Second
	l, processed := c.link, c.link.session.processed
	for _, a := range c.acks {
		due := a.at == l.since || a.n-l.told >= most
		for _, t := range processed[:min(a.n, len(processed))] {
			due = due || a.at == t+period
		}
		switch {
		case !r.m.keeps(), !due, a.n < l.told, a.n == l.told && a.at != l.since:
			r.t.Errorf("%s: got ack %d at %v after ack %d, processed at %v", l.name, a.n, a.at, l.told, processed)
		case a.n > len(processed), a.n > 0 && processed[a.n-1] > a.at, a.n < len(processed) && processed[a.n] < a.at:
			r.t.Errorf("%s: got ack %d at %v, processed at %v", l.name, a.n, a.at, processed)
		}
		l.told = a.n
	}
	c.acks = nil
	if l.session.link == l && r.m.keeps() && l.told < len(processed) &&
		(max(l.since, processed[l.told])+period < r.m.now || len(processed)-l.told >= most) {
		r.t.Errorf("%s: %d messages are not acknowledged, processed at %v", l.name, len(processed)-l.told, processed)
	}
}
