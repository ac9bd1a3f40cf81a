package stresstest

import (
	"net/http"
	"testing"
	"time"

	"github.com/wspulse/server/internal/rawpeer"
)

// A client that gave up while ConnectFunc ran throws nobody out, also where it has sent something behind its request, so that
// net/http does not notice that it has left.
func TestDoor_ClientThatGaveUp(t *testing.T) {
	needKernel(t)
	for name, behind := range map[string][]byte{"request alone": nil, "message behind it": masked(finText, "{}")} {
		t.Run(name, func(t *testing.T) {
			asked, release := make(chan struct{}), make(chan struct{})
			slow := func(r *http.Request) (string, string, error) {
				if r.URL.Query().Get("id") == "mallory" {
					asked <- struct{}{}
					<-release
				}
				return "r", "alice", nil
			}
			w := newNetWorldOf(t, slow)
			alice := w.dial("r", "alice")
			session := w.session("r", "alice")
			p := connectRaw(t, w)
			p.Write(append([]byte(rawpeer.Opening), behind...))
			<-asked
			_ = p.Conn.Close()
			time.Sleep(50 * time.Millisecond) // its end arrives
			close(release)
			select {
			case <-session.Done():
				t.Error("the session was thrown out")
			case <-time.After(200 * time.Millisecond):
			}
			_ = w.server.Send("alice", ev("hello"))
			if err := hear(alice, "hello"); err != nil {
				t.Error(err)
			}
		})
	}
}
