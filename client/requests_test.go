package client_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/client"
)

// inReplyingWorld is inWorld with a server that replies to "echo" and "fail".
func inReplyingWorld(t *testing.T, story func(t *testing.T, w *world), options ...wspulse.ServerOption) {
	t.Helper()
	var w *world
	reply := wspulse.WithOnMessage(func(c wspulse.Connection, f wspulse.Frame) {
		w.events.add("%s", f.Event)
		switch f.Event {
		case "echo":
			_ = c.Send(wspulse.Frame{ID: f.ID, Event: "ack", Payload: f.Payload})
		case "fail":
			_ = c.Send(wspulse.Frame{ID: f.ID, Event: "error", Payload: []byte(`{"code":"no","message":"never"}`)})
		}
	})
	inWorld(t, func(t *testing.T, made *world) { w = made; story(t, made) },
		append([]wspulse.ServerOption{reply}, options...)...)
}

// outcome says in a word how a Request has ended.
func outcome(f client.Frame, err error) string {
	var (
		failed *client.ReplyError
		lost   *client.SessionLostError
	)
	switch {
	case err == nil:
		return fmt.Sprintf("%s(%s)", f.Event, f.Payload)
	case errors.As(err, &failed):
		return fmt.Sprintf("%s(%s,%s)", f.Event, failed.Code, failed.Message)
	case errors.As(err, &lost) && lost.Unprocessed:
		return fmt.Sprintf("lost(%s,unprocessed)", lost.Reason)
	case errors.As(err, &lost):
		return fmt.Sprintf("lost(%s)", lost.Reason)
	case errors.Is(err, client.ErrConnectionClosed):
		return "closed"
	}
	return err.Error()
}

// asks calls Request on a goroutine, and writes down how it ended.
func (u *user) asks(id, event string) {
	go func() {
		u.events.add("%s:%s", id, outcome(u.Request(context.Background(), client.Frame{ID: id, Event: event})))
	}()
	synctest.Wait()
}

// expectNoWaiter fails the test if a request waits.
func (u *user) expectNoWaiter() {
	u.t.Helper()
	synctest.Wait()
	if n := client.Waiting(u.Client); n != 0 {
		u.t.Errorf("%d requests wait", n)
	}
}

func TestRequest(t *testing.T) {
	for name, options := range map[string][]client.Option{"v1": nil, "plain": {client.WithoutProtocol()}} {
		t.Run(name, func(t *testing.T) {
			inReplyingWorld(t, func(t *testing.T, w *world) {
				u := w.dial(options...)
				f, err := client.NewFrame("echo", map[string]int{"n": 1})
				w.must(err)
				reply, err := u.Request(t.Context(), f)
				var got struct{ N int }
				if err != nil || reply.ID == "" || client.Bind(reply, &got) != nil || got.N != 1 {
					t.Errorf("%+v, %v", reply, err)
				}
				u.asks("1", "fail")
				u.expect("1:error(no,never)")
				start := time.Now()
				soon, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				for range 2 {
					if _, err := u.Request(soon, client.Frame{Event: "silence"}); err != context.DeadlineExceeded {
						t.Error(err)
					}
				}
				if took := time.Since(start); took != time.Second {
					t.Errorf("took %v", took)
				}
				u.asks("2", "silence")
				u.asks("2", "silence")
				u.expect(`2:wspulse: client: a request with the ID "2" is under way`)
				w.expect("echo fail silence silence")
				w.must(u.Close())
				u.expectInAnyOrder("2:closed disconnect(nil)")
				u.asks("3", "echo")
				u.expect("3:closed")
				u.expectNoWaiter()
			})
		})
	}
}

