package losslesstest

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/client"
	"github.com/wspulse/server/internal/lossless"
)

var (
	flagMessages = flag.Int("messages", 4_000, "messages in each direction, of all sessions together")
	flagFaults   = flag.Int("faults", 60, "faults at the least")
	flagLength   = flag.Duration("length", 4*time.Second, "time over which the messages are spread")
	flagPicture  = flag.String("picture", "", "`file` for a picture, an SVG, if all holds")
)

const (
	sessions = 20 // that speak wspulse.v1
	plain    = 4  // that do not
	patience = time.Minute

	pingPeriod = 100 * time.Millisecond // so a client takes its connection for dead after 250 ms,
	pongWait   = 2 * time.Second        // long before the server does
)

func TestLossless(t *testing.T) {
	p := newProof(t)
	p.crowd()
	start := time.Now()
	var done sync.WaitGroup
	for _, a := range p.accounts {
		done.Go(func() { a.talk(start) })
	}
	done.Wait()
	p.stop()
	p.settle()
	t.Log("\n" + p.table(time.Since(start)))
	p.judge()
	if *flagPicture != "" && !t.Failed() {
		if err := os.WriteFile(*flagPicture, p.picture(), 0o644); err != nil {
			t.Error(err)
		}
	}
}

// A proof is a server, its clients, and what has been counted.
type proof struct {
	t        *testing.T
	server   wspulse.Server
	web      *httptest.Server
	accounts []*account
	faults   lossless.Faults
	metrics  lossless.Metrics
	timeline timeline
	quit     chan struct{} // closed when there are to be no more faults
	faulty   sync.WaitGroup
}

func newProof(t *testing.T) *proof {
	p := &proof{t: t, quit: make(chan struct{})}
	p.timeline.start = time.Now()
	p.server = wspulse.NewServer(func(r *http.Request) (roomID, connectionID string, err error) {
		id := r.URL.Query().Get("id")
		return strings.SplitN(id, "-", 2)[0], id, nil
	},
		wspulse.WithResumeWindow(5*time.Minute),
		wspulse.WithHeartbeat(pingPeriod, pongWait),
		wspulse.WithMemoryBudget(budget),
		wspulse.WithMetrics(&p.metrics),
		wspulse.WithCheckOrigin(func(*http.Request) bool { return true }),
		wspulse.WithOnMessage(func(c wspulse.Connection, f wspulse.Frame) { p.account(c.ID()).up.observe(f, p.arrived) }),
	)
	p.web = httptest.NewServer(p.server)
	t.Cleanup(func() {
		p.server.Close()
		p.web.Close()
	})
	each := *flagMessages / sessions
	for i := range sessions + plain {
		a := &account{proof: p, id: fmt.Sprintf("session-%d", i), messages: each, plain: i >= sessions}
		if a.plain {
			a.id = fmt.Sprintf("plain-%d", i)
		}
		a.up.Next, a.down.Next = 1, 1
		p.accounts = append(p.accounts, a)
	}
	for i, a := range p.accounts {
		a.connect()
		p.faulty.Go(func() { a.suffer(lossless.Fault(i % int(lossless.Kinds))) })
	}
	return p
}

func (p *proof) account(id string) *account {
	for _, a := range p.accounts {
		if a.id == id {
			return a
		}
	}
	return &account{} // one of the crowd
}

// stop ends the faults, and heals what they have left.
func (p *proof) stop() {
	close(p.quit)
	p.faulty.Wait()
	for _, a := range p.accounts {
		a.heal()
	}
}

// settle waits until all that is under way has come.
func (p *proof) settle() {
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	for _, a := range p.accounts {
		if err := a.client.Drained(ctx); err != nil {
			p.t.Errorf("%s: %d messages pending: %v", a.id, a.client.Pending(), err)
		}
		for !a.plain && !a.down.isComplete(a.messages) && ctx.Err() == nil {
			time.Sleep(pingPeriod)
		}
	}
	for _, a := range p.accounts {
		_ = a.client.Close()
	}
}

// arrived notes that a message has come for the first time.
func (p *proof) arrived() { p.timeline.note(time.Now()) }

