package wspulse_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
	"unsafe"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/wstest"
)

// newUpgrade returns a request that would become a WebSocket if its ResponseWriter could be hijacked.
func newUpgrade(query string) *http.Request {
	r := httptest.NewRequest("GET", "http://server/"+query, nil)
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "websocket")
	r.Header.Set("Sec-WebSocket-Version", "13")
	r.Header.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	return r
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
		answerTo(server, newUpgrade(""))
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
		w.web = wstest.NewServer(t, front,
			func(h *http.Server) { h.ReadTimeout, h.WriteTimeout = 5*time.Second, 5*time.Second })
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

// A session keeps its IDs, not the request that they were parts of.
func TestSession_KeepsNothingOfTheRequest(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var roomID, connectionID string
		w := &world{t: t, events: &journal{}}
		w.server = wspulse.NewServer(func(r *http.Request) (string, string, error) {
			var err error
			roomID, connectionID, err = fromQuery(r)
			return roomID, connectionID, err
		}, anyOrigin)
		w.web = wstest.NewServer(t, w.server)
		w.dial("room", "alice")
		alice := w.connection("room", "alice")
		if unsafe.StringData(alice.ID()) == unsafe.StringData(connectionID) ||
			unsafe.StringData(alice.RoomID()) == unsafe.StringData(roomID) {
			t.Error("the session's IDs are parts of the request")
		}
	})
}
