package wspulse_test

import (
	"testing"
	"testing/synctest"
	"time"

	wspulse "github.com/wspulse/server"
)

// A ledger writes the hooks of wspulse.v1 down.
type ledger struct {
	wspulse.NoopCollector
	journal
}

func (m *ledger) ResumeClaimed(_, id string, resumed bool, reason string) {
	m.add("claimed(%s,%v,%s)", id, resumed, reason)
}
func (m *ledger) TransportReplaced(_, id string)                  { m.add("replaced(%s)", id) }
func (m *ledger) MessagesReplayed(_, _ string, n int)             { m.add("replayed(%d)", n) }
func (m *ledger) DuplicatesSuppressed(_, _ string, n int)         { m.add("suppressed(%d)", n) }
func (m *ledger) GapTold(_, _ string, n int)                      { m.add("gap(%d)", n) }
func (m *ledger) CountMismatch(_, _ string)                       { m.add("mismatch") }
func (m *ledger) FrameDropped(_, _ string)                        { m.add("dropped") }
func (m *ledger) MessageSent(_, _ string, _ int)                  { m.add("sent") }
func (m *ledger) AcknowledgementAge(_, _ string, d time.Duration) { m.add("age(%v)", d) }

func TestLosslessCollector(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &ledger{}
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute), wspulse.WithMetrics(m), wspulse.WithSendBufferSize(2),
			wspulse.WithAckWindow(4, 1<<20))
		expect := func(want string) {
			t.Helper()
			if synctest.Wait(); m.journal.words == nil {
				t.Errorf("nothing was told, want %q", want)
			} else if got := m.take(); got != want {
				t.Errorf("told %q, want %q", got, want)
			}
		}
		alice := w.speak("r", "alice")
		alice.WithholdAcks(true)
		for _, event := range []string{"a", "b", "c"} {
			w.send("alice", event)
			synctest.Wait()
		}
		expect("sent sent sent")
		time.Sleep(time.Second)
		alice.Ack(1)
		expect("age(1s)")
		alice.drop()
		alice.SetReceived(2) // c is lost on the way, and the acknowledgement of b
		alice.back()
		expect("suppressed(1) claimed(alice,true,) replayed(1)")
		again := w.speaker("r", "alice")
		again.SetClaim(alice.Claim())
		again.WithholdAcks(true)
		again.back().drop()
		expect("suppressed(1) replaced(alice) claimed(alice,true,)")
		for _, event := range []string{"d", "e", "f"} {
			w.broadcast("r", event)
			synctest.Wait()
		}
		again.back()
		expect("dropped claimed(alice,true,) gap(1) sent sent")
		again.SetSent(7)
		again.Ping()
		expect("mismatch")
		again.back()
		expect("claimed(alice,false,count)")
	})
}
