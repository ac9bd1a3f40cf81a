package wspulse_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/wstest"
)

// Acknowledgements are heard while a callback runs: outbound messages go on, with a full window too.
func TestLossless_AcksAreHeardDuringACallback(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute), wspulse.WithAckWindow(2, 1<<20),
			wspulse.WithOnMessage(func(wspulse.Connection, wspulse.Frame) { <-release }))
		alice := w.speak("r", "alice")
		for range 200 { // as many as may be in flight
			alice.Send("x")
		}
		time.Sleep(time.Second)
		w.send("alice", strings.Fields(seq(1, 20))...)
		alice.Ping()
		synctest.Wait()
		if heard := alice.Heard(); strings.Replace(heard, " pong", "", 1) != "hello:new "+seq(1, 20) {
			t.Errorf("heard %q", heard)
		}
	})
}

// A second drop, and acknowledgements, while what was lost is sent again.
func TestLossless_DropsDuringTheReplay(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute))
		alice := w.speaker("r", "alice", wstest.WithDownstream(unbuffered))
		alice.WithholdAcks(true)
		alice.back().drop() // before any message has come
		w.send("alice", strings.Fields(seq(1, 50))...)
		alice.back()
		if heard := alice.Heard(); heard != "hello:new hello:resumed "+seq(1, 50) {
			t.Errorf("heard %q", heard)
		}
		for received := range uint64(50) {
			alice.drop()
			alice.SetReceived(received)
			alice.back()
			if alice.Ack(received + 1); received%2 == 0 {
				w.send("alice", fmt.Sprint("more ", received))
			}
			synctest.Wait()
			if heard := alice.Heard(); !strings.HasPrefix(heard, "hello:resumed "+seq(int(received)+1, 50)) {
				t.Fatalf("from %d heard %q", received, heard)
			}
		}
	})
}

func TestLossless_ResumesAfterHours(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(24*time.Hour))
		alice := w.speak("r", "alice")
		alice.drop()
		w.send("alice", "a")
		time.Sleep(23 * time.Hour)
		alice.back().expect("hello:new hello:resumed a")
	})
}

func TestLossless_WithoutAWindow(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		alice := w.speak("r", "alice")
		w.send("alice", "a")
		alice.Send("x")
		time.Sleep(5 * time.Second)
		alice.expect("hello:new a")
		if h := alice.Hello(); h.Window != 0 || h.Token != "" {
			t.Errorf("hello %+v", h)
		}
		alice.Ping()
		alice.expect("pong")
		alice.drop()
		w.expect("alice:connect alice:message(x) alice:disconnect(1006)")
	})
}

// Over the budget, what is not numbered goes first, and then the suspended session that holds most.
func TestLossless_MemoryBudget(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Hour), wspulse.WithMemoryBudget(10_000))
		var speakers []*speaker
		for i, id := range []string{"alice", "bob"} {
			s := w.speak("r", id)
			s.WithholdAcks(true)
			for range 3 + i {
				w.send(id, strings.Repeat(id[:1], 1000))
			}
			synctest.Wait()
			s.Heard()
			s.drop()
			speakers = append(speakers, s)
		}
		for range 8 { // wait behind what is numbered, and are dropped
			w.send("alice", strings.Repeat("c", 1000))
		}
		synctest.Wait()
		speakers[0].SetReceived(0)
		speakers[0].back()
		if heard := speakers[0].Heard(); !strings.HasPrefix(heard, "hello:resumed aaa") || !strings.Contains(heard, "gap:") {
			t.Errorf("alice heard %.40q", heard)
		}
		carol := w.speak("r", "carol") // holds what can't be dropped
		carol.WithholdAcks(true)
		for range 9 {
			w.send("carol", strings.Repeat("c", 1000))
			synctest.Wait()
		}
		speakers[1].back().expect("hello:memory")
	})
}

// Whatever is dropped, and however often the client is gone: what it has got and what it was told of are all that was
// taken in.
func TestLossless_GapsAreExact(t *testing.T) {
	for seed := range uint64(20) {
		inBubble(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 7))
			w := newWorld(t, wspulse.WithResumeWindow(time.Hour), wspulse.WithSendBufferSize(1+random.IntN(10)),
				wspulse.WithAckWindow(1+random.IntN(10), 1<<20))
			alice := w.speak("r", "alice")
			alice.WithholdAcks(true)
			const messages = 300
			for i := range messages {
				w.broadcast("r", fmt.Sprint(i))
				switch random.IntN(10) {
				case 0:
					alice.Ack(alice.Claim().Received)
				case 1:
					alice.drop()
				case 2:
					alice.drop()
					alice.back()
				}
				synctest.Wait()
			}
			alice.drop()
			alice.WithholdAcks(false)
			alice.back()
			time.Sleep(time.Second)
			if synctest.Wait(); alice.Claim().Received != messages {
				t.Errorf("seed %d: %d of %d", seed, alice.Claim().Received, messages)
			}
		})
	}
}

// What is said last does not end a message that was written in part when reading ended: the peer would count it, and
// never get it.
func TestLossless_NothingBehindHalfAMessage(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute),
			wspulse.WithOnMessage(func(wspulse.Connection, wspulse.Frame) { panic("p") }))
		alice := w.speaker("r", "alice", wstest.WithDownstream(wstest.Faults{Window: 64}))
		alice.Connect()
		synctest.Wait()
		alice.expect("hello:new")
		alice.Client().Conn.Downstream(wstest.Faults{Window: 64, BlackHole: true})
		long := strings.Repeat("x", 100)
		w.send("alice", long, "second")
		synctest.Wait()
		alice.Send("boom")
		synctest.Wait()
		time.Sleep(1010 * time.Millisecond) // the write is cut after a second
		alice.Client().Conn.Downstream(wstest.Faults{})
		synctest.Wait()
		alice.Connect()
		alice.expect("close:1006 hello:resumed ack:1 " + long + " second")
	})
}
