package losslesstest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/internal/lossless"
	"github.com/wspulse/server/wstest"
)

// A client that was written in another language from docs/protocol.md alone, without a look at this code, loses nothing
// either.
func TestOutsider(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("needs Node: ", err)
	}
	const clients, messages = 4, 400
	var (
		mu       sync.Mutex
		received = make(map[string]*lossless.Counter) // by connectionID
		talking  sync.WaitGroup
		server   wspulse.Server
		metrics  lossless.Metrics
	)
	server = wspulse.NewServer(func(r *http.Request) (roomID, connectionID string, err error) {
		return "session", r.URL.Query().Get("id"), nil
	},
		wspulse.WithResumeWindow(time.Minute),
		wspulse.WithHeartbeat(pingPeriod, pongWait),
		wspulse.WithMetrics(&metrics),
		wspulse.WithCheckOrigin(func(*http.Request) bool { return true }),
		wspulse.WithOnConnect(func(c wspulse.Connection) { talking.Go(func() { number(c, messages) }) }),
		wspulse.WithOnMessage(func(c wspulse.Connection, f wspulse.Frame) {
			mu.Lock()
			defer mu.Unlock()
			n, _ := strconv.Atoi(string(f.Payload))
			received[c.ID()].Count(n)
		}),
	)
	web := httptest.NewServer(server)
	defer web.Close()
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	through := breakingProxy(t, web.Listener.Addr().String())
	var ran sync.WaitGroup
	for i := range clients {
		id := fmt.Sprint("outsider-", i)
		mu.Lock()
		received[id] = &lossless.Counter{Next: 1}
		mu.Unlock()
		ran.Go(func() {
			cmd := exec.CommandContext(ctx, node, "outsider/outsider.mjs", "ws://"+through+"/?id="+id, fmt.Sprint(messages), "10", "100")
			cmd.Stderr = os.Stderr
			output, err := cmd.Output()
			if err != nil {
				t.Errorf("%s: %v", id, err)
			}
			if want := seq(messages) + "done\n"; string(output) != want {
				t.Errorf("%s printed %.2000q", id, output)
			}
		})
	}
	ran.Wait()
	talking.Wait()
	mu.Lock()
	defer mu.Unlock()
	for id, c := range received {
		if c.Lost != 0 || c.Doubled != 0 || c.Next != messages+1 {
			t.Errorf("from %s came up to %d, %d lost, %d twice", id, c.Next-1, c.Lost, c.Doubled)
		}
	}
	if m := &metrics; m.Resumes.Load() < clients || m.Replayed.Load() == 0 || m.Mismatches.Load()+m.Gaps.Load()+m.Refused.Load() > 0 {
		t.Errorf("%d resumes, %d messages sent again, %d count mismatches, %d gaps, claims refused: %v", m.Resumes.Load(),
			m.Replayed.Load(), m.Mismatches.Load(), m.Gaps.Load(), m.Reasons())
	}
	t.Logf("%d resumes, %d takeovers, %d messages sent again", metrics.Resumes.Load(), metrics.Takeovers.Load(), metrics.Replayed.Load())
}

// seq returns the numbers up to n, a line each.
func seq(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strconv.Itoa(i+1) + "\n")
	}
	return b.String()
}

// number sends numbered messages to a client.
func number(c wspulse.Connection, messages int) {
	tick := time.NewTicker(4 * time.Millisecond)
	defer tick.Stop()
	for n := 1; n <= messages; <-tick.C {
		payload, _ := json.Marshal(n)
		switch err := c.Send(wspulse.Frame{Event: "n", Payload: payload}); err {
		case nil:
			n++
		case wspulse.ErrConnectionClosed:
			return
		}
	}
}

// breakingProxy is a network between clients and a server, in which connections break at random bytes, or swallow what
// is said. It returns its address.
func breakingProxy(t *testing.T, server string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go breakSoon(client, server)
		}
	}()
	return listener.Addr().String()
}

// breakSoon carries bytes both ways until a fault happens.
func breakSoon(client net.Conn, server string) {
	defer client.Close()
	tcp, err := net.Dial("tcp", server)
	if err != nil {
		return
	}
	up, down := wstest.Faults{ResetAfter: 1 + rand.Int64N(6000)}, wstest.Faults{ResetAfter: 1 + rand.Int64N(6000)}
	conn := wstest.Wrap(tcp, up, down)
	defer conn.Close()
	if rand.IntN(4) == 0 { // the client notices, and comes back before the server does
		swallow := time.AfterFunc(time.Duration(100+rand.IntN(400))*time.Millisecond, func() {
			conn.Upstream(wstest.Faults{BlackHole: true})
			conn.Downstream(wstest.Faults{BlackHole: true})
		})
		defer swallow.Stop()
	}
	go func() {
		_, _ = io.Copy(conn, bufio.NewReader(client))
		conn.Reset()
	}()
	_, _ = io.Copy(client, conn)
	if c, ok := client.(*net.TCPConn); ok {
		_ = c.SetLinger(0)
	}
}
