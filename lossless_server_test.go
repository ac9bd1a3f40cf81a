package wspulse_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/wstest"
)

// A speaker is a client of wspulse.v1, and what the stories need besides.
type speaker struct {
	*wstest.Session
	t *testing.T
}

func (w *world) speaker(room, id string, options ...wstest.DialOption) *speaker {
	w.t.Helper()
	return &speaker{w.web.NewSession("/?room="+room+"&id="+id, options...), w.t}
}

// speak connects a client of wspulse.v1.
func (w *world) speak(room, id string, options ...wstest.DialOption) *speaker {
	w.t.Helper()
	s := w.speaker(room, id, options...)
	s.Connect()
	synctest.Wait()
	return s
}

// expect waits until nothing moves and compares what has come since the last time.
func (s *speaker) expect(want string) {
	s.t.Helper()
	synctest.Wait()
	if got := s.Heard(); got != want {
		s.t.Errorf("heard %q, want %q", got, want)
	}
}

// drop cuts the connection.
func (s *speaker) drop() {
	s.Drop()
	synctest.Wait()
}

// back comes back, and drops what is known of the connection before.
func (s *speaker) back() *speaker {
	s.t.Helper()
	s.Connect()
	synctest.Wait()
	return s
}

func TestLossless_Resumes(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute))
		alice := w.speak("r", "alice")
		alice.expect("hello:new")
		w.send("alice", "a", "b")
		alice.Send("x")
		alice.expect("a b")
		alice.drop()
		w.send("alice", "c")
		alice.back().expect("hello:resumed ack:1 c")
		alice.Send("y")
		w.expect("alice:connect alice:message(x) alice:drop(1006) alice:restore alice:message(y)")
		if h := alice.Hello(); h.Recv != 1 || h.At != 2 || h.ID != "alice" || h.Window != 60_000 || h.Heartbeat != 10_000 ||
			h.MaxBytes != 512 || h.Inflight != 256 || len(h.Token) != 43 {
			t.Errorf("hello %+v", h)
		}
	})
}

// What the kernel had taken when the connection died comes again, and what has come does not.
func TestLossless_SendsAgain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute))
		alice := w.speak("r", "alice")
		alice.WithholdAcks(true)
		w.send("alice", "a", "b", "c")
		alice.expect("hello:new a b c")
		alice.drop()
		alice.SetReceived(1) // the others were lost on the way
		alice.back().expect("hello:resumed b c")
		alice.drop()
		alice.back().expect("hello:resumed")
	})
}

func TestLossless_Gap(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute), wspulse.WithSendBufferSize(2), wspulse.WithAckWindow(3, 1<<20))
		alice := w.speak("r", "alice")
		alice.WithholdAcks(true)
		for _, event := range strings.Fields(seq(1, 7)) {
			w.broadcast("r", event)
			synctest.Wait()
		}
		alice.expect("hello:new 1 2 3")
		alice.Ack(3)
		alice.expect("gap:2 6 7")
		if alice.Claim().Received != 7 {
			t.Errorf("counts %d", alice.Claim().Received)
		}
		alice.drop()
		alice.SetReceived(3)
		alice.back().expect("hello:resumed gap:2 6 7")
	})
}

func TestLossless_AckTimeout(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute), wspulse.WithAckTimeout(30*time.Second))
		alice := w.speak("r", "alice")
		alice.WithholdAcks(true)
		time.Sleep(time.Minute)
		w.send("alice", "a")
		time.Sleep(29 * time.Second)
		alice.expect("hello:new a")
		time.Sleep(11 * time.Second)
		alice.expect("bye:ack_timeout close:1008")
	})
}

func TestLossless_EndsByBye(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute))
		alice := w.speak("r", "alice")
		alice.Bye()
		alice.expect("hello:new close:1000")
		w.expect("alice:connect alice:disconnect(nil)")
		alice.back().expect("hello:closed")
	})
}

func TestLossless_ServerEnds(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(w *world)
		want string
	}{
		"Kick":  {func(w *world) { w.must(w.server.Kick("alice")) }, "bye:kicked close:1000"},
		"Close": {func(w *world) { w.must(w.connection("r", "alice").Close()) }, "last bye:closed close:1000"},
		"Stop":  {func(w *world) { w.server.Close() }, "last bye:shutdown close:1001"},
		"Other": {func(w *world) { w.speak("r", "alice") }, "bye:duplicate close:1000"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t, wspulse.WithResumeWindow(time.Minute), wspulse.WithAckWindow(1, 1))
				alice := w.speak("r", "alice")
				alice.WithholdAcks(true)
				w.send("alice", "first", "last")
				alice.expect("hello:new first")
				test.end(w)
				alice.expect(test.want)
			})
		})
	}
}

// One message that makes OnMessage panic is processed once, and those behind it are.
func TestLossless_Panic(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var w *world
		w = newWorld(t, wspulse.WithResumeWindow(time.Minute), wspulse.WithOnMessage(func(_ wspulse.Connection, f wspulse.Frame) {
			w.events.add("message(%s)", f.Event)
			if f.Event == "bad" {
				time.Sleep(time.Second)
				panic("bad")
			}
		}))
		alice := w.speak("r", "alice")
		alice.Send("bad", "x", "y")
		time.Sleep(2 * time.Second)
		alice.expect("hello:new bye:panic close:1011")
		alice.back().expect("hello:resumed ack:3")
		w.expect("alice:connect message(bad) message(x) message(y) alice:drop(panic=bad) alice:restore")
	})
}

