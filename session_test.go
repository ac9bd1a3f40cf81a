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

// The state table: what each event does to a session in each state, told by the callbacks and by the metrics.
func TestSession_StateTable(t *testing.T) {
	const window = time.Minute
	states := map[string]func(w *world){
		"absent":    func(*world) {},
		"connected": func(w *world) { w.dial("r", "alice") },
		"suspended": func(w *world) { w.dial("r", "alice").drop() },
	}
	events := map[string]func(w *world){
		"connects":         func(w *world) { w.dial("r", "alice") },
		"Connection.Close": func(w *world) { w.connection("r", "alice").Close() },
		"Server.Kick":      func(w *world) { w.events.add("%s", name(w.server.Kick("alice"))) },
		"Server.Close":     func(w *world) { w.server.Close() },
		"window passes":    func(*world) { time.Sleep(window) },
	}
	for _, tc := range []struct{ state, event, callbacks, metrics string }{
		{"absent", "connects", "alice:connect", "created(r) opened(r,alice)"},
		{"absent", "Server.Kick", "error=wspulse: connection not found", ""},
		{"absent", "Server.Close", "", ""},

		{"connected", "connects", "alice:connect alice:disconnect(duplicate)",
			"closed(r,alice,0s,duplicate) destroyed(r) created(r) opened(r,alice)"},
		{"connected", "Connection.Close", "alice:disconnect(nil)", "closed(r,alice,0s,normal) destroyed(r)"},
		{"connected", "Server.Kick", "nil alice:disconnect(nil)", "closed(r,alice,0s,kick) destroyed(r)"},
		{"connected", "Server.Close", "alice:disconnect(server-closed)", "closed(r,alice,0s,server_close) destroyed(r)"},
		{"connected", "window passes", "", ""},

		{"suspended", "connects", "alice:restore", "resumed(r,alice)"},
		{"suspended", "Connection.Close", "alice:disconnect(nil)", "closed(r,alice,0s,normal) destroyed(r)"},
		{"suspended", "Server.Kick", "nil alice:disconnect(nil)", "closed(r,alice,0s,kick) destroyed(r)"},
		{"suspended", "Server.Close", "alice:disconnect(server-closed)", "closed(r,alice,0s,server_close) destroyed(r)"},
		{"suspended", "window passes", "alice:disconnect(1006)", "closed(r,alice,1m0s,grace_expired) destroyed(r)"},
	} {
		t.Run(tc.state+"/"+tc.event, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				m := &recorder{}
				w := newWorld(t, wspulse.WithResumeWindow(window), wspulse.WithMetrics(m))
				states[tc.state](w)
				synctest.Wait()
				w.events.take()
				m.take()
				events[tc.event](w)
				synctest.Wait()
				if got := m.take(); got != tc.metrics {
					t.Errorf("hooks: got %q, want %q", got, tc.metrics)
				}
				w.expectInAnyOrder(tc.callbacks)
			})
		})
	}
}

// expectInAnyOrder is expect for callbacks of several connections, or of a connection and its caller.
func (w *world) expectInAnyOrder(want string) {
	w.t.Helper()
	synctest.Wait()
	if got := w.events.take(); sorted(got) != sorted(want) {
		w.t.Errorf("events: got %q, want %q in any order", got, want)
	}
}

func TestTransportDies_NoWindow(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &recorder{}
		w := newWorld(t, wspulse.WithMetrics(m))
		alice := w.dial("r", "alice")
		session := w.connection("r", "alice")
		time.Sleep(7 * time.Second)
		alice.drop()
		w.expect("alice:connect alice:disconnect(1006)")
		if got := m.take(); got != "created(r) opened(r,alice) closed(r,alice,7s,normal) destroyed(r)" {
			t.Errorf("hooks %q", got)
		}
		<-session.Done()
	})
}

func TestTransportDies_WithAWindowTheSessionLives(t *testing.T) {
	for name, end := range map[string]func(alice *peer){
		"vanishes":         func(alice *peer) { alice.drop() },
		"closes with 1000": func(alice *peer) { alice.close(1000) },
		"closes with 4000": func(alice *peer) { alice.close(4000) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t, wspulse.WithResumeWindow(time.Minute))
				alice := w.dial("r", "alice")
				session := w.connection("r", "alice")
				end(alice)
				synctest.Wait()
				select {
				case <-session.Done():
					t.Error("the session has ended")
				default:
				}
				if w.connection("r", "alice") != session {
					t.Error("GetConnections does not include the suspended session")
				}
				w.dial("r", "alice")
				if w.connection("r", "alice") != session {
					t.Error("the resumed session is another Connection")
				}
			})
		})
	}
}

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
		if w.connection("r", "alice") != session || session.RoomID() != "r" || len(w.server.GetConnections("elsewhere")) != 0 {
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
		w = newWorld(t, wspulse.WithResumeWindow(time.Minute), wspulse.WithOnTransportDrop(func(wspulse.Connection, error) {
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

func TestDuplicate_OldOneEndsNewOneOpens(t *testing.T) {
	for _, window := range []time.Duration{0, time.Minute} {
		inBubble(t, func(t *testing.T) {
			w := newWorld(t, wspulse.WithResumeWindow(window))
			old := w.dial("r", "alice")
			first := w.connection("r", "alice")
			alice := w.dial("other", "alice")
			old.expectClose(1000, "duplicate connection id")
			<-first.Done()
			second := w.connection("other", "alice")
			if second == nil || second == first || len(w.server.GetConnections("r")) != 0 {
				t.Error("the new session is not a Connection of its own, in its own room")
			}
			if err := first.Send(ev("lost")); !errors.Is(err, wspulse.ErrConnectionClosed) {
				t.Errorf("Send on the old session: %v", err)
			}
			w.send("alice", "hello")
			alice.expect("hello")
			time.Sleep(2 * time.Minute)
			w.expectInAnyOrder("alice:connect alice:disconnect(duplicate) alice:connect")
		})
	}
}

func TestConnectionClosed_DurationIsTheWholeLife(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &recorder{}
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute), wspulse.WithMetrics(m))
		alice := w.dial("r", "alice")
		time.Sleep(5 * time.Second)
		alice.drop()
		time.Sleep(30 * time.Second)
		w.dial("r", "alice")
		time.Sleep(7 * time.Second)
		w.must(w.server.Kick("alice"))
		if got := m.take(); got != "created(r) opened(r,alice) resumed(r,alice) closed(r,alice,42s,kick) destroyed(r)" {
			t.Errorf("hooks %q", got)
		}
	})
}

func TestConnection_IdentityOutlivesTheSession(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.dial("r", "alice")
		session := w.connection("r", "alice")
		w.must(session.Close())
		w.must(session.Close()) // again is no error
		if session.ID() != "alice" || session.RoomID() != "r" {
			t.Errorf("it is now %q in %q", session.ID(), session.RoomID())
		}
	})
}

// An ended session's frames are no concern of the one that has its name now.
func TestSession_SuccessorStartsEmpty(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute))
		w.dial("r", "alice").drop()
		w.send("alice", "old")
		w.must(w.server.Kick("alice"))
		alice := w.dial("r", "alice")
		w.send("alice", "new")
		alice.expect("new")
	})
}
