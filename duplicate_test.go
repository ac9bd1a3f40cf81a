package wspulse_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/wstest"
)

func TestLossless_Refused(t *testing.T) {
	for name, test := range map[string]struct {
		query   string
		options []wspulse.ServerOption
		want    string
		status  int
	}{
		"ConnectFunc": {"/?refuse", nil, "bye:unauthorized close:4401", 101},
		"panic":       {"/?panic", nil, "bye:internal close:4503", 101},
		"limit":       {"/?id=bob", []wspulse.ServerOption{wspulse.WithMaxConnections(1)}, "bye:max_connections close:4429", 101},
		"duplicate": {"/?id=alice", []wspulse.ServerOption{wspulse.WithDuplicatePolicy(wspulse.Reject)},
			"bye:duplicate close:4409", 101},
		"status": {"/?refuse", []wspulse.ServerOption{wspulse.WithRefusalStatus()}, "", 401},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t, test.options...)
				w.speak("r", "alice")
				bob := &speaker{w.web.NewSession(test.query), t}
				response, err := bob.TryConnect()
				if status := response.StatusCode; status != test.status || (err != nil) != (status != 101) {
					t.Fatalf("%d, %v", status, err)
				}
				if err == nil {
					bob.expect(test.want)
				}
			})
		})
	}
}

func TestDuplicatePolicy(t *testing.T) {
	for name, test := range map[string]struct {
		policy      wspulse.DuplicatePolicy
		first, want string
	}{
		"Replace": {wspulse.Replace, "close", "alice:connect alice:connect alice:disconnect(duplicate)"},
		"Resume":  {wspulse.Resume, "close", "alice:connect alice:drop(replaced) alice:restore"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t, wspulse.WithResumeWindow(time.Minute), wspulse.WithDuplicatePolicy(test.policy))
				old := w.dial("r", "alice")
				again := w.dial("r", "alice")
				<-old.Done()
				w.send("alice", "a")
				again.expect("a")
				synctest.Wait()
				if got := sorted(w.events.take()); got != test.want {
					t.Errorf("events %q", got)
				}
			})
		})
	}
}

func TestDuplicatePolicy_Reject(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute), wspulse.WithDuplicatePolicy(wspulse.Reject))
		alice := w.dial("r", "alice")
		if _, response, err := w.upgrade("?room=r&id=alice", nil); err == nil || response.StatusCode != 409 {
			t.Errorf("answered %v", response)
		}
		alice.drop()
		w.dial("r", "alice")
		w.expect("alice:connect alice:drop(1006) alice:restore")
	})
}

// Whoever does not speak wspulse.v1 can't go on with a session that does, nor the other way round.
func TestLossless_AndPlain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute))
		alice := w.speak("r", "alice")
		alice.drop()
		plain := w.dial("r", "alice")
		alice.back().expect("hello:new hello:duplicate")
		plain.expectClose(1000, "duplicate connection id")
		if got := sorted(w.events.take()); strings.Count(got, "connect") != 5 {
			t.Errorf("events %q", got)
		}
	})
}

// More than 64 requests that are refused at a time get the status.
func TestLossless_RefusedAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		var inBand, byStatus int
		for range 70 { // whose clients do not go away
			response, err := w.web.NewSession("/?refuse", wstest.WithDownstream(wstest.Faults{})).TryConnect()
			switch {
			case err == nil:
				inBand++
			case response != nil && response.StatusCode == 401:
				byStatus++
			}
		}
		if inBand != 64 || byStatus != 6 {
			t.Errorf("%d were told over the WebSocket, %d by status", inBand, byStatus)
		}
		time.Sleep(2 * time.Second)
		if _, err := w.web.NewSession("/?refuse").TryConnect(); err != nil {
			t.Error("there is no room again: ", err)
		}
	})
}

// Without a resume window Resume is Replace: OnTransportDrop and OnTransportRestore never run.
func TestDuplicatePolicy_ResumeNeedsAWindow(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithDuplicatePolicy(wspulse.Resume))
		w.dial("r", "alice")
		w.dial("r", "alice")
		synctest.Wait()
		if got := sorted(w.events.take()); got != "alice:connect alice:connect alice:disconnect(duplicate)" {
			t.Errorf("events %q", got)
		}
	})
}
