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

// The old transport is stuck in writing when the client comes back.
func TestLossless_TakesOverFromAWriter(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute))
		old := w.speak("r", "alice", wstest.WithDownstream(unbuffered))
		old.WithholdAcks(true)
		w.send("alice", "1", "2")
		old.expect("hello:new 1 2")
		old.Client().Conn.Downstream(wstest.Faults{Window: wstest.Unbuffered, BlackHole: true})
		w.send("alice", strings.Fields(seq(3, 9))...)
		synctest.Wait()
		alice := w.speaker("r", "alice")
		alice.SetClaim(old.Claim())
		alice.SetReceived(1)
		alice.back().expect("hello:resumed " + seq(2, 9))
		w.send("alice", "10")
		alice.expect("10")
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

func TestLossless_Identity(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute))
		alice := w.speak("r", "alice")
		bob := w.speaker("r", "bob")
		bob.SetClaim(alice.Claim())
		bob.back().expect("hello:identity")
		mallory := w.speaker("r", "alice")
		mallory.SetClaim(wstest.Claim{ID: "alice", Token: strings.Repeat("A", 43)}) // a guess
		mallory.back().expect("hello:token")
		alice.expect("hello:new bye:duplicate close:1000")
	})
}

// Where ConnectFunc leaves the ID open, the token says who it is.
func TestLossless_NamedByItsToken(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute), wspulse.WithMaxConnections(1))
		guest := w.speak("r", "")
		id := guest.Hello().ID
		guest.drop()
		w.send(id, "a")
		guest.back().expect("hello:new hello:resumed a")
		guest.drop()
		guest.SetClaim(wstest.Claim{ID: id, Token: strings.Repeat("A", 43)})
		guest.back().expect("bye:max_connections close:4429") // it would be another one, for whom there is no seat
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

// Two connections with one claim at the same moment: one has the session, the other one is told why not.
func TestLossless_TwoClaimsAtOnce(t *testing.T) {
	for range 50 {
		inBubble(t, func(t *testing.T) {
			w := newWorld(t, wspulse.WithResumeWindow(time.Minute))
			alice := w.speak("r", "alice")
			alice.Drop()
			both := []*speaker{w.speaker("r", "alice"), w.speaker("r", "alice")}
			done := make(chan struct{})
			for _, s := range both {
				s.SetClaim(alice.Claim())
				s.WithholdAcks(true)
				go func() {
					defer func() { done <- struct{}{} }()
					_, _ = s.TryConnect()
				}()
			}
			<-done
			<-done
			synctest.Wait()
			w.send("alice", "a")
			synctest.Wait()
			first, second := both[0].Heard(), both[1].Heard()
			if first != "hello:resumed a" {
				first, second = second, first
			}
			if first != "hello:resumed a" || strings.TrimPrefix(second, "hello:resumed ") != "bye:conflict close:4409" {
				t.Fatalf("heard %q and %q", first, second)
			}
		})
	}
}
