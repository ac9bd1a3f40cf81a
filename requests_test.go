package wspulse_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/wstest"
)

// question is a request with that ID.
func question(id string) wspulse.Frame { return wspulse.Frame{ID: id, Event: "ask"} }

// ack is its reply.
func ack(id, payload string) wspulse.Frame {
	return wspulse.Frame{ID: id, Event: "ack", Payload: []byte(payload)}
}

// outcome says in a word how a Request has ended.
func outcome(f wspulse.Frame, err error) string {
	var failed *wspulse.ReplyError
	switch {
	case err == nil:
		return fmt.Sprintf("%s(%s)", f.Event, f.Payload)
	case errors.As(err, &failed):
		return fmt.Sprintf("%s(%s,%s)", f.Event, failed.Code, failed.Message)
	case errors.Is(err, wspulse.ErrConnectionClosed):
		return "closed"
	case errors.Is(err, wspulse.ErrSendBufferFull):
		return "full"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	}
	return err.Error()
}

// asks calls Request on a goroutine of its own, and writes down how it ended: "1:ack(…)".
func (w *world) asks(c wspulse.Connection, id string) {
	go func() { w.events.add("%s:%s", id, outcome(c.Request(w.t.Context(), question(id)))) }()
	synctest.Wait()
}

// expectNoWaiter fails the test if a request of c waits.
func (w *world) expectNoWaiter(c wspulse.Connection) {
	w.t.Helper()
	synctest.Wait()
	if n := wspulse.Waiting(c); n != 0 {
		w.t.Errorf("%d requests wait", n)
	}
}

// A requestLog writes the hooks of requests down.
type requestLog struct {
	wspulse.NoopCollector
	journal
}

func (m *requestLog) RequestDone(room, id, result string, took time.Duration) {
	m.add("%s(%s,%s,%v)", result, room, id, took)
}
func (m *requestLog) ReplyIgnored(room, id string) { m.add("ignored(%s,%s)", room, id) }

func (m *requestLog) expect(t *testing.T, want string) {
	t.Helper()
	synctest.Wait()
	if got := m.take(); got != want {
		t.Errorf("hooks: got %q, want %q", got, want)
	}
}

// answers sends frames, whatever they say.
func (s *speaker) answers(frames ...wspulse.Frame) {
	s.t.Helper()
	for _, f := range frames {
		data, err := wspulse.JSONCodec.Encode(f)
		if err != nil {
			s.t.Fatal(err)
		}
		s.SendMessage(websocket.TextMessage, data)
	}
	synctest.Wait()
}

func TestRequest_Reply(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &requestLog{}
		w := newWorld(t, wspulse.WithMetrics(m))
		alice := w.dial("r", "alice")
		c := w.connection("r", "alice")
		for _, f := range []wspulse.Frame{
			ack("1", `{"n":1}`),
			{ID: "1", Event: "ack"},
			{ID: "1", Event: "error", Payload: []byte(`{"code":"no","message":"never"}`)},
			{ID: "1", Event: "error", Payload: []byte(`"no"`)},
			{ID: "1", Event: "error", Payload: []byte(`{"code":7}`)},
			{ID: "1", Event: "error"},
		} {
			w.asks(c, "1")
			time.Sleep(time.Second)
			alice.Send(f)
			synctest.Wait()
		}
		w.expect(`alice:connect 1:ack({"n":1}) 1:ack() 1:error(no,never) 1:error(,"no") 1:error(,{"code":7}) 1:error(,)`)
		alice.expect("ask ask ask ask ask ask")
		m.expect(t, strings.TrimSpace(strings.Repeat("reply(r,alice,1s) ", 2)+strings.Repeat("error(r,alice,1s) ", 4)))
		w.expectNoWaiter(c)
	})
}

func TestRequest_ContextEnds(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &requestLog{}
		w := newWorld(t, wspulse.WithMetrics(m))
		alice := w.dial("r", "alice")
		c := w.connection("r", "alice")
		start := time.Now()
		soon, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if _, err := c.Request(soon, question("1")); err != context.DeadlineExceeded {
			t.Error(err)
		}
		w.took(start, 5*time.Second)
		cause := errors.New("the user has left the page")
		gone, leave := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { leave(cause) })
		for range 2 { // under way, and before it is sent
			if _, err := c.Request(gone, question("2")); err != cause {
				t.Error(err)
			}
		}
		alice.Send(ack("1", "1"), ack("2", "2"))
		alice.expect("ask ask")
		w.expect("alice:connect")
		m.expect(t, "timeout(r,alice,5s) canceled(r,alice,1s) canceled(r,alice,0s) ignored(r,alice) ignored(r,alice)")
		w.expectNoWaiter(c)
	})
}

