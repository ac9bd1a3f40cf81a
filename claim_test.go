package wspulse_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/wstest"
)

func TestLossless_TakesOver(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute))
		old := w.speak("r", "alice")
		w.send("alice", "a")
		old.expect("hello:new a")
		alice := w.speaker("r", "alice")
		alice.SetClaim(old.Claim())
		alice.back().expect("hello:resumed")
		old.expect("bye:conflict close:4409")
		w.send("alice", "b")
		alice.expect("b")
		w.expect("alice:connect alice:drop(replaced) alice:restore")
	})
}

// A callback of the old transport does not hold up the new one, and is over before the next one begins.
func TestLossless_TakesOverFromACallback(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var w *world
		release := make(chan struct{})
		w = newWorld(t, wspulse.WithResumeWindow(time.Minute), wspulse.WithOnMessage(func(c wspulse.Connection, f wspulse.Frame) {
			w.events.add("begin(%s)", f.Event)
			if f.Event == "x" {
				<-release
			}
			w.events.add("end(%s)", f.Event)
		}))
		old := w.speak("r", "alice")
		old.Send("x", "y")
		synctest.Wait()
		time.Sleep(time.Second)
		alice := w.speaker("r", "alice")
		alice.SetClaim(old.Claim())
		alice.back().expect("hello:resumed")
		if recv := alice.Hello().Recv; recv != 2 {
			t.Errorf("%d accepted", recv)
		}
		alice.Send("z")
		w.send("alice", "a")
		alice.expect("a")
		alice.Ping()
		alice.expect("pong")
		w.expect("alice:connect begin(x)")
		close(release)
		w.expect("end(x) begin(y) end(y) alice:drop(replaced) alice:restore " +
			"begin(z) end(z)")
		time.Sleep(time.Second)
		alice.expect("ack:3")
	})
}

func TestLossless_HelloLost(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute))
		alice := w.speak("r", "alice")
		w.send("alice", "a")
		alice.expect("hello:new a")
		alice.LoseHello(true)
		for i := range 5 {
			alice.drop()
			w.send("alice", fmt.Sprint(i))
			alice.back().expect("")
		}
		alice.drop()
		alice.LoseHello(false)
		alice.back().expect("hello:resumed 0 1 2 3 4")
	})
}

// The first hello is lost: the client has no token, and gets a session of its own.
func TestLossless_FirstHelloLost(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute))
		alice := w.speaker("r", "alice")
		alice.LoseHello(true)
		alice.back().drop()
		alice.LoseHello(false)
		alice.back().expect("hello:new")
	})
}

func TestLossless_OldTokenStolen(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute))
		alice := w.speak("r", "alice")
		stolen := alice.Claim()
		alice.drop()
		alice.back().expect("hello:new hello:resumed") // and confirms the new token
		alice.drop()
		mallory := w.speaker("r", "alice")
		mallory.SetClaim(stolen)
		mallory.back().expect("hello:token")
		alice.back().expect("hello:duplicate")
	})
}

func TestLossless_Expired(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute))
		alice := w.speak("r", "alice")
		alice.Send("x", "y")
		alice.drop()
		time.Sleep(2 * time.Minute)
		alice.back().expect("hello:new hello:expired")
		if recv := alice.Hello().Recv; recv != 2 {
			t.Errorf("%d processed", recv)
		}
	})
}

// A token that has come is good, also where nothing has been said by the transport that brought it, nor by those since.
func TestLossless_TokenIsKeptUntilTheNextHasCome(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute))
		alice := w.speak("r", "alice")
		alice.expect("hello:new")
		alice.WithholdAcks(true)
		alice.drop()
		alice.back().expect("hello:resumed")
		alice.LoseHello(true)
		for range 3 {
			alice.drop()
			alice.back().expect("")
		}
		alice.LoseHello(false)
		alice.drop()
		alice.back().expect("hello:resumed")
	})
}

func TestLossless_TakeoverWar(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute))
		alice := w.speak("r", "alice")
		for i := range 3 {
			other := w.speaker("r", "alice")
			other.SetClaim(alice.Claim())
			other.back()
			alice.Heard()
			<-alice.Done()
			if again := alice.Bade().Reconnect; again != (i < 2) {
				t.Errorf("takeover %d: reconnect %v", i+1, again)
			}
			alice = other
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

// What became of a session is remembered for five minutes, also where the answer that tells of it is lost.
func TestLossless_Tombstone(t *testing.T) {
	for after, want := range map[time.Duration]string{
		0:                           "hello:kicked",
		5*time.Minute - time.Second: "hello:kicked",
		5*time.Minute + time.Second: "hello:token", // there is another session by then
	} {
		inBubble(t, func(t *testing.T) {
			w := newWorld(t, wspulse.WithResumeWindow(time.Minute))
			alice := w.speak("r", "alice")
			alice.Send("x")
			synctest.Wait()
			w.must(w.server.Kick("alice"))
			alice.expect("hello:new bye:kicked close:1000")
			time.Sleep(after)
			alice.LoseHello(true)
			alice.back().drop()
			alice.LoseHello(false)
			alice.back().expect(want)
			if recv := alice.Hello().Recv; (recv == 1) != (want == "hello:kicked") {
				t.Errorf("%s: %d processed", want, recv)
			}
		})
	}
}

// A claim that counts what was not sent ends its session, and is told how much that had processed, as with all ends.
func TestLossless_CountTellsWhatWasProcessed(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute))
		alice := w.speak("r", "alice")
		alice.Send("x", "y")
		synctest.Wait()
		alice.drop()
		alice.SetReceived(7)
		alice.back().expect("hello:new hello:count")
		if recv := alice.Hello().Recv; recv != 2 {
			t.Errorf("%d processed", recv)
		}
	})
}
