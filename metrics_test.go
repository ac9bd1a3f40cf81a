package wspulse_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	wspulse "github.com/wspulse/server"
)

// A recorder is a MetricsCollector that writes the hooks down which tell of sessions, rooms and losses, and counts the
// rest.
type recorder struct {
	wspulse.NoopCollector
	journal
	sent, fannedOut atomic.Int64 // frames
	received        atomic.Int64 // bytes
}

func (m *recorder) ConnectionOpened(room, id string) { m.add("opened(%s,%s)", room, id) }
func (m *recorder) ConnectionClosed(room, id string, d time.Duration, reason wspulse.DisconnectReason) {
	m.add("closed(%s,%s,%v,%s)", room, id, d, reason)
}
func (m *recorder) ResumeAttempt(room, id string)       { m.add("resumed(%s,%s)", room, id) }
func (m *recorder) RoomCreated(room string)             { m.add("created(%s)", room) }
func (m *recorder) RoomDestroyed(room string)           { m.add("destroyed(%s)", room) }
func (m *recorder) FrameDropped(room, id string)        { m.add("dropped(%s,%s)", room, id) }
func (m *recorder) PongTimeout(room, id string)         { m.add("timeout(%s,%s)", room, id) }
func (m *recorder) MessageReceived(_ string, n int)     { m.received.Add(int64(n)) }
func (m *recorder) MessageSent(string, string, int)     { m.sent.Add(1) }
func (m *recorder) MessageBroadcast(_ string, _, n int) { m.fannedOut.Add(int64(n)) }

// A traffic collector writes the hooks down which tell of messages.
type traffic struct {
	wspulse.NoopCollector
	journal
}

func (m *traffic) MessageReceived(room string, size int) { m.add("received(%s,%d)", room, size) }
func (m *traffic) MessageBroadcast(room string, size, n int) {
	m.add("broadcast(%s,%d,%d)", room, size, n)
}
func (m *traffic) MessageSent(room, id string, size int)        { m.add("sent(%s,%s,%d)", room, id, size) }
func (m *traffic) FrameDropped(room, id string)                 { m.add("dropped(%s,%s)", room, id) }
func (m *traffic) SendBufferUtilization(_, id string, u, c int) { m.add("used(%s,%d/%d)", id, u, c) }

// expect waits until nothing moves and compares the hooks since the last time.
func (m *traffic) expect(t *testing.T, want string) {
	t.Helper()
	synctest.Wait()
	if got := m.take(); got != want {
		t.Errorf("hooks: got %q, want %q", got, want)
	}
}

func TestMetrics_RoomsComeAndGoWithTheirMembers(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &recorder{}
		w := newWorld(t, wspulse.WithMetrics(m))
		w.dial("r", "alice")
		w.dial("r", "bob")
		w.dial("other", "carol")
		w.must(w.server.Kick("alice"))
		w.must(w.server.Kick("bob"))
		w.dial("r", "dave")
		if got := m.take(); got != "created(r) opened(r,alice) opened(r,bob) created(other) opened(other,carol) closed(r,alice,0s,kick) "+
			"closed(r,bob,0s,kick) destroyed(r) created(r) opened(r,dave)" {
			t.Errorf("hooks %q", got)
		}
		w.server.Close()
		if got := sorted(m.take()); got != "closed(other,carol,0s,server_close) closed(r,dave,0s,server_close) destroyed(other) destroyed(r)" {
			t.Errorf("hooks of Close %q", got)
		}
	})
}

func TestMetrics_MessageReceivedBeforeDecoding(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &traffic{}
		w := newWorld(t, wspulse.WithMetrics(m),
			wspulse.WithOnMessage(func(wspulse.Connection, wspulse.Frame) { m.add("OnMessage") }))
		alice := w.dial("r", "alice")
		for _, message := range []string{`{"event":"hello"}`, "malformed", ""} {
			alice.WebSocket.WriteMessage(websocket.TextMessage, []byte(message))
		}
		alice.WebSocket.WriteControl(websocket.PingMessage, []byte("not a message"), time.Time{})
		m.expect(t, "received(r,17) OnMessage received(r,9) received(r,0)")
	})
}