func TestRequest_NotSent(t *testing.T) {
	inReplyingWorld(t, func(t *testing.T, w *world) {
		u := w.dial(client.WithSendBuffer(1))
		if _, err := u.Request(t.Context(), client.Frame{Payload: []byte("{")}); err == nil {
			t.Error("a payload that is no JSON was sent")
		}
		u.drop(true)
		u.say("waits")
		if _, err := u.Request(t.Context(), client.Frame{Event: "echo"}); err != client.ErrSendBufferFull {
			t.Error(err)
		}
		u.expectNoWaiter()
	})
}

// In a callback, too, whatever else waits for that.
func TestRequest_InCallbacks(t *testing.T) {
	inReplyingWorld(t, func(t *testing.T, w *world) {
		var u *user
		u = w.dial(client.WithOnMessage(func(c client.Client, f client.Frame) {
			u.events.add("%s:%s", f.Event, outcome(c.Request(t.Context(), client.Frame{Event: "echo"})))
		}))
		w.send("a", "b", "c")
		u.expect("a:ack() b:ack() c:ack()")
	})
}

// Replies are OnMessage's until the first Request, and never after it.
func TestRequest_IgnoresOtherReplies(t *testing.T) {
	inReplyingWorld(t, func(t *testing.T, w *world) {
		u := w.dial()
		replies := func() {
			for _, event := range []string{"ack", "error"} {
				w.must(w.server.Send("alice", wspulse.Frame{ID: "1", Event: event}))
			}
		}
		replies()
		u.expect("ack error")
		u.asks("1", "silence")
		replies() // the second comes twice
		replies()
		w.send("ack", "error", "x")
		u.expectInAnyOrder("1:ack() ack error x")
		u.drop(false)
		time.Sleep(time.Minute)
		u.expect("drop restore") // and nothing comes again: all was counted
	})
}

// A request waits through drops, and so does one that is made while there is no connection.
func TestRequest_SurvivesDrops(t *testing.T) {
	inReplyingWorld(t, func(t *testing.T, w *world) {
		u := w.dial()
		u.asks("1", "silence")
		u.drop(true)
		u.asks("2", "echo")
		w.must(w.server.Send("alice", wspulse.Frame{ID: "1", Event: "ack"}))
		time.Sleep(10 * time.Second)
		u.heal()
		time.Sleep(30 * time.Second)
		got := strings.Fields(u.events.take())
		if len(got) != 4 || got[0] != "drop" || !strings.Contains(strings.Join(got, " "), "1:ack()") {
			t.Errorf("the client heard %q", got)
		}
		w.expect("silence echo")
		u.expectNoWaiter()
	})
}

// With its session, a request is lost that has been sent, and one that has not been is sent in the new session.
func TestRequest_SessionLost(t *testing.T) {
	release := make(chan struct{})
	var w *world
	inWorld(t, func(t *testing.T, made *world) {
		w = made
		release = make(chan struct{})
		u := w.dial()
		u.asks("1", "echo")
		time.Sleep(2 * time.Second) // it is acknowledged
		u.asks("2", "block")
		u.asks("3", "echo")
		u.drop(true)
		u.asks("4", "echo")
		time.Sleep(2 * time.Minute)
		u.expect("drop")
		u.heal()
		time.Sleep(time.Minute)
		close(release)
		got := u.events.take()
		for _, want := range []string{"lost:expired(block,echo)", "1:lost(expired) ", "2:lost(expired,unprocessed)",
			"3:lost(expired,unprocessed)", "4:ack()"} {
			if !strings.Contains(got+" ", want) {
				t.Errorf("the client heard %q, want %q", got, want)
			}
		}
		u.expectNoWaiter()
	}, wspulse.WithOnMessage(func(c wspulse.Connection, f wspulse.Frame) {
		switch {
		case f.Event == "block":
			<-release
		case f.ID == "4":
			_ = c.Send(wspulse.Frame{ID: f.ID, Event: "ack"})
		}
	}))
}

