package wstest

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/gorilla/websocket"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/internal/control"
)

// A Session is a client of wspulse.v1 that does what a test tells it to, the wrong thing too: it can lose a hello, keep
// its acknowledgements back, claim with a token that is old, and count what it likes. It reads all the time, and writes
// down what it gets. It does not come back by itself; package client has the client for programs.
//
// Its methods may be called from any goroutine, but for those that connect: they belong to the test's own.
type Session struct {
	server  *Server
	target  string
	options []DialOption
	codec   wspulse.Codec

	mu           sync.Mutex    // guards what follows, and the writes
	client       *Client       // of the last Connect; what another one reads does not count
	done         chan struct{} // closed when the reading of client has ended
	claim        Claim
	sent         uint64
	loseHello    bool
	withholdAcks bool
	greeted      bool // by a hello of this connection
	words        []string
	hello        Hello
	bye          Bye
}

// A Claim is what a client that comes back says in its request. Without a token it says nothing.
type Claim struct {
	ID, Token string
	Received  uint64 // messages, with those of gaps
}

// Hello is what the server says first.
type Hello struct {
	ID, Token, Reason string
	Resumed           bool
	Recv, At          uint64
	Window, Heartbeat int64 // in ms
	MaxBytes          int64
	Inflight          int
}

// Bye is what the server says last.
type Bye struct {
	Reason    string
	Reconnect bool
	After     [2]int64 // ms
}

// NewSession returns a client of wspulse.v1 for a path and query. It is not connected.
func (s *Server) NewSession(target string, options ...DialOption) *Session {
	config := &dialConfig{codec: wspulse.JSONCodec}
	for _, option := range options {
		option(config)
	}
	return &Session{server: s, target: target, options: options, codec: config.codec}
}

// Connect dials, with a claim if the session has a token. It fails the test when the upgrade is refused.
func (v *Session) Connect() *Session {
	v.server.t.Helper()
	if response, err := v.TryConnect(); err != nil {
		v.server.t.Fatalf("wstest: connect %s: %v (%v)", v.target, err, response)
	}
	return v
}

// TryConnect is Connect for upgrades that may be refused.
func (v *Session) TryConnect() (*http.Response, error) {
	offer := []string{control.Protocol}
	if c := v.Claim(); c.Token != "" {
		offer = append(offer, control.Claim{ID: c.ID, Recv: c.Received, Token: c.Token}.String())
	}
	return v.offer(offer)
}

// Offer dials with these subprotocols. It fails the test when the upgrade is refused.
func (v *Session) Offer(protocols ...string) {
	v.server.t.Helper()
	if response, err := v.offer(protocols); err != nil {
		v.server.t.Fatalf("wstest: connect %s: %v (%v)", v.target, err, response)
	}
}

func (v *Session) offer(protocols []string) (*http.Response, error) {
	options := append([]DialOption{WithIdle()}, v.options...)
	options = append(options, WithDialer(func(d *websocket.Dialer) { d.Subprotocols = protocols }))
	client, response, err := v.server.TryDial(v.target, options...)
	if err != nil {
		return response, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.client, v.done = client, make(chan struct{})
	v.greeted = false
	go v.read(client, v.done, v.loseHello)
	return response, nil
}

// Client returns the connection of the last Connect, to break it.
func (v *Session) Client() *Client {
	client, _ := v.connection()
	return client
}

func (v *Session) connection() (*Client, chan struct{}) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.client, v.done
}

// Claim returns what the next Connect claims. A hello that is taken sets it, and messages and gaps count on.
func (v *Session) Claim() Claim {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.claim
}

// SetClaim has the next Connect claim something else. No connection is open.
func (v *Session) SetClaim(c Claim) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.claim = c
}

// SetReceived is SetClaim for the number of messages.
func (v *Session) SetReceived(n uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.claim.Received = n
}

// SetSent has the session say that it has sent so many messages.
func (v *Session) SetSent(n uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.sent = n
}

// LoseHello has later connections take nothing from the hello, and from what follows it: as if they had broken before.
func (v *Session) LoseHello(lose bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.loseHello = lose
}

// WithholdAcks keeps the acknowledgements of the hello and of messages back. Ack sends one all the same.
func (v *Session) WithholdAcks(withhold bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.withholdAcks = withhold
}

// Hello returns the last hello that has come, taken or not.
func (v *Session) Hello() Hello {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.hello
}

// Bade returns the last bye that has come.
func (v *Session) Bade() Bye {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.bye
}

// Drop cuts the connection without a close frame, and waits until nothing more is read from it.
func (v *Session) Drop() {
	client, done := v.connection()
	client.Drop()
	<-done
}

// Done is closed when the connection has ended.
func (v *Session) Done() <-chan struct{} {
	_, done := v.connection()
	return done
}

// Send sends messages that have an event only.
func (v *Session) Send(events ...string) {
	v.server.t.Helper()
	for _, event := range events {
		data, err := v.codec.Encode(wspulse.Frame{Event: event})
		if err != nil {
			v.server.t.Fatalf("wstest: %v", err)
		}
		v.SendMessage(v.codec.FrameType(), data)
	}
}