func TestMetrics_SentAndUtilizationAfterTheWrite(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &traffic{}
		w := newWorld(t, wspulse.WithMetrics(m), wspulse.WithSendBufferSize(4))
		alice := w.dialStalled("r", "alice")
		w.send("alice", "1", "22", "333")
		m.expect(t, "")
		alice.WebSocket.ReadMessage()
		m.expect(t, "sent(r,alice,16) used(alice,3/4)")
		alice.StartReading()
		m.expect(t, "sent(r,alice,13) sent(r,alice,14) sent(r,alice,15) used(alice,0/4)")
	})
}

func TestMetrics_BroadcastCountsSuspendedMembers(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &traffic{}
		w := newWorld(t, wspulse.WithMetrics(m), wspulse.WithResumeWindow(time.Hour))
		w.dial("r", "alice").drop()
		w.dial("r", "bob").drop()
		w.dialStalled("r", "carol")
		w.dial("other", "dave")
		w.broadcast("r", "hello")
		w.broadcast("nowhere", "hello")
		m.expect(t, "broadcast(r,17,3)")
	})
}

func TestMetrics_FrameDroppedOnceForEachFrameLost(t *testing.T) {
	const full = 3
	for name, tc := range map[string]struct {
		lose func(w *world)
		want int
	}{
		"refused by a full buffer": {func(w *world) { w.server.Send("alice", ev("x")) }, 1},
		"pushed out":               {func(w *world) { w.broadcast("r", "x") }, 1},
		"kicked":                   {func(w *world) { w.server.Kick("alice") }, full},
		"closed":                   {func(w *world) { w.connection("r", "alice").Close() }, full},
		"server closed":            {func(w *world) { w.server.Close() }, full},
		"window passed":            {func(w *world) { time.Sleep(time.Hour) }, full},
		"refused by the codec":     {func(w *world) { w.server.Send("alice", wspulse.Frame{Payload: []byte("{")}) }, 0},
		"resumed and read":         {func(w *world) { w.dial("r", "alice") }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				m := &recorder{}
				w := newWorld(t, wspulse.WithMetrics(m), wspulse.WithResumeWindow(time.Hour),
					wspulse.WithSendBufferSize(full))
				w.dial("r", "alice").drop()
				w.send("alice", "1", "2", "3")
				tc.lose(w)
				synctest.Wait()
				if n := m.count("dropped(r,alice)"); n != tc.want {
					t.Errorf("%d frames dropped, want %d", n, tc.want)
				}
			})
		})
	}
}

// whose writes down on which goroutine each hook runs.
type whose struct {
	mu    sync.Mutex
	hooks map[string]map[string]bool // hook -> goroutines
}

func goroutine() string {
	stack := make([]byte, 64)
	stack = stack[:runtime.Stack(stack, false)]
	return string(bytes.Fields(stack)[1])
}

func (m *whose) on(hook string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.hooks[hook] == nil {
		m.hooks[hook] = map[string]bool{}
	}
	m.hooks[hook][goroutine()] = true
}

func (m *whose) ConnectionOpened(_, _ string) { m.on("hub") }
func (m *whose) ConnectionClosed(_, _ string, _ time.Duration, _ wspulse.DisconnectReason) {
	m.on("hub")
}
func (m *whose) ResumeAttempt(_, _ string)                   { m.on("hub") }
func (m *whose) RoomCreated(_ string)                        { m.on("hub") }
func (m *whose) RoomDestroyed(_ string)                      { m.on("hub") }
func (m *whose) MessageBroadcast(_ string, _, _ int)         { m.on("hub") }
func (m *whose) MessageReceived(_ string, _ int)             { m.on("readPump") }
func (m *whose) PongTimeout(_, _ string)                     { m.on("readPump") }
func (m *whose) MessageSent(_, _ string, _ int)              { m.on("writePump") }
func (m *whose) SendBufferUtilization(_, _ string, _, _ int) { m.on("writePump") }
func (m *whose) FrameDropped(_, _ string)                    { m.on("dropper") }