// An account is a session, what it has sent, and what each end has got.
type account struct {
	proof    *proof
	id       string
	plain    bool
	messages int // in each direction
	client   client.Client
	up, down counter
	network
}

func (a *account) connect() {
	options := []client.Option{
		client.WithDialer(a.dial),
		client.WithReconnect(-1, 5*time.Millisecond, 100*time.Millisecond),
		client.WithSendBuffer(1024),
		client.WithOnMessage(func(_ client.Client, f client.Frame) { a.down.observe(f, a.proof.arrived) }),
		client.WithOnGap(func(_ client.Client, n int) { a.down.miss(n) }),
		client.WithOnSessionLost(func(_ client.Client, lost client.Lost) {
			a.proof.t.Errorf("%s: session lost: %s, %d messages not processed", a.id, lost.Reason, len(lost.Unprocessed))
		}),
	}
	if a.plain {
		options = append(options, client.WithoutProtocol(), client.WithHeartbeat(pingPeriod))
	}
	c, err := client.Dial(a.proof.t.Context(), "ws"+strings.TrimPrefix(a.proof.web.URL, "http")+"/?id="+a.id, options...)
	if err != nil {
		a.proof.t.Fatal(err)
	}
	a.client = c
}

// talk sends in both directions, in step with the time.
func (a *account) talk(start time.Time) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	up, down := 1, 1
	for deadline := start.Add(*flagLength + patience); up <= a.messages || down <= a.messages; <-tick.C {
		now := time.Now()
		if now.After(deadline) {
			a.proof.t.Errorf("%s: sent %d up and %d down, of %d", a.id, up-1, down-1, a.messages)
			return
		}
		due := min(a.messages, int(now.Sub(start)*time.Duration(a.messages)/(*flagLength))+1)
		for up <= due && a.took(a.client.Send(frame(up))) {
			up++
		}
		for down <= due && a.took(a.proof.server.Send(a.id, frame(down))) {
			down++
		}
	}
}

// took says whether a frame was taken. One that was not is sent again later.
func (a *account) took(err error) bool {
	refused := errors.Is(err, wspulse.ErrSendBufferFull) || a.plain && errors.Is(err, wspulse.ErrConnectionNotFound)
	if err != nil && !refused {
		a.proof.t.Errorf("%s: %v", a.id, err)
	}
	return err == nil
}

// frame returns a numbered message of some size.
func frame(n int) wspulse.Frame {
	payload, _ := json.Marshal(map[string]any{"n": n, "padding": strings.Repeat("x", rand.IntN(300))})
	return wspulse.Frame{Event: "n", Payload: payload}
}

// A counter is what one end of a session has got.
type counter struct {
	mu sync.Mutex
	lossless.Counter
	got     int
	last    time.Time
	silence time.Duration // the longest between two messages
}

func (c *counter) observe(f wspulse.Frame, arrived func()) {
	var message struct{ N int }
	_ = json.Unmarshal(f.Payload, &message)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.Next == 0 {
		return
	}
	now := time.Now()
	if !c.last.IsZero() {
		c.silence = max(c.silence, now.Sub(c.last))
	}
	c.last = now
	if c.Count(message.N) {
		c.got++
		arrived()
	}
}

// miss counts messages that the server says it has dropped.
func (c *counter) miss(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Lost += n
	c.Next += n
}

func (c *counter) isComplete(messages int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Next > messages
}

// budget is that of the server, in bytes. The crowd is over it all the time.
const budget = 4 << 20

// crowd fills the server's memory budget: clients that read nothing, and a room that is talked to.
func (p *proof) crowd() {
	for i := range 10 {
		conn, err := net.Dial("tcp", p.web.Listener.Addr().String())
		if err != nil {
			p.t.Fatal(err)
		}
		p.t.Cleanup(func() { conn.Close() })
		_ = conn.(*net.TCPConn).SetReadBuffer(4096)
		_, err = fmt.Fprintf(conn, "GET /?id=crowd-%d HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", i)
		if err != nil {
			p.t.Fatal(err)
		}
	}
	padding, _ := json.Marshal(strings.Repeat("y", 40_000))
	p.faulty.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_ = p.server.Broadcast("crowd", wspulse.Frame{Event: "y", Payload: padding})
			case <-p.quit:
				return
			}
		}
	})
}
