package client_test

import (
	"bufio"
	"context"
	"crypto/sha1" //nolint:gosec // RFC 6455, section 4.2.2 asks for it
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	core "github.com/wspulse/core"
	"github.com/wspulse/server/client"
	"github.com/wspulse/server/internal/control"
	"github.com/wspulse/server/internal/vectors"
	"github.com/wspulse/server/internal/wire"
	"github.com/wspulse/server/wstest"
)

// The client, against the transcripts of wspulse.v1 in testdata/protocol. The server's part is played here.
func TestVectors(t *testing.T) {
	for _, v := range vectors.Read(t, "../testdata/protocol") {
		if !v.IsFor("client") || slices.ContainsFunc(v.Steps, forPages) {
			continue
		}
		t.Run(v.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { newVectorPlayer(t, v).play() })
		})
	}
}

// forPages says that a step is about a page that becomes visible, which a Go program does not.
func forPages(s vectors.Step) bool { return s.ClientApplication == "wake" }

const (
	stepTime = 2 * time.Second // that a step may take,
	dialTime = 35 * time.Second
)

// A vectorPlayer plays the part of the server.
type vectorPlayer struct {
	t        *testing.T
	v        *vectors.Vector
	step     int
	listener *wstest.Listener
	accepted chan *vectorPeer // what has dialled, and been read
	client   client.Client
	ctx      context.Context // ends with the test
	seen     journal
	stands   vectors.Bindings
	sent     int             // messages of the application
	before   []*vectors.Step // what it wanted to do when it was not connected yet
	peer     *vectorPeer
	all      []*vectorPeer
	log      []string
}

func newVectorPlayer(t *testing.T, v *vectors.Vector) *vectorPlayer {
	p := &vectorPlayer{t: t, v: v, listener: wstest.Listen(), accepted: make(chan *vectorPeer, 16), stands: make(vectors.Bindings)}
	var end context.CancelFunc
	p.ctx, end = context.WithCancel(t.Context())
	go p.accept()
	t.Cleanup(func() {
		end()
		p.listener.Close()
		for len(p.accepted) > 0 {
			(<-p.accepted).conn.Reset()
		}
		for _, c := range p.all {
			c.conn.Reset()
		}
		if p.client != nil {
			_ = p.client.Close()
		}
	})
	return p
}

func (p *vectorPlayer) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		c := &vectorPeer{conn: conn.(*wstest.Conn), in: bufio.NewReader(conn), heard: make(chan utterance, 4096), over: make(chan struct{})}
		request, err := http.ReadRequest(c.in)
		if err != nil {
			continue
		}
		for offer := range strings.SplitSeq(request.Header.Get("Sec-Websocket-Protocol"), ",") {
			c.offers = append(c.offers, strings.TrimSpace(offer))
		}
		c.key = request.Header.Get("Sec-Websocket-Key")
		p.accepted <- c
	}
}

// dial starts the client. Where its first dial fails, which is an error, the program tries again, as the client does
// later.
func (p *vectorPlayer) dial() {
	for err := p.tryDial(); err != nil; err = p.tryDial() {
		var refused *client.RefusedError
		wait := 200 * time.Millisecond
		if strings.Contains(err.Error(), "WithoutProtocol") {
			return
		}
		if errors.As(err, &refused) {
			if !refused.Reconnect {
				p.seen.add("disconnect")
				return
			}
			wait = max(wait, (refused.AfterMin+refused.AfterMax)/2)
		}
		select {
		case <-time.After(wait):
		case <-p.ctx.Done():
			return
		}
	}
	p.seen.add("connect")
	for _, s := range p.before {
		p.act(s)
	}
}

func (p *vectorPlayer) tryDial() error {
	c, err := client.Dial(p.ctx, "ws://server/", client.WithDialer(p.listener.DialContext),
		client.WithOnMessage(func(_ client.Client, f client.Frame) { p.seen.add("message %s", strings.TrimPrefix(f.Event, "s")) }),
		client.WithOnGap(func(_ client.Client, n int) { p.seen.add("gap %d", n) }),
		client.WithOnTransportDrop(func(client.Client, error) { p.seen.add("drop") }),
		client.WithOnTransportRestore(func(client.Client) { p.seen.add("restore") }),
		client.WithOnSessionLost(func(_ client.Client, lost client.Lost) {
			words := []string{"lost", lost.Reason}
			for _, f := range lost.Unprocessed {
				words = append(words, strings.TrimPrefix(f.Event, "c"))
			}
			p.seen.add("%s", strings.Join(words, " "))
		}),
		client.WithOnDisconnect(func(client.Client, error) { p.seen.add("disconnect") }),
		client.WithSendBuffer(4096))
	if err == nil {
		p.client = c
	}
	return err
}

