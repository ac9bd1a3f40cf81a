package wspulse_test

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/client"
	"github.com/wspulse/server/wstest"
)

// A requestTally counts the hooks of requests.
type requestTally struct {
	wspulse.NoopCollector
	mu       sync.Mutex
	done     map[string]int // by result
	ignored  int
	replaced int
}

func (m *requestTally) count(n *int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	*n++
}

func (m *requestTally) RequestDone(_, _, result string, _ time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done[result]++
}
func (m *requestTally) ReplyIgnored(_, _ string)      { m.count(&m.ignored) }
func (m *requestTally) TransportReplaced(_, _ string) { m.count(&m.replaced) }

// A shaky client replies to each request after a while, over a network that breaks.
type shaky struct {
	client.Client
	handled map[string]int // by payload: how often; owned by the goroutine of its callbacks

	mu   sync.Mutex
	conn *wstest.Conn // the latest
}

// dialShaky connects one, by wspulse.v1 or without it.
func (w *world) dialShaky(id string, options ...client.Option) *shaky {
	w.t.Helper()
	s := &shaky{handled: map[string]int{}}
	c, err := client.Dial(w.t.Context(), "ws://wstest/?room=r&id="+id, append([]client.Option{
		client.WithReconnect(-1, 100*time.Millisecond, time.Second),
		client.WithDialer(func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := w.web.Listener.DialContext(ctx, network, addr)
			if err == nil {
				s.mu.Lock()
				s.conn = conn.(*wstest.Conn)
				s.mu.Unlock()
			}
			return conn, err
		}),
		client.WithRequestHandler("ask", func(_ client.Client, f client.Frame) (any, error) {
			s.handled[string(f.Payload)]++
			time.Sleep(rand.N(400 * time.Millisecond))
			return json.RawMessage(f.Payload), nil
		}),
	}, options...)...)
	w.must(err)
	s.Client = c
	return s
}

// shake breaks the connection: for both ends, or so that only the client knows and comes back to take over.
func (s *shaky) shake(takeover bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if takeover {
		s.conn.Upstream(wstest.Faults{BlackHole: true})
		s.conn.Close()
	} else {
		s.conn.Reset()
	}
}

// askAll makes so many requests of each session, and counts those that fail, for each session. What they get must be
// what they have asked.
func askAll(t *testing.T, sessions []wspulse.Connection, each int) (failed []atomic.Int64, work *sync.WaitGroup) {
	failed, work = make([]atomic.Int64, len(sessions)), &sync.WaitGroup{}
	for n := range len(sessions) * each {
		work.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
			defer cancel()
			i, payload := n/each, strconv.Itoa(n)
			reply, err := sessions[i].Request(ctx, wspulse.Frame{Event: "ask", Payload: []byte(payload)})
			switch {
			case err != nil:
				failed[i].Add(1)
				if !errors.Is(err, wspulse.ErrConnectionClosed) && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s: %v", payload, err)
				}
			case string(reply.Payload) != payload:
				t.Errorf("%s: %s", payload, reply.Payload)
			}
		})
	}
	synctest.Wait()
	return failed, work
}

// Ten thousand requests are under way on a thousand connections that drop and are taken over meanwhile. By wspulse.v1
// each is handled once, and answered unless its session ends first; then it fails. Without it some may be lost on the
// way. None is left.
func TestRequest_TenThousand(t *testing.T) {
	const (
		connections, each = 1000, 10
		plain             = 100 // of the connections
		kicked            = 50  // of the others
	)
	inBubble(t, func(t *testing.T) {
		m := &requestTally{done: map[string]int{}}
		w := newWorld(t, wspulse.WithResumeWindow(time.Hour), wspulse.WithMetrics(m))
		var clients []*shaky
		for i := range connections {
			var options []client.Option
			if i < plain {
				options = append(options, client.WithoutProtocol())
			}
			clients = append(clients, w.dialShaky(strconv.Itoa(i), options...))
		}
		synctest.Wait()
		sessions := make([]wspulse.Connection, connections)
		for _, c := range w.server.GetConnections("r") {
			i, _ := strconv.Atoi(c.ID())
			sessions[i] = c
		}
		failed, work := askAll(t, sessions, each)
		underWay := 0
		for _, c := range sessions {
			underWay += wspulse.Waiting(c)
		}
		if underWay != connections*each {
			t.Errorf("%d requests are under way", underWay)
		}
		var over atomic.Bool
		go func() {
			for ; !over.Load(); time.Sleep(2 * time.Millisecond) {
				i := rand.IntN(connections)
				clients[i].shake(i >= plain && rand.IntN(2) == 0)
			}
		}()
		for i := range kicked {
			time.Sleep(10 * time.Millisecond)
			w.must(w.server.Kick(strconv.Itoa(plain + i)))
		}
		work.Wait()
		over.Store(true)
		time.Sleep(time.Minute)
		for i, c := range sessions {
			w.expectNoWaiter(c)
			if n := failed[i].Load(); n > 0 && i >= plain+kicked {
				t.Errorf("%d requests of %d have failed", n, i)
			}
			for payload, n := range clients[i].handled {
				if n != 1 {
					t.Errorf("%s was handled %d times", payload, n)
				}
			}
			_ = clients[i].Close()
		}
		t.Logf("%v, %d ignored, %d takeovers", m.done, m.ignored, m.replaced)
		if n := m.done["reply"] + m.done["closed"] + m.done["timeout"]; n != connections*each || m.replaced < 100 {
			t.Errorf("%v, %d takeovers", m.done, m.replaced)
		}
	})
}
