package stresstest

import (
	"net"
	"net/http"
	"testing"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/internal/rawpeer"
)

// A client that gives up while the application looks at its request throws nobody out, also where it has sent something behind
// the request, for which net/http does not notice that it has left.
func TestDoor_GivenUp(t *testing.T) {
	needKernel(t)
	for name, early := range map[string]string{
		"nothing more": "", "a frame": string(masked(finText, `{}`)), "a byte": "x",
	} {
		for leaving, linger := range map[string]int{"FIN": -1, "reset": 0} {
			t.Run(name+", "+leaving, func(t *testing.T) {
				entered, gate := make(chan struct{}, 1), make(chan struct{})
				slow := func(r *http.Request) string {
					if r.UserAgent() == "" { // rawpeer sends none
						entered <- struct{}{}
						<-gate
					}
					return ""
				}
				w := newNetWorld(t, wspulse.WithConnectionLimit(slow, 1))
				w.dial("r", "mallory")
				live := w.session("r", "mallory")
				given := connectRaw(t, w)
				given.Write([]byte(rawpeer.Opening + early))
				<-entered
				_ = given.Conn.(*net.TCPConn).SetLinger(linger)
				_ = given.Conn.Close()
				close(gate)
				if !poll(func() bool { n, _ := w.listener.open(); return n == 1 }) {
					t.Error("the socket of the client that gave up is open")
				}
				select {
				case <-live.Done():
					t.Error("the live session ended")
				default:
				}
			})
		}
	}
}
