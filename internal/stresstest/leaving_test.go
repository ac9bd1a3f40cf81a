package stresstest

import (
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	wspulse "github.com/wspulse/server"
)

// needKernel skips what only a system that tells of the state of its TCP connections can hold.
func needKernel(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("what the kernel knows of a connection is looked at on Linux only")
	}
}

// A client that leaves and dials again at once is resumed: its end has arrived before its new request. While a callback
// runs, that is not known before somebody else has read.
func TestLeaving_RedialAtOnce(t *testing.T) {
	needKernel(t)
	leaves := map[string]func(c *websocket.Conn){
		"close frame": func(c *websocket.Conn) {
			_ = c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1001, ""), time.Now().Add(patience))
			_ = c.Close()
		},
		"FIN": func(c *websocket.Conn) { _ = c.Close() },
		"reset": func(c *websocket.Conn) {
			_ = c.NetConn().(*net.TCPConn).SetLinger(0)
			_ = c.Close()
		},
	}
	for name, leave := range leaves {
		for _, busy := range []time.Duration{0, 30 * time.Millisecond} {
			t.Run(fmt.Sprintf("%s, callbacks of %v", name, busy), func(t *testing.T) {
				const tries = 60
				called, back := make(chan struct{}, tries), make(chan struct{}, 2*tries)
				w := newNetWorld(t, wspulse.WithResumeWindow(time.Minute),
					wspulse.WithOnConnect(func(wspulse.Connection) { back <- struct{}{} }),
					wspulse.WithOnTransportRestore(func(wspulse.Connection) { back <- struct{}{} }),
					wspulse.WithOnMessage(func(wspulse.Connection, wspulse.Frame) {
						called <- struct{}{}
						time.Sleep(busy)
					}))
				alice := w.dial("r", "alice")
				session := w.session("r", "alice")
				<-back
				for i := range tries {
					if err := say(alice, "work"); err != nil {
						t.Fatalf("try %d: %v", i, err)
					}
					<-called
					leave(alice)
					alice = w.dial("r", "alice")
					<-back // what is sent before that may go where nobody reads any more
					if err := w.server.Send("alice", ev("hello")); err != nil {
						t.Fatalf("try %d: Send: %v", i, err)
					}
					if err := hear(alice, "hello"); err != nil {
						t.Fatalf("try %d: %v", i, err)
					}
					if w.session("r", "alice") != session {
						t.Fatalf("try %d: replaced, not resumed", i)
					}
				}
			})
		}
	}
}

// A client that has closed, and reads nothing of what is being written to it, has left: nobody waits for that write when
// it is back.
func TestLeaving_InTheMiddleOfAWrite(t *testing.T) {
	needKernel(t)
	restored := make(chan struct{}, 1)
	w := newNetWorld(t, wspulse.WithResumeWindow(time.Minute), wspulse.WithSendBufferSize(4),
		wspulse.WithOnTransportRestore(func(wspulse.Connection) { restored <- struct{}{} }))
	alice := w.dial("r", "alice")
	session := w.session("r", "alice")
	large := wspulse.Frame{Event: "large", Payload: []byte(`"` + strings.Repeat("x", 4<<20) + `"`)}
	eventually(t, "the write is stuck", func() bool { return session.Send(large) != nil })

	_ = alice.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1001, ""), time.Now().Add(patience))
	if err := alice.NetConn().(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	again := w.dial("r", "alice")
	defer again.Close()
	select {
	case <-restored:
	case <-time.After(patience):
	}
	if took := time.Since(start); took > 500*time.Millisecond || w.session("r", "alice") != session {
		t.Errorf("after %v the session was not resumed", took)
	}
}
