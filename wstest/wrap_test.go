package wstest_test

import (
	"context"
	"io"
	"net"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/wstest"
)

// wrappedTCP returns a socket behind faults, and its other end. No goroutine may be left when the test has closed it.
func wrappedTCP(t *testing.T, up, down wstest.Faults) (near *wstest.Conn, far *net.TCPConn) {
	t.Helper()
	before := runtime.NumGoroutine()
	socket, accepted := tcp(t)
	near = wstest.Wrap(socket, up, down)
	t.Cleanup(func() {
		near.Close()
		closed := func() bool { return cause(socket.SetDeadline(time.Time{})) == "closed" }
		for start := time.Now(); !closed() || runtime.NumGoroutine() > before; runtime.Gosched() {
			if time.Since(start) > slack {
				t.Errorf("the socket is closed: %v; %d goroutines, %d before", closed(), runtime.NumGoroutine(), before)
				return
			}
		}
	})
	accepted.SetDeadline(time.Now().Add(slack))
	return near, accepted.(*net.TCPConn)
}

func TestWrap_CutAndReset(t *testing.T) {
	for name, tc := range map[string]struct {
		up, down wstest.Faults
		act      func(near *wstest.Conn)
		ends     []string // what far gets after "hello"
	}{
		"up cut":   {up: wstest.Faults{CutAfter: 5}, ends: []string{"<nil>"}},
		"up reset": {up: wstest.Faults{ResetAfter: 5}, ends: []string{"ECONNRESET"}},
		"down cut": {act: func(near *wstest.Conn) { near.Downstream(wstest.Faults{CutAfter: 1}) },
			ends: []string{"<nil>", "ECONNRESET"}},
		"down reset": {act: func(near *wstest.Conn) { near.Downstream(wstest.Faults{ResetAfter: 1}) },
			ends: []string{"ECONNRESET"}},
		"reset now": {act: func(near *wstest.Conn) { near.Reset() }, ends: []string{"ECONNRESET"}},
		"closed":    {act: func(near *wstest.Conn) { near.Close() }, ends: []string{"<nil>", "ECONNRESET"}},
		"closed in a black hole": {act: func(near *wstest.Conn) {
			near.Upstream(wstest.Faults{BlackHole: true})
			near.Downstream(wstest.Faults{BlackHole: true})
			near.Close()
		}, ends: []string{"<nil>", "ECONNRESET"}},
	} {
		t.Run(name, func(t *testing.T) {
			near, far := wrappedTCP(t, tc.up, tc.down)
			if _, err := near.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 5)
			if _, err := io.ReadFull(far, got); string(got) != "hello" {
				t.Errorf("read %q, %v", got, err)
			}
			if tc.act != nil {
				tc.act(near)
			}
			_, err := far.Write([]byte("world"))
			if err == nil {
				_, err = io.Copy(io.Discard, far)
			}
			for _, end := range tc.ends {
				if cause(err) == end {
					return
				}
			}
			t.Errorf("got %v, want %v", err, tc.ends)
		})
	}
}

// What was written before Close goes out, and what the other end sends meanwhile is thrown away.
func TestWrap_CloseWritesWhatIsQueued(t *testing.T) {
	direct(t, wstest.Faults{}, func(l *line) {
		wrapped := wstest.Wrap(l.near, wstest.Faults{Throttle: wstest.Rate{Bytes: 1}}, wstest.Faults{})
		wrapped.Write([]byte("good-bye"))
		wrapped.Close()
		_, err := l.far.Write(make([]byte, 1<<20))
		l.expectError(err, "<nil>", 0)
		got, err := io.ReadAll(l.far)
		l.expectError(err, "<nil>", 7*time.Second)
		if string(got) != "good-bye" {
			t.Errorf("read %q", got)
		}
	})
}

// A peer that does not read what was written before Close keeps the socket for ten seconds.
func TestWrap_CloseIsBounded(t *testing.T) {
	direct(t, wstest.Faults{}, func(l *line) {
		wrapped := wstest.Wrap(l.near, wstest.Faults{}, wstest.Faults{})
		wrapped.Write(make([]byte, 100<<10))
		wrapped.Close()
		l.near.Downstream(wstest.Faults{Window: wstest.Unbuffered, BlackHole: true})
		_, err := l.far.Write([]byte("x")) // waits until the socket is closed
		l.expectError(err, "EPIPE", 10*time.Second)
	})
}

// The other end is held up once the buffers of the kernel are full, too.
func TestWrap_BlackHole(t *testing.T) {
	near, far := wrappedTCP(t, wstest.Faults{}, wstest.Faults{BlackHole: true})
	far.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
	_, err := far.Write(make([]byte, 64<<20))
	if cause(err) != "timeout" {
		t.Errorf("Write: %v", err)
	}
	near.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err = near.Read(make([]byte, 1))
	if cause(err) != "timeout" {
		t.Errorf("Read: %v", err)
	}
}

func TestWrap_OtherEndResets(t *testing.T) {
	near, far := wrappedTCP(t, wstest.Faults{}, wstest.Faults{})
	far.SetLinger(0)
	far.Close()
	near.SetReadDeadline(time.Now().Add(slack))
	_, err := near.Read(make([]byte, 1))
	if cause(err) != "ECONNRESET" {
		t.Errorf("Read: %v", err)
	}
}

// A WebSocket over a real socket, whose network breaks.
func TestWrap_UnderAWebSocket(t *testing.T) {
	left := make(chan error, 1)
	sessions := wspulse.NewServer(fromQuery,
		wspulse.WithOnMessage(func(c wspulse.Connection, f wspulse.Frame) { _ = c.Send(f) }),
		wspulse.WithOnDisconnect(func(_ wspulse.Connection, err error) { left <- err }))
	defer sessions.Close()
	web := httptest.NewServer(sessions)
	defer web.Close()
	var network *wstest.Conn
	dialer := websocket.Dialer{NetDialContext: func(ctx context.Context, protocol, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, protocol, addr)
		if err != nil {
			return nil, err
		}
		network = wstest.Wrap(c, wstest.Faults{Throttle: wstest.Rate{Bytes: 50, Every: time.Millisecond}},
			wstest.Faults{Latency: 5 * time.Millisecond})
		return network, nil
	}}
	ws, _, err := dialer.Dial("ws"+web.URL[len("http"):]+"/?room=r&id=alice", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	ws.SetReadDeadline(time.Now().Add(slack))
	start := time.Now()
	ws.WriteMessage(websocket.TextMessage, []byte(`{"event":"hello"}`))
	if _, data, err := ws.ReadMessage(); string(data) != `{"event":"hello"}` || time.Since(start) < 5*time.Millisecond {
		t.Errorf("read %s after %v, %v", data, time.Since(start), err)
	}
	network.Reset()
	if err := <-left; cause(err) != "ECONNRESET" {
		t.Errorf("OnDisconnect got %v", err)
	}
}