// A server that keeps no sessions loses what has been written with each drop.
func TestRequest_SessionNotKept(t *testing.T) {
	inReplyingWorld(t, func(t *testing.T, w *world) {
		u := w.dial()
		u.asks("1", "silence")
		u.drop(false)
		time.Sleep(time.Minute)
		if got := u.events.take(); !strings.Contains(got, "1:lost(dropped)") {
			t.Errorf("the client heard %q", got)
		}
	}, wspulse.WithResumeWindow(0))
}

func TestRequest_ClientEnds(t *testing.T) {
	inReplyingWorld(t, func(t *testing.T, w *world) {
		u := w.dial()
		u.asks("1", "silence")
		w.must(w.server.Kick("alice"))
		u.expectInAnyOrder("1:closed lost:kicked(silence) disconnect(kicked 1000)")
		u.expectNoWaiter()
	})
	inReplyingWorld(t, func(t *testing.T, w *world) {
		u := w.dial(client.WithReconnect(2, time.Second, time.Second))
		u.asks("1", "silence")
		u.drop(true)
		time.Sleep(time.Minute)
		if got := u.events.take(); !strings.Contains(got, "1:closed") {
			t.Errorf("the client heard %q", got)
		}
		u.expectNoWaiter()
	})
}

// Requests of the server are handled in order with its messages.
func TestWithRequestHandler(t *testing.T) {
	for name, options := range map[string][]client.Option{"v1": nil, "plain": {client.WithoutProtocol()}} {
		t.Run(name, func(t *testing.T) {
			inReplyingWorld(t, func(t *testing.T, w *world) {
				var u *user
				handle := func(c client.Client, f client.Frame) (any, error) {
					u.events.add("%s!", f.Payload)
					switch string(f.Payload) {
					case "1":
						time.Sleep(time.Second)
						return map[string]string{"id": c.ID()}, nil
					case "2":
						return nil, fmt.Errorf("wrapped: %w", &client.ReplyError{Code: "no", Message: "never"})
					case "3":
						return nil, errors.New("a secret")
					case "4":
						panic("mine")
					case "5":
						return make(chan int), nil
					}
					return nil, nil
				}
				u = w.dial(append(options,
					client.WithRequestHandler("ask", func(client.Client, client.Frame) (any, error) { panic("replaced") }),
					client.WithRequestHandler("ask", handle))...)
				alice := w.server.GetConnections("r")[0]
				for i := range 7 {
					go func() {
						time.Sleep(time.Duration(2*i) * time.Millisecond)
						f, err := alice.Request(t.Context(), wspulse.Frame{Event: "ask", Payload: fmt.Append(nil, i)})
						w.events.add("%d:%s", i, strings.ReplaceAll(fmt.Sprintf("%s(%s)", f.Event, f.Payload), " ", "_"))
						if (err != nil) != (i >= 2 && i < 6) {
							t.Error(err)
						}
					}()
				}
				time.Sleep(3 * time.Millisecond)
				w.send("message")
				w.must(w.server.Send("alice", wspulse.Frame{Event: "ask", Payload: []byte("0")})) // nobody waits
				time.Sleep(2 * time.Second)
				id := `{"id":"alice"}`
				if name == "plain" {
					id = `{"id":""}`
				}
				internal := `error({"code":"internal","message":"internal_error"})`
				want := "0:ack() 1:ack(" + id + `) 2:error({"code":"no","message":"never"}) 3:` + internal + " 4:" + internal +
					" 5:" + internal + " 6:ack()"
				if got := strings.Fields(w.events.take()); strings.Join(slices.Sorted(slices.Values(got)), " ") != want {
					t.Errorf("the server got %q, want %q", got, want)
				}
				u.expect("0! 1! message 0! 2! 3! 4! 5! 6!")
			})
		})
	}
}

