package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/gorilla/websocket"
	"go.uber.org/zap"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/client"
	"github.com/wspulse/server/examples/internal/program"
	"github.com/wspulse/server/wstest"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.TestMode)
	program.Main(m, main)
}

// A supervisor stops the program, with a visitor in it.
func TestMain_StopsOnSIGTERM(t *testing.T) {
	for name := range frameworks {
		t.Run(name, func(t *testing.T) {
			p := program.Start(t, "-addr", "127.0.0.1:0", "-with", name)
			ws := p.Dial("/rooms/kitchen/ws")
			heard := make(chan error, 1)
			go func() {
				_, _, err := ws.ReadMessage()
				heard <- err
			}()
			p.Terminate()
			if err := <-heard; !websocket.IsCloseError(err, websocket.CloseGoingAway) {
				t.Errorf("the visitor got %v, want close code 1001", err)
			}
		})
	}
}

// each runs a test with an app in each framework.
func each(t *testing.T, test func(t *testing.T, a *app, server *wstest.Server)) {
	for name, mount := range frameworks {
		t.Run(name, func(t *testing.T) {
			a := newApp(zap.NewNop())
			server := wstest.NewServer(t, mount(a))
			t.Cleanup(a.sessions.Close)
			test(t, a, server)
		})
	}
}

func TestFrameworks_RoomFromThePath(t *testing.T) {
	each(t, func(t *testing.T, a *app, server *wstest.Server) {
		ann, bob := server.Dial("/rooms/kitchen/ws"), server.Dial("/rooms/kitchen/ws")
		eve := server.Dial("/rooms/cellar%20door/ws")
		awaitSessions(t, a, 3)
		ann.Send(wspulse.Frame{Event: "say"})
		bob.Expect("say")
		ann.Expect("say")
		eve.Send(wspulse.Frame{Event: "echo"})
		eve.Expect("echo")
		if n := a.sessions.RoomSize("cellar door"); n != 1 {
			t.Errorf("%d are in the cellar, rooms are %q", n, a.sessions.Rooms())
		}
	})
}

func awaitSessions(t *testing.T, a *app, n int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); a.sessions.Stats().Sessions != n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("there are %d sessions, want %d", a.sessions.Stats().Sessions, n)
		}
	}
}

func TestFrameworks_CookieInThe101(t *testing.T) {
	each(t, func(t *testing.T, a *app, server *wstest.Server) {
		_, response, err := server.TryDial("/rooms/kitchen/ws")
		if err != nil {
			t.Fatal(err)
		}
		cookies := response.Cookies()
		if response.StatusCode != 101 || len(cookies) != 1 || cookies[0].Name != "visitor" {
			t.Fatalf("got %s with cookies %v", response.Status, cookies)
		}
		server.Dial("/rooms/kitchen/ws", wstest.WithHeader(http.Header{"Cookie": {cookies[0].String()}}))
		awaitSessions(t, a, 2)
		if users := a.sessions.GetUser("v1"); len(users) != 1 {
			t.Errorf("%d sessions are the visitor's, want 1", len(users))
		}
	})
}

func TestFrameworks_GoClient(t *testing.T) {
	each(t, func(t *testing.T, a *app, server *wstest.Server) {
		got := make(chan string, 10)
		c, err := client.Dial(t.Context(), "ws://wstest/rooms/kitchen/ws", client.WithDialer(server.Listener.DialContext),
			client.WithOnMessage(func(_ client.Client, f client.Frame) { got <- f.Event }))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.Send(client.Frame{Event: "say"}); err != nil {
			t.Fatal(err)
		}
		if event := <-got; event != "say" {
			t.Errorf("got %q", event)
		}
	})
}

// A hider wraps a ResponseWriter as many a compression middleware does: what is written goes elsewhere, and the rest of
// the ResponseWriter's methods are gone.
type hider struct {
	http.ResponseWriter
	io.Writer
}

func (h hider) Write(p []byte) (int, error) { return h.Writer.Write(p) }

func TestFrameworks_WrapperThatHidesTheConnection(t *testing.T) {
	hide := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(hider{w, w}, r) })
	}
	timeout := func(next http.Handler) http.Handler { return http.TimeoutHandler(next, time.Minute, "too late") }
	for name, c := range map[string]struct {
		wrap func(http.Handler) http.Handler
		want string
	}{
		"a wrapper without Unwrap": {hide, "main.hider has no Unwrap method"},
		"http.TimeoutHandler":      {timeout, "serve WebSockets without http.TimeoutHandler"},
	} {
		t.Run(name, func(t *testing.T) {
			for framework, mount := range frameworks {
				t.Run(framework, func(t *testing.T) {
					a := newApp(zap.NewNop())
					t.Cleanup(a.sessions.Close)
					server := wstest.NewServer(t, c.wrap(mount(a)))
					_, response, err := server.TryDial("/rooms/kitchen/ws")
					if err == nil || response == nil {
						t.Fatalf("got %v, error %v", response, err)
					}
					body, _ := io.ReadAll(response.Body)
					if response.StatusCode != 500 || !strings.Contains(string(body), c.want) {
						t.Errorf("got %s %q, want it to say %q", response.Status, body, c.want)
					}
				})
			}
		})
	}
}
