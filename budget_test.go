package wspulse_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	wspulse "github.com/wspulse/server"
)

// Each of these frames takes 2 bytes of header and 12 of JSON, and one for its event.
const eventFrame = 2 + len(`{"event":"1"}`)

// The collector hears of the limit once for a Send, and once for what is fanned out together; each frame that is lost
// is counted by itself.
func TestSendBufferBytes(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &limitRecorder{}
		w := newWorld(t, wspulse.WithSendBufferBytes(3*eventFrame), wspulse.WithMetrics(m))
		alice := w.dialStalled("r", "alice")
		w.dial("busy", "bob")
		w.send("alice", "1", "2", "3")
		if err := w.server.Send("alice", ev("4")); !errors.Is(err, wspulse.ErrSendBufferFull) {
			t.Errorf("Send over the bound: %v", err)
		}
		m.expect(t, "send_buffer_bytes(alice) dropped(alice)")
		w.broadcast("busy", "hold on")
		synctest.Wait()
		w.broadcast("r", "5", "6") // are both in the queue when the hub goes on
		time.Sleep(time.Second)
		m.expect(t, "send_buffer_bytes(alice) dropped(alice) dropped(alice)")
		w.broadcast("r", strings.Repeat("x", 100)) // larger than all the room there is
		m.expect(t, "send_buffer_bytes(alice) dropped(alice)")
		alice.StartReading()
		alice.expect("plug 3 5 6")
	})
}

func TestSendBufferBytes_BroadcastsOneByOne(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &limitRecorder{}
		w := newWorld(t, wspulse.WithSendBufferBytes(3*eventFrame), wspulse.WithMetrics(m))
		alice := w.dialStalled("r", "alice")
		w.send("alice", "1", "2", "3")
		for _, event := range []string{"4", "5"} {
			w.broadcast("r", event)
			m.expect(t, "send_buffer_bytes(alice) dropped(alice)")
		}
		alice.StartReading()
		alice.expect("plug 3 4 5")
	})
}

// Over the budget the largest queue pays, and nobody else.
func TestMemoryBudget(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &limitRecorder{}
		w := newWorld(t, wspulse.WithMemoryBudget(int64(16*eventFrame)), wspulse.WithMetrics(m))
		alice, bob := w.dialStalled("r", "alice"), w.dialStalled("r", "bob")
		for i := range 4 {
			w.send("bob", fmt.Sprint(i))
		}
		for i := range 13 { // the last of them is one too many
			w.send("alice", string(rune('a'+i)))
		}
		m.expect(t, "dropped(alice) dropped(alice) dropped(alice) memory_budget()")
		alice.StartReading()
		bob.StartReading()
		alice.expect("plug d e f g h i j k l m")
		bob.expect("plug 0 1 2 3")
		w.send("alice", "1")
		m.expect(t, "")
	})
}

// Two queues of one size pay alike, suspended or not, and what is delivered or lost is free again.
func TestMemoryBudget_SharedByTheLargest(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &limitRecorder{}
		w := newWorld(t, wspulse.WithMemoryBudget(int64(8*eventFrame)), wspulse.WithResumeWindow(time.Minute),
			wspulse.WithMetrics(m))
		w.dial("r", "alice").drop()
		bob := w.dialStalled("r", "bob")
		for i := range 5 {
			w.broadcast("r", fmt.Sprint(i))
		}
		synctest.Wait()
		if got := m.count("dropped(alice)"); got != m.count("dropped(bob)") || got < 1 || got > 2 {
			t.Errorf("limits: %q", m.take())
		}
		m.take()
		bob.StartReading()
		synctest.Wait()
		w.must(w.server.Kick("alice"))
		synctest.Wait()
		m.take()
		carol := w.dialStalled("r", "carol")
		for i := range 8 {
			w.send("carol", fmt.Sprint(i))
		}
		m.expect(t, "")
		w.send("carol", "8")
		m.expect(t, "dropped(carol) dropped(carol) memory_budget()")
		carol.StartReading()
		carol.expect("plug 2 3 4 5 6 7 8")
	})
}

// A session that has ended and still writes costs nobody else a frame.
func TestMemoryBudget_EndedSessionsDoNotCount(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &limitRecorder{}
		w := newWorld(t, wspulse.WithMemoryBudget(int64(16*eventFrame)), wspulse.WithMetrics(m))
		w.dialStalled("r", "alice")
		bob := w.dial("r", "bob")
		for i := range 16 {
			w.send("alice", string(rune('a'+i)))
		}
		w.must(w.connection("r", "alice").Close())
		for i := range 40 {
			w.broadcast("r", fmt.Sprint(i))
			synctest.Wait()
		}
		bob.expect(seq(0, 39))
		m.expect(t, "")
		time.Sleep(time.Minute) // alice is given up
		m.expect(t, strings.TrimSpace(strings.Repeat("dropped(alice) ", 17)))
		for i := range 10 {
			w.send("bob", fmt.Sprint(i))
		}
		bob.expect(seq(0, 9))
		m.expect(t, "")
	})
}

// Frames that go back to their queues when a write fails count again.
func TestMemoryBudget_HoldsAfterFailedWrites(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &limitRecorder{}
		w := newWorld(t, wspulse.WithMemoryBudget(100<<10), wspulse.WithResumeWindow(time.Hour), wspulse.WithMetrics(m))
		large := wspulse.Frame{Payload: []byte(`"` + strings.Repeat("x", 60<<10) + `"`)}
		const peers = 5
		for i := range peers {
			id := fmt.Sprint(i)
			w.dialIdle("r", id).mute()
			w.must(w.server.Send(id, large))
			synctest.Wait() // its write pump has the frame
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := m.count("dropped"); got < peers-1 {
			t.Errorf("%d frames of 60 KiB dropped, want at least all but one of %d", got, peers)
		}
	})
}