func TestWithReplyEvents(t *testing.T) {
	inReplyingWorld(t, func(t *testing.T, w *world) {
		u := w.dial(client.WithReplyEvents("ok", "nok"),
			client.WithRequestHandler("ask", func(client.Client, client.Frame) (any, error) { return 1, nil }))
		go func() {
			f, err := w.server.GetConnections("r")[0].Request(t.Context(), wspulse.Frame{Event: "ask"})
			w.events.add("%s(%s) %v", f.Event, f.Payload, err)
		}()
		w.expect("ok(1) <nil>")
		u.asks("1", "silence")
		for _, event := range []string{"ack", "nok"} {
			w.must(w.server.Send("alice", wspulse.Frame{ID: "1", Event: event}))
		}
		u.expectInAnyOrder("ack 1:nok(,)")
	}, wspulse.WithReplyEvents("ok", "nok"))
}

// expectInAnyOrder is expect for what several goroutines say.
func (u *user) expectInAnyOrder(want string) {
	u.t.Helper()
	synctest.Wait()
	got, wanted := strings.Fields(u.events.take()), strings.Fields(want)
	slices.Sort(got)
	slices.Sort(wanted)
	if !slices.Equal(got, wanted) {
		u.t.Errorf("the client heard %q, want %q", got, wanted)
	}
}

func TestJoinAndLeave(t *testing.T) {
	var w *world
	inWorld(t, func(t *testing.T, made *world) {
		w = made
		u := w.dial()
		if err := u.Join(t.Context(), "chess"); err != nil {
			t.Error(err)
		}
		if err := u.Leave(t.Context(), "chess"); err != nil {
			t.Error(err)
		}
		var refused *client.ReplyError
		if err := u.Join(t.Context(), "private"); !errors.As(err, &refused) || refused.Code != "forbidden" {
			t.Error(err)
		}
		w.expect(`join{"room":"chess"} leave{"room":"chess"} join{"room":"private"}`)
	}, wspulse.WithOnMessage(func(c wspulse.Connection, f wspulse.Frame) {
		w.events.add("%s%s", f.Event, f.Payload)
		reply := wspulse.Frame{ID: f.ID, Event: "ack"}
		if strings.Contains(string(f.Payload), "private") {
			reply = wspulse.Frame{ID: f.ID, Event: "error", Payload: []byte(`{"code":"forbidden","message":"no"}`)}
		}
		_ = c.Send(reply)
	}))
}

func TestRequestOptions_Panic(t *testing.T) {
	nothing := func(client.Client, client.Frame) (any, error) { return nil, nil }
	for want, option := range map[string]func(){
		"wspulse: client: WithRequestHandler: event": func() { client.WithRequestHandler("", nothing) },
		"wspulse: client: WithRequestHandler: ":      func() { client.WithRequestHandler("ask", nil) },
		"wspulse: client: WithReplyEvents: ":         func() { client.WithReplyEvents("a", "a") },
		`wspulse: client: WithReplyEvents: ""`:       func() { client.WithReplyEvents("", "a") },
		`wspulse: client: WithReplyEvents: "a"`:      func() { client.WithReplyEvents("a", "") },
	} {
		func() {
			defer func() {
				if v := recover(); !strings.HasPrefix(fmt.Sprint(v), want) {
					t.Errorf("%v, want %q", v, want)
				}
			}()
			option()
		}()
	}
}

// A panickyCodec panics at a message "panic".
type panickyCodec struct{ client.Codec }

func (c panickyCodec) Decode(data []byte) (client.Frame, error) {
	if strings.Contains(string(data), "panic") {
		panic("mine")
	}
	return c.Codec.Decode(data)
}

// The goroutine that reads outlives what a codec does with a message, which counts as any other.
func TestReceive_CodecPanics(t *testing.T) {
	inReplyingWorld(t, func(t *testing.T, w *world) {
		u := w.dial(client.WithCodec(panickyCodec{wspulse.JSONCodec}))
		w.send("a", "panic", "b")
		u.expect("a b")
		u.drop(false)
		time.Sleep(time.Minute)
		u.expect("drop restore") // and nothing comes again
	})
}