func (p *vectorPlayer) play() {
	go p.dial()
	for i := range p.v.Steps {
		p.step = i
		s := &p.v.Steps[i]
		if s.On != "" && s.On != "main" {
			continue
		}
		p.take(s)
		synctest.Wait()
	}
}

// fail says where it went wrong.
func (p *vectorPlayer) fail(got string) {
	p.t.Helper()
	p.t.Fatalf("%s: %s\n  step %d\n  want %s\n  got  %s\n  utterance:\n    %s", p.v.Row, p.v.About, p.step+1,
		p.v.Steps[p.step].Text, got, strings.Join(p.log, "\n    "))
}

func stepWithin(s *vectors.Step, otherwise time.Duration) time.Duration {
	if s.Within > 0 {
		return time.Duration(s.Within)
	}
	return otherwise
}

func (p *vectorPlayer) take(s *vectors.Step) {
	switch {
	case s.Client != nil && s.Client.Dial != nil:
		p.expectDial(s)
	case s.Client != nil && s.Client.Nothing > 0:
		p.expectNothing(s)
	case s.Client != nil:
		p.expect(s)
	case s.Server != nil:
		p.say(s.Server)
	case s.Drop:
		p.peer.conn.Reset()
		p.peer.silent.Store(true)
	case s.Silence:
		p.peer.silent.Store(true)
		p.peer.conn.Upstream(wstest.Faults{BlackHole: true})
		p.peer.conn.Downstream(wstest.Faults{BlackHole: true})
	case s.ClientApplication != "":
		p.act(s)
	default:
		time.Sleep(time.Duration(s.Wait)) // zero for the server's application
	}
}

