package stresstest

import (
	"net"
	"net/http"
	"testing"
	"time"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/internal/rawpeer"
)

// A client that gives up while the application looks at its request throws nobody out, also where it has sent something
// behind the request, for which net/http does not notice that it has left.
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

// A client may leave as soon as it has said something. Its session opens, and is told.
func TestDoor_SaysSomethingAndLeaves(t *testing.T) {
	const clients = 200
	told := make(chan struct{}, clients)
	w := newNetWorld(t, wspulse.WithOnMessage(func(wspulse.Connection, wspulse.Frame) { told <- struct{}{} }))
	for range clients {
		p := dialRaw(t, w)
		p.Write(masked(finText, `{"event":"done"}`))
		_ = p.Conn.Close()
		select {
		case <-told:
		case <-time.After(patience):
			t.Fatal("OnMessage has not run")
		}
	}
}
