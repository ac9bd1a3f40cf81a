package wspulse_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	wspulse "github.com/wspulse/server"
)

// A peer that has read the server's answer to its close frame may come back at once.
func TestResume_RightAfterTheCloseHandshake(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute))
		alice := w.dial("r", "alice")
		for range 100 {
			alice.close(1000)
			<-alice.Done()
			alice = w.dial("r", "alice")
		}
		w.expect("alice:connect" + strings.Repeat(" alice:drop(nil) alice:restore", 100))
	})
}

func TestResume_DeliversWhatWasQueued(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute))
		w.dial("r", "alice").drop()
		w.send("alice", "a", "b", "c")
		again := w.dial("r", "alice")
		again.expect("a b c")
		again.send("back")
		w.expect("alice:connect alice:drop(1006) alice:restore alice:message(back)")
	})
}

func TestResume_StaysInItsRoom(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute))
		w.dial("r", "alice").drop()
		session := w.connection("r", "alice")
		again := w.dial("elsewhere", "alice")
		if w.connection("r", "alice") != session || session.RoomID() != "r" ||
			len(w.server.GetConnections("elsewhere")) != 0 {
			t.Errorf("the session went to room %q", session.RoomID())
		}
		w.broadcast("elsewhere", "wrong")
		w.broadcast("r", "right")
		again.expect("right")
	})
}

func TestResume_WindowExpires(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute))
		alice := w.dial("r", "alice")
		session := w.connection("r", "alice")
		alice.drop()
		dropped := time.Now()
		<-session.Done()
		w.took(dropped, time.Minute)
		w.expect("alice:connect alice:drop(1006) alice:disconnect(1006)")
		w.dial("r", "alice")
		w.expect("alice:connect")
	})
}

func TestResume_EachSuspensionHasItsOwnWindow(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &recorder{}
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute), wspulse.WithMetrics(m))
		alice, bob, carol := w.dial("r", "alice"), w.dial("r", "bob"), w.dial("r", "carol")
		alice.drop() // at 0 s
		time.Sleep(20 * time.Second)
		bob.drop()
		time.Sleep(20 * time.Second)
		carol.drop()
		alice = w.dial("r", "alice") // at 40 s
		time.Sleep(30 * time.Second)
		alice.drop() // at 70 s
		m.take()
		time.Sleep(time.Hour)
		if got := m.take(); got != "closed(r,bob,1m20s,grace_expired) closed(r,carol,1m40s,grace_expired) "+
			"closed(r,alice,2m10s,grace_expired) destroyed(r)" {
			t.Errorf("hooks %q", got)
		}
	})
}

func TestResume_JustInsideTheWindow(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute))
		for range 3 {
			w.dial("r", "alice").drop()
			time.Sleep(time.Minute - 1)
		}
		w.expect("alice:connect alice:drop(1006) alice:restore alice:drop(1006) alice:restore alice:drop(1006)")
	})
}

func TestResume_WindowWithoutUpperBound(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(math.MaxInt64))
		w.dial("r", "alice").drop()
		time.Sleep(10 * 365 * 24 * time.Hour)
		w.dial("r", "alice")
		w.expect("alice:connect alice:drop(1006) alice:restore")
	})
}

// The window runs while OnTransportDrop blocks.
func TestResume_WindowExpiresWhileACallbackBlocks(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var w *world
		w = newWorld(t, wspulse.WithResumeWindow(time.Minute),
			wspulse.WithOnTransportDrop(func(wspulse.Connection, error) {
				time.Sleep(time.Hour)
				w.events.add("dropped")
			}))
		alice := w.dial("r", "alice")
		session := w.connection("r", "alice")
		alice.drop()
		start := time.Now()
		<-session.Done()
		w.took(start, time.Minute)
		w.expect("alice:connect")
		time.Sleep(time.Hour)
		w.expect("dropped alice:disconnect(1006)")
	})
}

func TestSuspended_SameRulesAndCapacity(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &recorder{}
		w := newWorld(t, wspulse.WithResumeWindow(time.Hour), wspulse.WithSendBufferSize(4), wspulse.WithMetrics(m))
		w.dial("r", "alice").drop()
		m.take()
		w.send("alice", "1", "2", "3", "4")
		if err := w.server.Send("alice", ev("5")); err != wspulse.ErrSendBufferFull {
			t.Errorf("Send to a full buffer: %v", err)
		}
		if err := w.server.Send("alice", wspulse.Frame{Payload: []byte("{")}); err == nil ||
			errors.Is(err, wspulse.ErrSendBufferFull) {
			t.Errorf("Send of what cannot be encoded: %v", err)
		}
		w.broadcast("r", "6", "7")
		synctest.Wait()
		if got := m.take(); got != "dropped(r,alice) dropped(r,alice) dropped(r,alice)" {
			t.Errorf("hooks %q", got)
		}
		w.dial("r", "alice").expect("3 4 6 7")
		if got := m.take(); got != "resumed(r,alice)" {
			t.Errorf("hooks %q", got)
		}
	})
}

func TestResume_QueuedFramesComeFirst(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Hour),
			wspulse.WithOnTransportRestore(func(c wspulse.Connection) {
				c.Send(ev("restored"))
			}))
		w.dial("r", "alice").drop()
		w.send("alice", "1", "2")
		w.broadcast("r", "3")
		again := w.dial("r", "alice")
		w.send("alice", "live")
		again.expect("1 2 3 restored live")
	})
}

// The frames "1" to "9" take 15 bytes each on the wire: a header of 2 and {"event":"1"}.
const frameBytes = 15

// cut lets the peer read that many bytes of what the server writes, and no more.
func (p *peer) cut(bytes int) (frames int) {
	p.readRaw(bytes)
	p.drop()
	return bytes / frameBytes
}

func TestResume_UnfinishedWriteIsNotLost(t *testing.T) {
	for first := range 5*frameBytes + 1 {
		second := first * 7 % (2*frameBytes + 1)
		inBubble(t, func(t *testing.T) {
			m := &recorder{}
			w := newWorld(t, wspulse.WithResumeWindow(time.Hour), wspulse.WithMetrics(m))
			alice := w.dialStalled("r", "alice")
			w.send("alice", "1", "2", "3", "4", "5") // which leave in one write once the plug is out
			alice.WebSocket.ReadMessage()
			read := alice.cut(first)
			w.send("alice", "6", "7")
			again := w.dialIdle("r", "alice")
			read += again.cut(second)
			w.send("alice", "8")
			w.dial("r", "alice").expect(seq(read+1, 8))
			if n := m.count("dropped"); n != 0 {
				t.Errorf("%d frames dropped", n)
			}
			if n := m.sent.Load(); n != 9 {
				t.Errorf("%d frames sent, want 9", n)
			}
		})
		if t.Failed() {
			t.Fatalf("the first transport was cut after %d bytes, the second after %d", first, second)
		}
	}
}