func TestLossless_CountsThatCannotBe(t *testing.T) {
	for name, test := range map[string]struct {
		do         func(alice *speaker)
		want, next string
	}{
		"ack of what was not sent":      {func(a *speaker) { a.Ack(3) }, "bye:protocol close:4400", "hello:resumed"},
		"ack backwards":                 {func(a *speaker) { a.Ack(1) }, "bye:protocol close:4400", "hello:resumed"},
		"unknown type":                  {func(a *speaker) { a.SendControl(`{"t":"what","at":0}`) }, "bye:protocol close:4400", "hello:resumed"},
		"4 KiB":                         {func(a *speaker) { a.SendControl(strings.Repeat(" ", 4097)) }, "bye:protocol close:4400", "hello:resumed"},
		"1e308":                         {func(a *speaker) { a.SendControl(`{"t":"ack","n":1e308,"at":0}`) }, "bye:protocol close:4400", "hello:resumed"},
		"string":                        {func(a *speaker) { a.SendControl(`{"t":"ack","n":"2","at":0}`) }, "bye:protocol close:4400", "hello:resumed"},
		"message not counted":           {func(a *speaker) { a.SetSent(1); a.Ping() }, "bye:count close:4400", "hello:count"},
		"claim of what was not sent":    {func(a *speaker) { a.Drop(); a.SetReceived(3); a.back() }, "hello:count", ""},
		"claim of what is acknowledged": {func(a *speaker) { a.Drop(); a.SetReceived(1); a.back() }, "hello:count", ""},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t, wspulse.WithResumeWindow(time.Minute))
				alice := w.speak("r", "alice")
				w.send("alice", "a", "b")
				alice.expect("hello:new a b")
				test.do(alice)
				alice.expect(test.want)
				if test.next != "" {
					alice.back().expect(test.next)
				}
			})
		})
	}
}

// A message that is too large is counted, and does not come again for ever.
func TestLossless_MessageTooLarge(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute), wspulse.WithMaxMessageSize(100))
		alice := w.speak("r", "alice")
		alice.Send("x", strings.Repeat("y", 100), "z")
		alice.expect("hello:new bye:max_message_size close:1009")
		alice.back().expect("hello:resumed ack:2")
		if recv := alice.Hello().Recv; recv != 2 {
			t.Errorf("%d accepted", recv)
		}
		alice.Send("z")
		w.expect("alice:connect alice:message(x) alice:drop(too-large) alice:restore alice:message(z)")
	})
}

// A rate is no reason to cut a client that sends again what it has sent.
func TestLossless_RateIsBackPressure(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute), wspulse.WithMessageRate(1, 2))
		alice := w.speak("r", "alice")
		start := time.Now()
		alice.Send("a", "b", "c", "d")
		for synctest.Wait(); w.events.count("alice:message") < 4; synctest.Wait() {
			time.Sleep(time.Second + time.Millisecond)
		}
		w.took(start, 3*(time.Second+time.Millisecond)) // one goes to the acknowledgement of the hello
		w.expect("alice:connect alice:message(a) alice:message(b) alice:message(c) alice:message(d)")
		alice.Send("e", "f", "g")
		w.must(w.server.Kick("alice")) // which waits for nobody
		w.took(start, 3*(time.Second+time.Millisecond))
	})
}

// What is not numbered goes first where the memory budget is used up: a suspended session does not end while another
// one holds what can be dropped.
func TestLossless_BudgetDropsWhatWaitsFirst(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Hour), wspulse.WithMemoryBudget(10_000),
			wspulse.WithAckWindow(100, 1<<20))
		kept := func(id string, messages, bytes int) *speaker {
			s := w.speak("r", id)
			s.WithholdAcks(true)
			for range messages {
				w.send(id, strings.Repeat(id[:1], bytes))
				synctest.Wait()
			}
			return s
		}
		alice := kept("alice", 1, 1500)
		alice.drop()
		bob := w.dialIdle("r", "bob") // what is for him waits, and may be dropped
		bob.drop()
		kept("carol", 6, 1000)
		for range 3 {
			w.send("bob", strings.Repeat("b", 1000))
			synctest.Wait()
		}
		alice.Heard()
		alice.back().expect("hello:resumed")
	})
}

// A control message may have 4 KiB whatever messages may have, also when it is compressed.
func TestLossless_CompressedControl(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Hour), wspulse.WithCompression(6, 1), wspulse.WithMaxMessageSize(16))
		alice := w.speak("r", "alice", wstest.WithDialer(func(d *websocket.Dialer) { d.EnableCompression = true }))
		alice.expect("hello:new")
		alice.Client().WebSocket.EnableWriteCompression(true)
		alice.SendControl(`{"t":"ping","at":0,"later":"` + strings.Repeat("x", 4000) + `"}`)
		alice.expect("pong")
	})
}