func TestMetrics_GoroutineOfEachHook(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &whose{hooks: map[string]map[string]bool{}}
		w := newWorld(t, wspulse.WithMetrics(m), wspulse.WithResumeWindow(time.Minute), wspulse.WithSendBufferSize(1),
			wspulse.WithOnMessage(func(wspulse.Connection, wspulse.Frame) { m.on("readPump") }))
		alice := w.dialIdle("r", "alice")
		alice.mute()
		alice.StartReading()
		alice.send("hello")
		w.broadcast("r", "all")
		synctest.Wait()
		w.send("alice", "one")
		time.Sleep(41 * time.Second) // until the peer is given up
		w.send("alice", "1")
		w.server.Send("alice", ev("2")) // is refused
		if n := len(m.hooks["readPump"]); n != 1 {
			t.Errorf("the hooks of the read pump ran on %d goroutines", n)
		}
		for g := range m.hooks["writePump"] { // a pump lives as long as there is something to write
			if m.hooks["hub"][g] || m.hooks["readPump"][g] || g == goroutine() {
				t.Error("a hook of the write pump ran on another goroutine")
			}
		}
		if len(m.hooks["writePump"]) == 0 {
			t.Error("no hook of the write pump ran")
		}
		if len(m.hooks["dropper"]) != 1 || !m.hooks["dropper"][goroutine()] {
			t.Error("a refused frame was not counted by the goroutine that called Send")
		}
		w.dial("r", "alice")
		w.must(w.server.Kick("alice"))
		if n := len(m.hooks["hub"]); n != 1 {
			t.Errorf("the hooks of the hub ran on %d goroutines", n)
		}
	})
}

func TestNoopCollector_EveryHookDoesNothing(t *testing.T) {
	var m wspulse.MetricsCollector = wspulse.NoopCollector{}
	if n := testing.AllocsPerRun(10, func() {
		m.ConnectionOpened("r", "id")
		m.ConnectionClosed("r", "id", time.Second, wspulse.DisconnectNormal)
		m.ResumeAttempt("r", "id")
		m.RoomCreated("r")
		m.RoomDestroyed("r")
		m.MessageReceived("r", 1)
		m.MessageBroadcast("r", 1, 1)
		m.MessageSent("r", "id", 1)
		m.FrameDropped("r", "id")
		m.SendBufferUtilization("r", "id", 1, 1)
		m.PongTimeout("r", "id")
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestDisconnectReasons(t *testing.T) {
	got := fmt.Sprint(wspulse.DisconnectNormal, wspulse.DisconnectKick, wspulse.DisconnectGraceExpired,
		wspulse.DisconnectServerClose, wspulse.DisconnectDuplicate)
	if strings.ReplaceAll(got, " ", "") != "normalkickgrace_expiredserver_closeduplicate" {
		t.Error(got)
	}
}

// sessionGauge counts what it is interested in. The hooks that it does not name, and those that are added one day, do
// nothing.
type sessionGauge struct {
	wspulse.NoopCollector
	open atomic.Int64
}

func (g *sessionGauge) ConnectionOpened(_, _ string) { g.open.Add(1) }
func (g *sessionGauge) ConnectionClosed(_, _ string, _ time.Duration, _ wspulse.DisconnectReason) {
	g.open.Add(-1)
}

func ExampleNoopCollector() {
	var gauge sessionGauge
	server := wspulse.NewServer(fromQuery, wspulse.WithMetrics(&gauge))
	defer server.Close()
	fmt.Println("open sessions:", gauge.open.Load())
	// Output: open sessions: 0
}

func ExampleNewServer() {
	var server wspulse.Server
	server = wspulse.NewServer(fromQuery, wspulse.WithOnMessage(func(c wspulse.Connection, f wspulse.Frame) {
		f.Event = c.ID() + " says"
		server.Broadcast(c.RoomID(), f)
	}))
	defer server.Close()
	web := httptest.NewServer(server)
	defer web.Close()

	dialer := websocket.Dialer{NetDialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, web.Listener.Addr().String())
	}}
	peer, _, err := dialer.Dial("ws://example.test/?room=lobby&id=alice", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer peer.Close()
	peer.WriteMessage(websocket.TextMessage, []byte(`{"event":"say","payload":"hello"}`))
	_, message, _ := peer.ReadMessage()
	fmt.Println(string(message))
	// Output: {"event":"alice says","payload":"hello"}
}