// expectDial waits for the client, and answers its request.
func (p *vectorPlayer) expectDial(s *vectors.Step) {
	var c *vectorPeer
	select {
	case c = <-p.accepted:
	case <-time.After(stepWithin(s, dialTime)):
		p.fail("no dial")
	}
	want := make([]string, 0, len(*s.Client.Dial))
	for _, offer := range *s.Client.Dial {
		want = append(want, offer.Write(p.stands))
	}
	p.log = append(p.log, "client: offers "+strings.Join(c.offers, ", "))
	if !slices.Equal(c.offers, want) {
		p.fail(fmt.Sprintf("%q, want %q", c.offers, want))
	}
	if p.peer != nil {
		p.peer.silent.Store(true)
	}
	count := uint64(0)
	if p.peer != nil {
		count = p.peer.count
	}
	p.peer = c
	p.all = append(p.all, c)
	c.count = count
	if s.Client.Status > 0 && s.Client.Status != http.StatusSwitchingProtocols {
		fmt.Fprintf(c.conn, "HTTP/1.1 %d Refused\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", s.Client.Status)
		c.conn.Close()
		return
	}
	sum := sha1.Sum([]byte(c.key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // as above
	selected := "Sec-WebSocket-Protocol: wspulse.v1\r\n"
	if s.Client.Selects != nil && *s.Client.Selects == "" {
		selected = ""
	}
	fmt.Fprintf(c.conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Accept: %s\r\n%s\r\n", base64.StdEncoding.EncodeToString(sum[:]), selected)
	go c.listen()
	go c.beat()
}

// hear returns what the client says next.
func (p *vectorPlayer) hear(deadline time.Time) (s utterance, ok bool) {
	c := p.peer
	if len(c.next) > 0 {
		s, c.next = c.next[0], c.next[1:]
		return s, true
	}
	select {
	case s = <-c.heard:
	case <-time.After(time.Until(deadline)):
		return s, false
	}
	p.log = append(p.log, "client: "+s.String())
	if s.opcode == wire.OpText {
		c.count++
	}
	if s.fields != nil {
		if at := string(s.fields["at"]); at != strconv.FormatUint(c.count, 10) {
			p.fail(fmt.Sprintf("%s: %d messages have come", s, c.count))
		}
		for _, never := range p.v.Never["client"] {
			if s.is(control.Type(never)) {
				p.fail(s.String() + ", which must never be")
			}
		}
	}
	return s, true
}

// expect waits for what the client is to say.
func (p *vectorPlayer) expect(s *vectors.Step) {
	a := s.Client
	first, last := 0, 0
	if a.Messages != nil {
		first, last = a.Messages[0], a.Messages[1]
	}
	for k := first; k <= last; k++ {
		p.expectOne(s, func(u utterance) bool {
			switch {
			case a.Messages != nil:
				f, err := core.JSONCodec.Decode([]byte(u.text))
				return u.opcode == wire.OpText && err == nil && f.Event == fmt.Sprint("c", k) &&
					(a.Bytes == 0 || len(u.text) == a.Bytes)
			case a.Type != "":
				return u.opcode == wire.OpBinary && p.stands.Matches(a.Fields, u.fields)
			case a.Close > 0:
				code, reason, err := wire.ParseClose([]byte(u.text))
				return u.opcode == wire.OpClose && err == nil && code == a.Close &&
					(a.Reason == "" || a.Reason == "*" || a.Reason == reason)
			default:
				return u.opcode == 0
			}
		})
	}
}

func (p *vectorPlayer) expectOne(s *vectors.Step, want func(utterance) bool) {
	deadline := time.Now().Add(stepWithin(s, stepTime))
	for {
		u, ok := p.hear(deadline)
		switch {
		case !ok && s.Optional:
			return
		case !ok:
			p.fail("nothing")
		case want(u):
			return
		case u.is(control.Ping), u.is(control.Ack) && (s.Client.Type != "ack" || isLess(u, s.Client)):
		case s.Optional:
			p.peer.next = append(p.peer.next, u)
			return
		default:
			p.fail(u.String())
		}
	}
}

func (p *vectorPlayer) expectNothing(s *vectors.Step) {
	deadline := time.Now().Add(time.Duration(s.Client.Nothing))
	for {
		u, ok := p.hear(deadline)
		if !ok {
			break
		}
		if u.opcode != 0 && (s.Strict || !u.is(control.Ping) && !u.is(control.Ack)) {
			p.fail(u.String())
		}
		if u.opcode == 0 {
			time.Sleep(time.Until(deadline))
		}
	}
	if len(p.accepted) > 0 {
		p.fail("a dial")
	}
}

// say says what the server says.
func (p *vectorPlayer) say(a *vectors.Act) {
	c := p.peer
	write := func(opcode wire.Opcode, text string) {
		p.log = append(p.log, fmt.Sprintf("server: %.200s", text))
		_, _ = c.conn.Write(wire.New(opcode, []byte(text)).Bytes)
	}
	switch {
	case a.Type != "":
		if a.Type == "hello" {
			c.count = 0
			if string(a.Fields["resumed"]) == "true" {
				c.count, _ = strconv.ParseUint(string(a.Fields["recv"]), 10, 64)
			}
		}
		write(wire.OpBinary, p.stands.Write(kept(a.Fields)))
	case a.Raw != nil:
		write(wire.OpBinary, *a.Raw)
	case a.Data != nil:
		write(wire.OpText, *a.Data)
	case a.Messages != nil:
		for k := a.Messages[0]; k <= a.Messages[1]; k++ {
			write(wire.OpText, sizedFrame(fmt.Sprint("s", k), a.Bytes))
		}
	case a.Close > 0:
		p.log = append(p.log, fmt.Sprint("server: close ", a.Close))
		c.closed.Store(true) // the answer need not be listed
		_, _ = c.conn.Write(wire.Close(a.Close, strings.Trim(a.Reason, "*")).Bytes)
	case a.End:
		c.silent.Store(true)
		c.conn.Close()
	default:
		time.Sleep(time.Duration(a.Nothing))
	}
}

// act is what the application does.
func (p *vectorPlayer) act(s *vectors.Step) {
	if p.client == nil && s.ClientApplication != "sees" {
		p.before = append(p.before, s)
		return
	}
	switch s.ClientApplication {
	case "send":
		for range s.Count {
			f, err := core.JSONCodec.Decode([]byte(sizedFrame(fmt.Sprint("c", p.sent+1), s.Bytes)))
			if err != nil {
				p.t.Fatal(err)
			}
			if p.client.Send(f) == nil {
				p.sent++
			}
		}
	case "close":
		go p.client.Close()
	case "sees":
		synctest.Wait()
		if got := p.seen.take(); got != strings.Join(s.Events, " ") {
			p.fail(got)
		}
	default:
		p.t.Fatalf("step %d: the application can't %s", p.step+1, s.ClientApplication)
	}
}
