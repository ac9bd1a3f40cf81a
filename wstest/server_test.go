package wstest_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/wstest"
)

// fromQuery is a ConnectFunc: /?room=R&id=I, or /?refuse.
func fromQuery(r *http.Request) (roomID, connectionID string, err error) {
	q := r.URL.Query()
	if q.Has("refuse") {
		return "", "", errors.New("refused")
	}
	return q.Get("room"), q.Get("id"), nil
}

// echo sends back what it gets.
func echo(c wspulse.Connection, f wspulse.Frame) { _ = c.Send(f) }

// inAndOutOfABubble runs a story twice.
func inAndOutOfABubble(t *testing.T, story func(t *testing.T)) {
	t.Run("in a bubble", func(t *testing.T) { synctest.Test(t, story) })
	t.Run("outside", story)
}

func ev(event string) wspulse.Frame { return wspulse.Frame{Event: event} }

func TestServer_WorksInAndOutOfABubble(t *testing.T) {
	inAndOutOfABubble(t, func(t *testing.T) {
		server := wstest.NewServer(t, wspulse.NewServer(fromQuery, wspulse.WithOnMessage(echo)))
		alice := server.Dial("/?room=r&id=alice")
		alice.Send(ev("hello"), ev("again"))
		alice.Expect("hello", "again")
		alice.Close(1000, "bye")
		alice.ExpectClose(1000, "")
	})
}

func TestServer_AnyHandler(t *testing.T) {
	inAndOutOfABubble(t, func(t *testing.T) {
		sessions := wspulse.NewServer(fromQuery, wspulse.WithOnMessage(echo))
		defer sessions.Close()
		mux := http.NewServeMux()
		mux.Handle("/ws", sessions)
		mux.HandleFunc("/stats", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "for "+r.RemoteAddr) })
		server := wstest.NewServer(t, mux)
		alice := server.Dial("/ws?room=r")
		alice.Send(ev("hello"))
		alice.Expect("hello")
		web := http.Client{Transport: &http.Transport{DialContext: server.Listener.DialContext, DisableKeepAlives: true}}
		response, err := web.Get("http://wstest/stats")
		if err != nil {
			t.Fatal(err)
		}
		if body, _ := io.ReadAll(response.Body); !strings.HasPrefix(string(body), "for 192.0.2.2:") {
			t.Errorf("/stats says %q", body)
		}
		response.Body.Close()
	})
}

func TestServer_Configure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		states := make(chan http.ConnState, 10)
		server := wstest.NewServer(t, http.NotFoundHandler(), func(h *http.Server) {
			h.ReadHeaderTimeout = 3 * time.Second
			h.ConnState = func(_ net.Conn, state http.ConnState) { states <- state }
		})
		start := time.Now()
		c, err := server.Listener.Dial(wstest.Faults{}, wstest.Faults{})
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, c)
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("the http.Server waited %v for a request", took)
		}
		synctest.Wait()
		if len(states) != 2 {
			t.Errorf("ConnState was called %d times", len(states))
		}
	})
}

// The end of a test ends everything, whatever state it is in, and takes no time outside a bubble.
func TestServer_TearDown(t *testing.T) {
	blackHole := wstest.Faults{BlackHole: true}
	start := time.Now()
	inAndOutOfABubble(t, func(t *testing.T) {
		sessions := wspulse.NewServer(fromQuery, wspulse.WithResumeWindow(time.Hour), wspulse.WithOnMessage(echo))
		server := wstest.NewServer(t, sessions)
		stuck := server.Dial("/?id=stuck", wstest.WithIdle(), wstest.WithDownstream(unbuffered))
		stuck.Send(ev("plug"), ev("more"))
		vanished := server.Dial("/?id=vanished")
		vanished.Conn.Upstream(blackHole)
		vanished.Conn.Downstream(blackHole)
		server.Dial("/?id=dropped").Drop()
		server.Dial("/?id=well")
		if _, err := server.Listener.Dial(wstest.Faults{}, wstest.Faults{}); err != nil {
			t.Error(err)
		}
		server.TryDial("/?refuse")
	})
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestTryDial_Refused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := wstest.NewServer(t, wspulse.NewServer(fromQuery))
		c, response, err := server.TryDial("/?refuse")
		if c != nil || response == nil || response.StatusCode != http.StatusUnauthorized || err != websocket.ErrBadHandshake {
			t.Errorf("%v, %v, %v", c, response, err)
		}
	})
}

