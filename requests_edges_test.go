package wspulse_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/wstest"
)

// Replies that nobody waits for are counted, and OnMessage gets none of them: to an ID that nobody asked for, for the
// second time, too late, and from another connection.
func TestRequest_IgnoresOtherReplies(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &requestLog{}
		w := newWorld(t, wspulse.WithMetrics(m))
		alice, bob := w.dial("r", "alice"), w.dial("r", "bob")
		bob.Send(ack("1", "1"), ev("ack"), wspulse.Frame{ID: "1", Event: "error"})
		w.expect("alice:connect bob:connect bob:message(ack) bob:message(ack) bob:message(error)") // as ever
		c := w.connection("r", "alice")
		w.asks(c, "1")
		bob.Send(ack("1", "1"), ev("ack"), ev("error"), wspulse.Frame{ID: "1", Event: "tell"})
		w.expect("bob:message(ack) bob:message(error) bob:message(tell)")
		m.expect(t, "ignored(r,bob)")
		alice.Send(ack("2", "0"), ack("1", "1"), ack("1", "2"), wspulse.Frame{ID: "1", Event: "error"})
		w.expect("1:ack(1)")
		if got := sorted(m.take()); got != "ignored(r,alice) ignored(r,alice) ignored(r,alice) reply(r,alice,0s)" {
			t.Errorf("hooks: got %q", got)
		}
	})
}

// Without OnMessage, too.
func TestRequest_WithoutOnMessage(t *testing.T) {
	byEach(t, func(t *testing.T, protocol string) {
		w := newWorld(t, wspulse.WithOnMessage(nil), wspulse.WithResumeWindow(time.Minute))
		alice := w.respondent(protocol)
		alice.answer(ev("x"))
		w.asks(w.connection("r", "alice"), "1")
		alice.answer(ev("y"), ack("1", "1"), ev("z"))
		alice.drop()
		alice.back()
		w.expect("alice:connect 1:ack(1) alice:drop(1006) alice:restore")
	})
}

func TestWithReplyEvents(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithReplyEvents("ok", "nok"))
		alice := w.dial("r", "alice")
		c := w.connection("r", "alice")
		w.asks(c, "1")
		w.asks(c, "2")
		alice.Send(ack("1", "0"), wspulse.Frame{ID: "1", Event: "ok"}, wspulse.Frame{ID: "2", Event: "nok"})
		w.expectInAnyOrder("alice:connect alice:message(ack) 1:ok() 2:nok(,)")
	})
	for _, events := range [][2]string{{"", "b"}, {"a", ""}, {"a", "a"}} {
		func() {
			defer func() {
				if v := recover(); !strings.HasPrefix(fmt.Sprint(v), "wspulse: WithReplyEvents: ") {
					t.Error(v)
				}
			}()
			wspulse.WithReplyEvents(events[0], events[1])
		}()
	}
}

// An ID is made where there is none, and no two of a server are the same. One that waits can't be used again.
func TestRequest_IDs(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		peers := []*peer{w.dial("r", "alice"), w.dial("r", "bob")}
		for _, id := range []string{"alice", "bob"} {
			for range 50 {
				w.asks(w.connection("r", id), "")
			}
		}
		var ids []string
		for _, p := range peers {
			for _, f := range p.Received() {
				ids = append(ids, f.ID)
				if len(f.ID) < 1 || len(f.ID) > 9 {
					t.Errorf("ID %q", f.ID)
				}
			}
		}
		slices.Sort(ids)
		if n := len(slices.Compact(ids)); n != 100 {
			t.Errorf("%d IDs", n)
		}
		w.asks(w.connection("r", "alice"), "mine")
		w.events.take()
		w.asks(w.connection("r", "alice"), "mine")
		w.expect(`mine:wspulse: a request with the ID "mine" is under way`)
		w.asks(w.connection("r", "bob"), "mine")
		peers[0].Send(ack("mine", "1"))
		w.expect("mine:ack(1)")
	})
}

func TestRequest_NotSent(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &requestLog{}
		w := newWorld(t, wspulse.WithSendBufferSize(1), wspulse.WithMetrics(m))
		alice := w.dialStalled("r", "alice")
		c := w.connection("r", "alice")
		w.send("alice", "queued")
		w.asks(c, "1")
		bad := wspulse.Frame{ID: "2", Payload: []byte("{")}
		if _, err := c.Request(t.Context(), bad); err == nil || !strings.Contains(err.Error(), "not valid JSON") {
			t.Error(err)
		}
		w.expect("alice:connect 1:full")
		w.expectNoWaiter(c)
		m.expect(t, "unsent(r,alice,0s) unsent(r,alice,0s)")
		alice.StartReading()
		alice.expect("plug queued")
	})
}

// A binaryCodec carries payloads that are no JSON.
type binaryCodec struct{}

func (binaryCodec) FrameType() int { return wspulse.BinaryMessage }
func (binaryCodec) Encode(f wspulse.Frame) ([]byte, error) {
	return []byte(f.ID + " " + f.Event + " " + string(f.Payload)), nil
}
func (binaryCodec) Decode(data []byte) (f wspulse.Frame, err error) {
	words := strings.SplitN(string(data), " ", 3)
	if len(words) < 3 {
		return f, errors.New("too short")
	}
	return wspulse.Frame{ID: words[0], Event: words[1], Payload: []byte(words[2])}, nil
}

func TestRequest_BinaryCodec(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithCodec(binaryCodec{}), wspulse.WithResumeWindow(time.Minute))
		plain, _, err := w.upgrade("?room=r&id=bob", nil, wstest.WithCodec(binaryCodec{}))
		w.must(err)
		plain.StartReading()
		alice := w.speak("r", "alice", wstest.WithCodec(binaryCodec{}))
		for _, id := range []string{"alice", "bob"} {
			w.asks(w.connection("r", id), id)
		}
		alice.SendMessage(wspulse.BinaryMessage, []byte("alice ack \xff"))
		alice.SendMessage(wspulse.BinaryMessage, []byte("bad"))
		plain.Send(wspulse.Frame{ID: "bob", Event: "error", Payload: []byte("\xfe")})
		w.expectInAnyOrder("bob:connect alice:connect alice:ack(\xff) bob:error(,\xfe)")
	})
}

// Many goroutines ask many peers at once; each gets the reply to what it asked.
func TestRequest_Concurrent(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithSendBufferSize(4096))
		var askers sync.WaitGroup
		for i := range 10 {
			id := fmt.Sprint(i)
			p := w.dialIdle("r", id)
			go func() { // in another order than they came
				var asked []wspulse.Frame
				for {
					_, data, err := p.WebSocket.ReadMessage()
					if err != nil {
						return
					}
					f, _ := wspulse.JSONCodec.Decode(data)
					if asked = append(asked, f); len(asked) == 10 {
						for _, f := range slices.Backward(asked) {
							data, _ = wspulse.JSONCodec.Encode(ack(f.ID, string(f.Payload)))
							p.WebSocket.WriteMessage(websocket.TextMessage, data)
						}
						asked = nil
					}
				}
			}()
		}
		for i := range 1000 {
			askers.Go(func() {
				payload := fmt.Sprint(i)
				reply, err := w.connection("r", fmt.Sprint(i%10)).Request(t.Context(),
					wspulse.Frame{Event: "ask", Payload: []byte(payload)})
				if err != nil || string(reply.Payload) != payload {
					t.Errorf("%s: %s, %v", payload, reply.Payload, err)
				}
			})
		}
		askers.Wait()
	})
}
