package lossless

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

// NewOld starts a server that does not know wspulse.v1, nor any other subprotocol: it sends each message back, and cuts
// the connection at one with the event "cut". It returns its URL. See old.mjs.
func NewOld(t testing.TB) string {
	t.Helper()
	upgrader := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return // it has been answered
		}
		defer conn.Close()
		for {
			kind, message, err := conn.ReadMessage()
			if err != nil || strings.Contains(string(message), `"cut"`) || conn.WriteMessage(kind, message) != nil {
				return
			}
		}
	}))
	t.Cleanup(web.Close)
	return "ws" + strings.TrimPrefix(web.URL, "http")
}

// A Visit is what old.mjs finds out at an old server.
type Visit struct {
	Refused string  // what connect throws
	After   float64 // ms
	Journal []string
}

// Check fails the test where a visit was not as it has to be.
func (v Visit) Check(t testing.TB) {
	t.Helper()
	if !strings.Contains(v.Refused, "does not speak wspulse.v1 (use protocol: false)") || v.After > 1000 {
		t.Errorf("connect has thrown %q after %.0f ms", v.Refused, v.After)
	}
	const want = "open, got 1, got 2, drop, restore, got 3, end"
	if got := strings.Join(v.Journal, ", "); got != want {
		t.Errorf("without wspulse.v1: %s, want %s", got, want)
	}
}
