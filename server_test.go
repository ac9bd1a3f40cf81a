package wspulse_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/wstest"
)

func TestStory_JoinTalkLeave(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		alice, bob := w.dial("r", "alice"), w.dial("r", "bob")
		w.expectInAnyOrder("alice:connect bob:connect")
		alice.send("hello", "there")
		w.expect("alice:message(hello) alice:message(there)")
		w.broadcast("r", "all")
		w.send("bob", "one")
		alice.expect("all")
		bob.expect("all one")
		bob.drop()
		w.expect("bob:disconnect(1006)")
		alice.close(1000)
		w.expect("alice:disconnect(nil)")
	})
}

// newUpgrade returns a request that would become a WebSocket if its ResponseWriter could be hijacked.
func newUpgrade(query string) *http.Request {
	r := httptest.NewRequest("GET", "http://server/"+query, nil)
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "websocket")
	r.Header.Set("Sec-WebSocket-Version", "13")
	r.Header.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	return r
}

func TestUpgrade_Refusals(t *testing.T) {
	without := func(header string) func(*http.Request) { return func(r *http.Request) { r.Header.Del(header) } }
	for name, tc := range map[string]struct {
		query   string
		change  func(r *http.Request)
		status  int
		closed  bool
		refuses bool // CheckOrigin
	}{
		"ConnectFunc refuses":             {query: "?refuse", status: 401},
		"ConnectFunc refuses, no upgrade": {query: "?refuse", change: without("Upgrade"), status: 401},
		"ConnectFunc refuses, closed":     {query: "?refuse", status: 401, closed: true},
		"ConnectFunc panics":              {query: "?panic", status: 500},
		"origin refused":                  {refuses: true, status: 403},
		"no Connection header":            {change: without("Connection"), status: 400},
		"no Upgrade header":               {change: without("Upgrade"), status: 400},
		"no key":                          {change: without("Sec-WebSocket-Key"), status: 400},
		"no version":                      {change: without("Sec-WebSocket-Version"), status: 400},
		"closed":                          {closed: true, status: 503},
		"not a GET":                       {change: func(r *http.Request) { r.Method = "POST" }, status: 400},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t, wspulse.WithCheckOrigin(func(*http.Request) bool { return !tc.refuses }))
				if tc.closed {
					w.server.Close()
				}
				r, answer := newUpgrade(tc.query), httptest.NewRecorder()
				if tc.change != nil {
					tc.change(r)
				}
				w.server.ServeHTTP(answer, r)
				if answer.Code != tc.status {
					t.Errorf("status %d, want %d", answer.Code, tc.status)
				}
				if body := answer.Body.String(); strings.TrimSpace(body) != http.StatusText(tc.status) {
					t.Errorf("the body reveals %q", body)
				}
				w.expect("")
			})
		})
	}
}

func TestUpgrade_ConnectFuncRunsFirst(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var calls journal
		server := wspulse.NewServer(func(*http.Request) (string, string, error) {
			calls.add("connect")
			return "", "", nil
		}, wspulse.WithCheckOrigin(func(*http.Request) bool {
			calls.add("origin")
			return false
		}))
		defer server.Close()
		server.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		if got := calls.take(); got != "connect origin" {
			t.Errorf("calls: %s", got)
		}
	})
}

func TestUpgrade_PanicInConnectFuncIsLoggedWithItsStack(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		core, logs := observer.New(zap.WarnLevel)
		w := newWorld(t, wspulse.WithLogger(zap.New(core)))
		if _, response, _ := w.upgrade("?panic", nil); response.StatusCode != 500 {
			t.Errorf("status %s", response.Status)
		}
		if logs.Len() != 1 || !strings.Contains(logs.All()[0].ContextMap()["stack"].(string), "fromQuery") {
			t.Errorf("logged %v", logs.All())
		}
		w.dial("r", "alice")
		w.expect("alice:connect")
	})
}

func TestUpgrade_EveryOriginIsAcceptedByDefault(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		alice, _, err := w.upgrade("?room=r&id=alice", http.Header{"Origin": {"https://elsewhere.example"}})
		w.must(err)
		w.expect("alice:connect")
		alice.Drop()
	})
}

// wrapper is the ResponseWriter of a middleware.
type wrapper struct{ http.ResponseWriter }

func (w wrapper) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func TestUpgrade_BehindMiddleware(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		front := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.server.ServeHTTP(wrapper{rw}, r) })
		w.web = wstest.NewServer(t, front, func(h *http.Server) { h.ReadTimeout, h.WriteTimeout = 5*time.Second, 5*time.Second })
		alice := w.dial("r", "alice")
		time.Sleep(time.Hour) // the http.Server's timeouts are not the session's
		w.send("alice", "hello")
		alice.expect("hello")
		w.server.Close()
	})
}