// A handshake that gets lost ends when patience does.
func TestTryDial_NoAnswer(t *testing.T) {
	for name, option := range map[string]wstest.DialOption{
		"request lost": wstest.WithUpstream(wstest.Faults{BlackHole: true}),
		"answer lost":  wstest.WithDownstream(wstest.Faults{BlackHole: true}),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := wstest.NewServer(t, wspulse.NewServer(fromQuery))
				start := time.Now()
				_, response, err := server.TryDial("/?id=alice", option)
				if took := time.Since(start); cause(err) != "timeout" || response != nil || took != 10*time.Second {
					t.Errorf("%v, %v after %v", response, err, took)
				}
			})
		})
	}
}

func TestDial_Options(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen *http.Request
		server := wstest.NewServer(t, wspulse.NewServer(func(r *http.Request) (string, string, error) {
			seen = r.Clone(r.Context())
			return "r", "", nil
		}))
		server.Dial("/path?a=b", wstest.WithHeader(http.Header{"Origin": {"https://example.org"}}),
			wstest.WithLocalAddr("[2001:db8::1]:5000"),
			wstest.WithDialer(func(d *websocket.Dialer) { d.Subprotocols = []string{"chat"} }))
		if seen.URL.String() != "/path?a=b" || seen.Header.Get("Origin") != "https://example.org" ||
			seen.RemoteAddr != "[2001:db8::1]:5000" || seen.Header.Get("Sec-WebSocket-Protocol") != "chat" {
			t.Errorf("%+v", seen)
		}
		server.Dial("/")
		first := seen.RemoteAddr
		server.Dial("/")
		if seen.RemoteAddr == first {
			t.Error("two clients have the same address")
		}
	})
}

// A dialer's connection may be wrapped.
func TestDial_WithDialerWraps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := wstest.NewServer(t, wspulse.NewServer(fromQuery))
		var dialed net.Conn
		alice := server.Dial("/?id=alice", wstest.WithDialer(func(d *websocket.Dialer) {
			dial := d.NetDialContext
			d.NetDialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := dial(ctx, network, addr)
				dialed = struct{ net.Conn }{conn}
				return dialed, err
			}
		}))
		if alice.WebSocket.NetConn() != dialed || alice.Conn != dialed.(struct{ net.Conn }).Conn {
			t.Errorf("the connection is %T over %T", alice.WebSocket.NetConn(), alice.Conn)
		}
	})
}

func TestDial_Latency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := wstest.NewServer(t, wspulse.NewServer(fromQuery, wspulse.WithOnMessage(echo)))
		start := time.Now()
		alice := server.Dial("/?id=alice", wstest.WithUpstream(wstest.Faults{Latency: 30 * time.Millisecond}),
			wstest.WithDownstream(wstest.Faults{Latency: 20 * time.Millisecond}))
		if took := time.Since(start); took != 50*time.Millisecond {
			t.Errorf("the handshake took %v", took)
		}
		alice.Send(ev("hello"))
		alice.Expect("hello")
		if took := time.Since(start); took != 100*time.Millisecond {
			t.Errorf("with the echo it took %v", took)
		}
	})
}

// The library's timeouts, seen from outside: a peer that reads nothing is cut after writeWait.
func TestDial_SlowReaderIsCutAfterWriteWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const writeWait = 7 * time.Second
		dropped := make(chan time.Time, 1)
		sessions := wspulse.NewServer(fromQuery, wspulse.WithWriteWait(writeWait),
			wspulse.WithOnDisconnect(func(wspulse.Connection, error) { dropped <- time.Now() }))
		server := wstest.NewServer(t, sessions)
		server.Dial("/?id=alice", wstest.WithIdle(), wstest.WithDownstream(unbuffered))
		synctest.Wait()
		start := time.Now()
		sessions.Send("alice", ev("hello"))
		if took := (<-dropped).Sub(start); took != writeWait {
			t.Errorf("took %v", took)
		}
	})
}