// A respondent is alice, by one of the two protocols.
type respondent struct {
	answer     func(frames ...wspulse.Frame)
	drop, back func()
}

// respondent connects alice.
func (w *world) respondent(protocol string) *respondent {
	if protocol == "v1" {
		s := w.speak("r", "alice")
		return &respondent{s.answers, s.drop, func() { s.back() }}
	}
	p := w.dial("r", "alice")
	return &respondent{
		func(frames ...wspulse.Frame) { p.Send(frames...); synctest.Wait() },
		func() { p.drop() },
		func() { p = w.dial("r", "alice") },
	}
}

// byEach runs a story in a bubble for each of the two protocols.
func byEach(t *testing.T, story func(t *testing.T, protocol string)) {
	for _, protocol := range []string{"plain", "v1"} {
		t.Run(protocol, func(t *testing.T) {
			inBubble(t, func(t *testing.T) { story(t, protocol) })
		})
	}
}

// A callback asks its own peer, and gets the reply at once, however many messages wait for that callback.
func TestRequest_InCallbacks(t *testing.T) {
	byEach(t, func(t *testing.T, protocol string) {
		var w *world
		ask := func(c wspulse.Connection, name string) {
			start := time.Now()
			reply, err := c.Request(t.Context(), question(name))
			w.events.add("%s:%s:%v", name, outcome(reply, err), time.Since(start))
		}
		w = newWorld(t, wspulse.WithResumeWindow(time.Minute),
			wspulse.WithOnConnect(func(c wspulse.Connection) { ask(c, "connect") }),
			wspulse.WithOnMessage(func(c wspulse.Connection, f wspulse.Frame) { ask(c, f.Event) }),
			wspulse.WithOnTransportDrop(func(c wspulse.Connection, _ error) { ask(c, "drop") }),
			wspulse.WithOnTransportRestore(func(c wspulse.Connection) { ask(c, "restore") }))
		alice := w.respondent(protocol)
		alice.answer(ack("connect", "1"))
		alice.answer(ev("x"), ev("y"), ev("z"), ack("x", "2"))
		w.expect("connect:ack(1):0s x:ack(2):0s")
		alice.answer(ack("y", "3"))
		alice.answer(ack("z", "4"))
		w.expect("y:ack(3):0s z:ack(4):0s")
		alice.drop()
		time.Sleep(time.Second)
		alice.back()
		alice.answer(ack("drop", "5"))
		alice.answer(ack("restore", "6"))
		w.expect("drop:ack(5):1s restore:ack(6):0s")
	})
}

// Another goroutine asks while OnMessage blocks. What replies by wspulse.v1 is accepted at once, and processed in its
// turn.
func TestRequest_WhileOnMessageBlocks(t *testing.T) {
	byEach(t, func(t *testing.T, protocol string) {
		release := make(chan struct{})
		var w *world
		w = newWorld(t, wspulse.WithResumeWindow(time.Minute),
			wspulse.WithOnMessage(func(_ wspulse.Connection, f wspulse.Frame) { <-release; w.events.add("%s", f.Event) }))
		alice := w.respondent(protocol)
		c := w.connection("r", "alice")
		start := time.Now()
		alice.answer(ev("x"))
		w.asks(c, "1")
		alice.answer(ev("y"), ack("1", "1"), ev("z"))
		w.expect("alice:connect 1:ack(1)")
		w.took(start, 0)
		close(release)
		w.expect("x y z")
	})
}

func TestRequest_RepliesAreProcessedInTheirTurn(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		release := make(chan struct{})
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute),
			wspulse.WithOnMessage(func(wspulse.Connection, wspulse.Frame) { <-release }))
		alice := w.speak("r", "alice")
		alice.answers(ev("x"))
		w.asks(w.connection("r", "alice"), "1")
		alice.answers(ack("1", "1"))
		alice.Send("y")
		w.expect("alice:connect 1:ack(1)")
		time.Sleep(5 * time.Second)
		alice.expect("hello:new ask")
		alice.drop()
		alice.back().expect("hello:resumed")
		if recv := alice.Hello().Recv; recv != 3 {
			t.Errorf("%d accepted", recv)
		}
		close(release)
		time.Sleep(5 * time.Second)
		alice.expect("ack:3")
	})
}

