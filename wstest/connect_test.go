package wstest_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/wstest"
)

func TestFromQuery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sessions := wspulse.NewServer(wstest.FromQuery)
		server := wstest.NewServer(t, sessions)
		server.Dial("/?id=7&user=alice&room=lobby&room=news")
		server.NewSession("/?id=8").Connect()
		synctest.Wait()
		for id, want := range map[string]string{"7": `7 "alice" ["lobby" "news"]`, "8": `8 "" [""]`} {
			c, err := sessions.GetConnection(id)
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprintf("%s %q %q", c.ID(), c.UserID(), slices.Sorted(slices.Values(c.Rooms()))); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	})
}

// A server takes a request for one of its own: what ConnectFunc may look at is there.
func TestRequest_IsAnUpgrade(t *testing.T) {
	r := wstest.Request("/ws?room=lobby")
	got := fmt.Sprintln(r.Method, r.Host, r.URL.Path, r.URL.Query(), r.Header["Upgrade"],
		r.Header["Connection"], r.RemoteAddr != "")
	if want := "GET wstest /ws map[room:[lobby]] [websocket] [Upgrade] true\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if d, ok := wstest.Attached(r); ok || d.UserID != "" {
		t.Errorf("%+v is attached", d)
	}
}

func TestAttached(t *testing.T) {
	r := wstest.Request("/")
	type key struct{}
	for _, user := range []string{"alice", "bob"} {
		wspulse.Attach(r.WithContext(context.WithValue(r.Context(), key{}, user)), wspulse.Details{UserID: user})
	}
	if d, ok := wstest.Attached(r); !ok || d.UserID != "bob" {
		t.Errorf("%+v is attached", d)
	}
	defer func() {
		if recover() == nil {
			t.Error("another request is taken")
		}
	}()
	wstest.Attached(&http.Request{})
}