// SendMessage sends a message as it is. It counts if it is of the codec's type.
func (v *Session) SendMessage(messageType int, data []byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if messageType == v.codec.FrameType() {
		v.sent++
	}
	_ = v.client.WebSocket.WriteMessage(messageType, data) // where it fails, reading does
}

// Ack acknowledges so many messages in all.
func (v *Session) Ack(n uint64) { v.control(control.Message{Type: control.Ack, N: n}) }

// Ping asks for a pong.
func (v *Session) Ping() { v.control(control.Message{Type: control.Ping}) }

// Bye ends the session.
func (v *Session) Bye() { v.control(control.Message{Type: control.Bye}) }

func (v *Session) control(m control.Message) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.write(m)
}

// write runs with mu held.
func (v *Session) write(m control.Message) {
	m.At = v.sent
	_ = v.client.WebSocket.WriteMessage(v.controlType(), m.Append(nil))
}

// SendControl sends a control message as it is, whatever it says.
func (v *Session) SendControl(text string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	_ = v.client.WebSocket.WriteMessage(v.controlType(), []byte(text))
}

func (v *Session) controlType() int { return control.TypeBeside(v.codec.FrameType()) }

// Heard returns what has come since the last time, with spaces between: the events of messages, and hello:new,
// hello:resumed, hello:REASON, ack:N, gap:N, pong, bye:REASON and close:CODE. Pings are left out.
func (v *Session) Heard() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	words := v.words
	v.words = nil
	return strings.Join(words, " ")
}

func (v *Session) read(client *Client, done chan struct{}, loseHello bool) {
	defer close(done)
	for {
		kind, data, err := client.WebSocket.ReadMessage()
		var closed *websocket.CloseError
		switch {
		case errors.As(err, &closed):
			v.note("close:%d", closed.Code)
			return
		case err != nil:
			return
		case kind == v.codec.FrameType():
			v.message(client, data, loseHello)
		default:
			v.hear(client, data, loseHello)
		}
	}
}

func (v *Session) note(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.words = append(v.words, fmt.Sprintf(format, args...))
}

func (v *Session) message(client *Client, data []byte, lost bool) {
	if lost {
		return
	}
	f, err := v.codec.Decode(data)
	if err != nil {
		v.server.t.Errorf("wstest: %v", err)
	}
	v.note("%s", f.Event)
	v.count(client, 1)
}

// count counts messages that have come, and acknowledges them.
func (v *Session) count(client *Client, n uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if client != v.client {
		return
	}
	v.claim.Received += n
	if !v.withholdAcks {
		v.write(control.Message{Type: control.Ack, N: v.claim.Received})
	}
}

// hear takes a control message, and checks what it says of the count.
func (v *Session) hear(client *Client, data []byte, lost bool) {
	m, err := control.Parse(data, control.Hello, control.Ack, control.Gap, control.Ping, control.Pong, control.Bye)
	if err != nil {
		v.server.t.Errorf("wstest: %v in %q", err, data)
		return
	}
	if m.Type == control.Hello {
		v.welcome(m, lost)
		return
	}
	if lost {
		return
	}
	v.mu.Lock()
	if v.client == client && v.greeted && m.At != v.claim.Received {
		v.server.t.Errorf("wstest: %s: %d messages have come", data, v.claim.Received)
	}
	v.mu.Unlock()
	switch m.Type {
	case control.Gap:
		v.note("gap:%d", m.N)
		v.count(client, m.N)
	case control.Ack:
		v.note("ack:%d", m.N)
	case control.Bye:
		v.mu.Lock()
		v.bye = Bye{m.Reason, m.Reconnect, m.After}
		v.mu.Unlock()
		v.note("bye:%s", m.Reason)
	case control.Pong:
		v.note("pong")
	case control.Hello, control.Ping:
	}
}

func (v *Session) welcome(m control.Message, lost bool) {
	v.mu.Lock()
	h := m.Hello
	v.greeted = true
	v.hello = Hello{ID: h.ID, Token: h.Token, Reason: h.Reason, Resumed: h.Resumed, Recv: h.Recv, At: m.At,
		Window: h.Window, Heartbeat: h.Heartbeat, MaxBytes: h.MaxBytes, Inflight: h.Inflight}
	if lost {
		v.mu.Unlock()
		return
	}
	word := "new"
	switch {
	case h.Resumed:
		word = "resumed"
		if m.At != v.claim.Received {
			v.server.t.Errorf("wstest: hello at %d, %d messages have come", m.At, v.claim.Received)
		}
		v.sent = h.Recv // what was sent beyond that is to be sent again
	case h.Reason != "":
		word = h.Reason
	}
	if !h.Resumed {
		v.claim.Received, v.sent = 0, 0
	}
	v.claim.ID, v.claim.Token = h.ID, h.Token
	v.words = append(v.words, "hello:"+word)
	if !v.withholdAcks && h.Window > 0 {
		v.write(control.Message{Type: control.Ack, N: v.claim.Received})
	}
	v.mu.Unlock()
}