func TestUpgrade_EmptyConnectionIDBecomesAUUID(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.dial("r", "")
		w.dial("r", "")
		sessions := w.server.GetConnections("r")
		if len(sessions) != 2 {
			t.Fatalf("%d sessions", len(sessions))
		}
		uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
		for _, c := range sessions {
			if !uuid.MatchString(c.ID()) {
				t.Errorf("ID %q is not a random UUID", c.ID())
			}
		}
		if sessions[0].ID() == sessions[1].ID() {
			t.Error("two sessions have the same ID")
		}
	})
}

func TestRooms_AnEmptyNameIsARoomToo(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		alice := w.dial("", "alice")
		w.broadcast("", "hello")
		alice.expect("hello")
	})
}

func TestGetConnections(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute))
		members := func(room string) string {
			connections := w.server.GetConnections(room)
			if connections == nil {
				t.Errorf("GetConnections(%q) is nil", room)
			}
			var ids []string
			for _, c := range connections {
				ids = append(ids, c.ID()+"@"+c.RoomID())
			}
			slices.Sort(ids)
			return strings.Join(ids, " ")
		}
		for _, id := range []string{"alice", "bob", "carol"} {
			w.dial("r", id)
		}
		w.dial("other", "dave").drop()
		mine := w.server.GetConnections("r")
		w.must(w.server.Kick("alice"))
		for room, want := range map[string]string{"r": "bob@r carol@r", "other": "dave@other", "nowhere": ""} {
			if got := members(room); got != want {
				t.Errorf("%q: %q, want %q", room, got, want)
			}
		}
		if len(mine) != 3 || mine[0] == nil || mine[2] == nil {
			t.Error("the caller's slice has changed")
		}
		w.server.Close()
		if got := members("r") + members("other"); got != "" {
			t.Errorf("after Close: %q", got)
		}
	})
}

func TestUnknownIDsAndRooms(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		alice := w.dial("r", "alice")
		if err := w.server.Send("nobody", ev("x")); err != wspulse.ErrConnectionNotFound {
			t.Errorf("Send: %v", err)
		}
		if err := w.server.Kick("nobody"); err != wspulse.ErrConnectionNotFound {
			t.Errorf("Kick: %v", err)
		}
		if err := w.server.Broadcast("nowhere", ev("x")); err != nil {
			t.Errorf("Broadcast: %v", err)
		}
		alice.expect("")
	})
}

func TestErrors_Texts(t *testing.T) {
	for err, want := range map[error]string{
		wspulse.ErrConnectionNotFound:    "wspulse: connection not found",
		wspulse.ErrDuplicateConnectionID: "wspulse: kicked: duplicate connection ID",
		wspulse.ErrServerClosed:          "wspulse: server is closed",
		wspulse.ErrConnectionClosed:      "wspulse: connection is closed",
		wspulse.ErrSendBufferFull:        "wspulse: send buffer full, frame dropped",
	} {
		if err.Error() != want {
			t.Errorf("%q, want %q", err, want)
		}
	}
	var panicked error = &wspulse.PanicError{Value: io.ErrUnexpectedEOF, Stack: []byte("stack")}
	if text := panicked.Error(); text != "wspulse: panic in OnMessage: unexpected EOF" || errors.Is(panicked, io.ErrUnexpectedEOF) {
		t.Errorf("PanicError: %q", text)
	}
}

func TestNewServer_NilConnectFunc(t *testing.T) {
	defer func() {
		if v, ok := recover().(string); !ok || !strings.HasPrefix(v, "wspulse: NewServer: ") {
			t.Errorf("NewServer(nil) panicked with %v", v)
		}
	}()
	wspulse.NewServer(nil)
}

// The last option of a kind counts, and the bubble fails if Close leaves a goroutine behind.
func TestNewServer_LastOptionCounts(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithSendBufferSize(1), wspulse.WithSendBufferSize(2))
		w.dialStalled("r", "alice")
		w.send("alice", "1", "2")
		if err := w.server.Send("alice", ev("3")); err != wspulse.ErrSendBufferFull {
			t.Errorf("Send: %v", err)
		}
		synctest.Wait()
	})
}

// recordUpgrade hands an upgrade request to a server, over a ResponseWriter that does not give its connection away.
func recordUpgrade(server wspulse.Server) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "/?room=r&id=alice", nil)
	for key, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
	} {
		r.Header.Set(key, value)
	}
	w := httptest.NewRecorder()
	server.ServeHTTP(w, r)
	return w
}

// A ResponseWriter that does not give its connection away, such as that of HTTP/2, answers 500.
func TestUpgrade_WithoutHijacker(t *testing.T) {
	server := wspulse.NewServer(fromQuery)
	defer server.Close()
	if w := recordUpgrade(server); w.Code != http.StatusInternalServerError || len(server.GetConnections("r")) != 0 {
		t.Errorf("status %d, %d members", w.Code, len(server.GetConnections("r")))
	}
}
