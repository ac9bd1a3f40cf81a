package wspulse_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/wstest"
)

// A gap after a long silence is taken for something that has waited all that time.
func TestLossless_AckTimeoutAfterAGap(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Hour), wspulse.WithSendBufferBytes(500))
		alice := w.speak("r", "alice")
		alice.expect("hello:new")
		time.Sleep(5*time.Minute - 500*time.Millisecond)
		alice.WithholdAcks(true) // for half a second: it acknowledges once a second
		w.broadcast("r", strings.Repeat("x", 1000))
		alice.expect("gap:1")
		time.Sleep(501 * time.Millisecond)
		alice.Ack(1)
		alice.expect("")
	})
}

// A message that the codec refuses is counted as processed though those before it are not.
func TestLossless_ProcessedIsNoPrefix(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		release := make(chan struct{})
		var w *world
		w = newWorld(t, wspulse.WithResumeWindow(time.Minute), wspulse.WithOnMessage(func(_ wspulse.Connection, f wspulse.Frame) {
			w.events.add("message(%s)", f.Event)
			<-release
		}))
		alice := w.speak("r", "alice")
		alice.Send("x", "y", "z")
		time.Sleep(time.Second)
		for range 3 {
			alice.SendMessage(1, []byte("not JSON"))
		}
		time.Sleep(2 * time.Second)
		if heard := alice.Heard(); strings.Contains(heard, "ack") {
			t.Errorf("heard %q while OnMessage has the first message", heard)
		}
		w.must(w.server.Kick("alice"))
		<-alice.Done()
		alice.back()
		if h := alice.Hello(); h.Recv > 1 {
			t.Errorf("%d processed, of which OnMessage has got 1 at the most", h.Recv)
		}
		close(release)
		synctest.Wait()
		t.Log(w.events.take())
	})
}

// What waits in the inbox of a session that has expired is not processed any more: the peer is told that it is not.
func TestLossless_ExpiredWithMessagesWaiting(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		release := make(chan struct{})
		processed := 0
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute), wspulse.WithOnMessage(func(_ wspulse.Connection, f wspulse.Frame) {
			<-release
			processed++
		}))
		alice := w.speak("r", "alice")
		alice.Send("x", "y", "z")
		time.Sleep(time.Second)
		alice.drop()
		time.Sleep(2 * time.Minute)
		alice.back().expect("hello:new hello:expired")
		recv := alice.Hello().Recv
		close(release)
		synctest.Wait()
		if recv != 0 || processed != 1 { // the one that had begun
			t.Errorf("the peer was told that %d were processed; %d were", recv, processed)
		}
	})
}

// The old transport is cut, whatever waits in its inbox, and Server.Close does not wait for a callback.
func TestLossless_TakeoverWithAFullInbox(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		release := make(chan struct{})
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute), wspulse.WithMaxMessageSize(1<<20),
			wspulse.WithOnMessage(func(_ wspulse.Connection, f wspulse.Frame) { <-release }))
		defer close(release)
		old := w.speak("r", "alice")
		old.Send("x")
		time.Sleep(time.Second)
		for range 8 {
			go old.Send(strings.Repeat("x", 1<<20-100))
		}
		time.Sleep(time.Second)
		alice := w.speaker("r", "alice")
		alice.SetClaim(old.Claim())
		alice.back().expect("hello:resumed")
		time.Sleep(time.Minute)
		old.expect("hello:new bye:conflict close:4409")
		w.closesByItself()
	})
}

// closesByItself closes the server, which is not to wait for a callback.
func (w *world) closesByItself() {
	w.t.Helper()
	closed := make(chan struct{})
	go func() { w.server.Close(); close(closed) }()
	time.Sleep(time.Minute)
	select {
	case <-closed:
	default:
		w.t.Error("Server.Close waits for a callback")
	}
}

// The same between plain peers, with Resume.
func TestLossless_PlainTakeoverWithAFullInbox(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		release := make(chan struct{})
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute), wspulse.WithDuplicatePolicy(wspulse.Resume),
			wspulse.WithOnMessage(func(_ wspulse.Connection, f wspulse.Frame) { <-release }))
		defer close(release)
		old := w.dial("r", "alice")
		old.send("x")
		time.Sleep(time.Second)
		go func() {
			for range 100 {
				if old.WebSocket.WriteMessage(1, []byte(`{"event":"`+strings.Repeat("x", 400)+`"}`)) != nil {
					return
				}
			}
		}()
		time.Sleep(time.Second)
		w.dial("r", "alice")
		time.Sleep(time.Minute)
		w.closesByItself()
	})
}

// Acknowledgements are heard while a callback blocks, with large messages too.
func TestLossless_AcksAreHeardBehindLargeMessages(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute), wspulse.WithAckWindow(2, 1<<20), wspulse.WithMaxMessageSize(64<<10),
			wspulse.WithOnMessage(func(wspulse.Connection, wspulse.Frame) { <-release }))
		alice := w.speak("r", "alice")
		go func() {
			for range 200 { // of the 256 that may be in flight
				alice.Send(strings.Repeat("x", 60<<10))
			}
		}()
		time.Sleep(10 * time.Second)
		w.send("alice", strings.Fields(seq(1, 20))...)
		synctest.Wait()
		time.Sleep(10 * time.Second)
		if heard := alice.Heard(); heard != "hello:new "+seq(1, 20) {
			t.Errorf("heard %q", heard)
		}
	})
}

// A claim that counts what was never sent gets a new session, also where the server is full: the old one makes room.
func TestLossless_CountClaimKeepsItsSeat(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute), wspulse.WithMaxConnections(1))
		alice := w.speak("r", "alice")
		alice.expect("hello:new")
		alice.drop()
		alice.SetReceived(3)
		alice.back().expect("hello:count")
	})
}

// A message that begins within the window is sent: one, where the window is a byte.
func TestLossless_AckWindowBytes(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute), wspulse.WithAckWindow(1000, 1))
		alice := w.speak("r", "alice")
		alice.WithholdAcks(true)
		alice.drop()
		w.send("alice", strings.Fields(seq(1, 50))...)
		alice.back().expect("hello:new hello:resumed 1")
	})
}

// The reason of a close frame is UTF-8.
func TestLossless_CloseReasonIsUTF8(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute))
		for n := range 4 {
			alice := w.speak("r", "alice")
			alice.SendControl(`{"t":"` + strings.Repeat("a", n) + strings.Repeat("日", 60) + `","at":0}`)
			alice.expect("hello:new bye:protocol close:4400")
			if n == 0 {
				w.events.take()
			}
			w.server.Kick("alice")
			synctest.Wait()
		}
	})
}

// A connectionID that a hello cannot say is refused, with what helps.
func TestLossless_StrangeIDs(t *testing.T) {
	for name, id := range map[string]string{"long": strings.Repeat("a", 513), "latin1": "%e9"} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t)
				w.speak("r", id).expect("bye:internal close:4503")
				w.speak("r", strings.Repeat("a", 512)).expect("hello:new")
			})
		})
	}
}

// Server.Close waits for those who are being told why they are refused.
func TestLossless_CloseWaitsForRefusals(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		s := &speaker{w.web.NewSession("/?refuse"), t}
		s.Connect()
		s.Client().Conn.Upstream(wstest.Faults{BlackHole: true}) // it does not answer the close frame
		synctest.Wait()
		start := time.Now()
		w.server.Close()
		if took := time.Since(start); took > time.Second {
			t.Errorf("took %v", took)
		}
		s.expect("bye:unauthorized close:4401")
	})
}
