package wspulse_test

import (
	"testing"
	"testing/synctest"
	"time"

	wspulse "github.com/wspulse/server"
)

func ev(event string) wspulse.Frame { return wspulse.Frame{Event: event} }

func TestStory_JoinTalkLeave(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		alice, bob := w.dial("r", "alice"), w.dial("r", "bob")
		w.expect("alice:connect bob:connect")
		alice.send("hello", "there")
		w.expect("alice:message(hello) alice:message(there)")
		if err := w.server.Broadcast("r", ev("all")); err != nil {
			t.Fatal(err)
		}
		if err := w.server.Send("bob", ev("one")); err != nil {
			t.Fatal(err)
		}
		alice.expect("all")
		bob.expect("all one")
		bob.drop()
		w.expect("bob:disconnect(1006)")
		alice.ws.Close()
		w.expect("alice:disconnect(1006)")
	})
}

func TestResume_DeliversWhatWasQueued(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute))
		alice := w.dial("r", "alice")
		session := w.connection("r", "alice")
		alice.drop()
		w.expect("alice:connect alice:drop(1006)")
		for _, event := range []string{"a", "b", "c"} {
			if err := session.Send(ev(event)); err != nil {
				t.Fatal(err)
			}
		}
		again := w.dial("elsewhere", "alice")
		w.expect("alice:restore")
		again.expect("a b c")
		if w.connection("r", "alice") != session {
			t.Error("the resumed session is another Connection")
		}
		again.send("back")
		w.expect("alice:message(back)")
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
		if after := time.Since(dropped); after != time.Minute {
			t.Errorf("ended after %v", after)
		}
		w.expect("alice:connect alice:drop(1006) alice:disconnect(1006)")
	})
}

func TestEnding_CloseCodes(t *testing.T) {
	for name, tc := range map[string]struct {
		end    func(w *world)
		code   int
		reason string
		events string
	}{
		"Connection.Close": {func(w *world) { w.connection("r", "alice").Close() }, 1000, "", "alice:disconnect(nil)"},
		"Kick":             {func(w *world) { w.server.Kick("alice") }, 1000, "kicked", "alice:disconnect(nil)"},
		"Server.Close":     {func(w *world) { w.server.Close() }, 1001, "server shutting down", "alice:disconnect(server-closed)"},
		"duplicate": {func(w *world) { w.dial("r", "alice") }, 1000, "duplicate connection id",
			"alice:disconnect(duplicate) alice:connect"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t)
				alice := w.dial("r", "alice")
				w.expect("alice:connect")
				start := time.Now()
				tc.end(w)
				alice.expectClose(tc.code, tc.reason)
				synctest.Wait()
				if took := time.Since(start); took != 0 {
					t.Errorf("took %v though the peer answered", took)
				}
				got := w.events.take()
				if name == "duplicate" && got == "alice:connect alice:disconnect(duplicate)" {
					return // two connections; their callbacks have no order
				}
				if got != tc.events {
					t.Errorf("events: %q, want %q", got, tc.events)
				}
			})
		})
	}
}
