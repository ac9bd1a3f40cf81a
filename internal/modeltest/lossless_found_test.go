package modeltest

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	wspulse "github.com/wspulse/server"
)

// What the model has found.

// A message that the codec refuses is not processed before those that wait before it: whoever comes back to a session
// that is over would take one of those for processed.
func TestLossless_RefusedInItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute),
			wspulse.WithOnMessage(func(wspulse.Connection, wspulse.Frame) { <-release }))
		alice := w.web.NewSession("/?room=r&id=alice").Connect()
		synctest.Wait()
		alice.Send("x", "y")
		alice.SendMessage(wspulse.TextMessage, []byte("no frame"))
		time.Sleep(time.Second)
		_ = w.server.Kick("alice")
		close(release)
		synctest.Wait()
		alice.Connect()
		synctest.Wait()
		if h := alice.Hello(); h.Reason != "kicked" || h.Recv != 1 {
			t.Errorf("hello %+v", h)
		}
	})
}

// A message that begins within the ack window is sent, and no other.
func TestLossless_WindowInBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute), wspulse.WithAckWindow(100, 40))
		alice := w.web.NewSession("/?room=r&id=alice").Connect()
		alice.WithholdAcks(true)
		long := strings.Repeat("x", 40)
		for range 4 {
			_ = w.server.Send("alice", ev(long))
			synctest.Wait()
		}
		alice.Ack(1)
		synctest.Wait()
		if heard := alice.Heard(); heard != "hello:new "+long+" "+long {
			t.Errorf("heard %s", heard)
		}
	})
}

// A claim that counts what was not sent ends its session, and is told how much that had processed, as with all ends.
func TestLossless_CountTellsWhatWasProcessed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute))
		alice := w.web.NewSession("/?room=r&id=alice").Connect()
		synctest.Wait()
		alice.Send("x", "y")
		synctest.Wait()
		alice.Drop()
		alice.SetReceived(7)
		alice.Connect()
		synctest.Wait()
		if h := alice.Hello(); h.Reason != "count" || h.Recv != 2 {
			t.Errorf("hello %+v", h)
		}
	})
}