// A request waits for its reply through drops. It may be made while there is nobody to send it to.
func TestRequest_SurvivesDrops(t *testing.T) {
	byEach(t, func(t *testing.T, protocol string) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute))
		alice := w.respondent(protocol)
		c := w.connection("r", "alice")
		w.asks(c, "1")
		alice.drop()
		w.asks(c, "2")
		time.Sleep(30 * time.Second)
		alice.back()
		alice.answer(ack("2", "2"), ack("1", "1"))
		alice.drop()
		w.expectInAnyOrder("alice:connect alice:drop(1006) alice:restore 2:ack(2) 1:ack(1) alice:drop(1006)")
		w.expectNoWaiter(c)
	})
}

// OnMessage asks, and the peer drops: the reply comes by another WebSocket while OnMessage still waits.
func TestRequest_InOnMessageThroughADrop(t *testing.T) {
	byEach(t, func(t *testing.T, protocol string) {
		var w *world
		w = newWorld(t, wspulse.WithResumeWindow(time.Minute), wspulse.WithOnMessage(
			func(c wspulse.Connection, f wspulse.Frame) {
				w.events.add("%s:%s", f.Event, outcome(c.Request(t.Context(), question(f.Event))))
			}))
		alice := w.respondent(protocol)
		alice.answer(ev("x"))
		alice.drop()
		alice.back()
		start := time.Now()
		alice.answer(ev("y"), ack("x", "1"))
		alice.answer(ack("y", "2"))
		w.took(start, 0)
		w.expect("alice:connect x:ack(1) alice:drop(1006) alice:restore y:ack(2)")
	})
}

// A reply that the old transport of a session brings after another one has taken over comes again by that.
func TestRequest_Takeover(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &requestLog{}
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute), wspulse.WithMetrics(m))
		old := w.speak("r", "alice")
		c := w.connection("r", "alice")
		w.asks(c, "1")
		w.asks(c, "2")
		old.Client().Conn.Upstream(wstest.Faults{BlackHole: true})
		old.answers(ack("1", "1"))
		alice := w.speaker("r", "alice")
		alice.SetClaim(old.Claim())
		alice.back()
		old.Client().Conn.Upstream(wstest.Faults{})
		w.expect("alice:connect alice:drop(replaced) alice:restore")
		alice.answers(ack("1", "10"), ack("2", "20"))
		w.expectInAnyOrder("1:ack(10) 2:ack(20)")
		m.expect(t, "reply(r,alice,0s) reply(r,alice,0s)")
		w.expectNoWaiter(c)
	})
}

// When the session ends, so do its requests, and those that come later.
func TestRequest_SessionEnds(t *testing.T) {
	for name, test := range map[string]struct {
		end   func(w *world, alice *respondent)
		after time.Duration
	}{
		"Connection.Close": {end: func(w *world, _ *respondent) { w.connection("r", "alice").Close() }},
		"Server.Kick":      {end: func(w *world, _ *respondent) { w.server.Kick("alice") }},
		"Server.Close":     {end: func(w *world, _ *respondent) { w.server.Close() }},
		"duplicate": {end: func(w *world, _ *respondent) {
			if p, _, err := w.upgrade("?room=r&id=alice", nil); err == nil {
				p.StartReading()
			}
		}},
		"window passes": {func(_ *world, alice *respondent) { alice.drop() }, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			byEach(t, func(t *testing.T, protocol string) {
				m := &requestLog{}
				w := newWorld(t, wspulse.WithResumeWindow(time.Minute), wspulse.WithMetrics(m))
				alice := w.respondent(protocol)
				c := w.connection("r", "alice")
				for i := range 3 {
					w.asks(c, fmt.Sprint(i))
				}
				test.end(w, alice)
				time.Sleep(2 * time.Minute)
				m.expect(t, strings.TrimSpace(strings.Repeat(fmt.Sprintf("closed(r,alice,%v) ", test.after), 3)))
				w.expectNoWaiter(c)
				if _, err := c.Request(t.Context(), question("4")); err != wspulse.ErrConnectionClosed {
					t.Error(err)
				}
				w.expectNoWaiter(c)
			})
		})
	}
}
