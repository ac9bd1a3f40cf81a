package wstest_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/wstest"
)

// answer replies to "add" with the same payload, to "divide" with a failure, and to anything else not at all.
func answer(reply, failure string) wspulse.ServerOption {
	return wspulse.WithOnMessage(func(c wspulse.Connection, f wspulse.Frame) {
		_ = c.Send(ev("news"))
		switch f.Event {
		case "add":
			_ = c.Send(wspulse.Frame{ID: f.ID, Event: reply, Payload: f.Payload})
		case "divide":
			_ = c.Send(wspulse.Frame{ID: f.ID, Event: failure, Payload: []byte(`{"code":"zero","message":"by zero"}`)})
		}
	})
}

func TestRequest(t *testing.T) {
	inAndOutOfABubble(t, func(t *testing.T) {
		server := wstest.NewServer(t, wspulse.NewServer(fromQuery, answer("ack", "error")))
		for _, options := range [][]wstest.DialOption{nil, {wstest.WithIdle()}} {
			alice := server.Dial("/", options...)
			sum, product := alice.Request("add", []int{1, 2}), alice.Request("divide", nil)
			third := alice.Request("add", nil)
			if message := alice.ExpectFailure(product, "zero"); message != "by zero" {
				t.Errorf("the text is %q", message)
			}
			var numbers []int
			if err := wspulse.Bind(alice.ExpectReply(sum), &numbers); err != nil || len(numbers) != 2 {
				t.Errorf("%v, %v", numbers, err)
			}
			alice.ExpectReply(third)
			alice.Expect("news", "news", "news")
			if sum.ID == third.ID || sum.ID == "" {
				t.Errorf("%q and %q", sum.ID, third.ID)
			}
		}
	})
}

func TestRequest_FailsTheTest(t *testing.T) {
	for name, tc := range map[string]struct {
		what func(c *wstest.Client)
		text string
		at   time.Duration
	}{
		"a failure":           {func(c *wstest.Client) { c.ExpectReply(c.Request("divide", 1)) }, `"divide" has failed: zero: by zero`, 0},
		"no failure":          {func(c *wstest.Client) { c.ExpectFailure(c.Request("add", 1), "x") }, `has the reply "ack" 1, want the failure "x"`, 0},
		"another failure":     {func(c *wstest.Client) { c.ExpectFailure(c.Request("divide", 1), "x") }, `has failed with "zero", want "x": by zero`, 0},
		"silence":             {func(c *wstest.Client) { c.ExpectReply(c.Request("x", 1)) }, `expects the reply to "x": `, 10 * time.Second},
		"no JSON":             {func(c *wstest.Client) { c.Request("x", func() {}) }, `client requests "x": `, 0},
		"a reply, no JSON":    {func(c *wstest.Client) { c.Reply(wspulse.Frame{ID: "1"}, func() {}) }, `client replies to "": `, 0},
		"a reply to nobody":   {func(c *wstest.Client) { c.Reply(ev("x"), 1) }, `client replies to "x", which has no ID`, 0},
		"a failure of nobody": {func(c *wstest.Client) { c.Fail(ev("x"), "no", "") }, `client replies to "x", which has no ID`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := &talk{v: &verdict{TB: t}}
				k.server = wstest.NewServer(k.v, wspulse.NewServer(fromQuery, answer("ack", "error")))
				k.client, k.start = k.server.Dial("/"), time.Now()
				k.fails(t, func() { tc.what(k.client) }, tc.text, tc.at)
			})
		})
	}
}

// The server asks, and the client replies.
func TestReply(t *testing.T) {
	for name, events := range map[string][]string{"by default": {"ack", "error"}, "with other events": {"yes", "no"}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sessions := wspulse.NewServer(fromQuery, answer(events[0], events[1]), wspulse.WithReplyEvents(events[0], events[1]))
				server := wstest.NewServer(t, sessions)
				alice := server.Dial("/?id=alice", wstest.WithReplyEvents(events[0], events[1]))
				alice.ExpectReply(alice.Request("add", 1))
				alice.ExpectFailure(alice.Request("divide", 1), "zero")
				alice.Received()
				c, err := sessions.GetConnection("alice")
				if err != nil {
					t.Fatal(err)
				}
				replies, errs := make(chan wspulse.Frame, 1), make(chan error, 1)
				ask := func() {
					f, err := c.Request(t.Context(), ev("age"))
					replies <- f
					errs <- err
				}
				go ask()
				alice.Reply(alice.Receive(), 7)
				if f, err := <-replies, <-errs; string(f.Payload) != "7" || err != nil {
					t.Errorf("%s, %v", f.Payload, err)
				}
				go ask()
				alice.Fail(alice.Receive(), "rude", "one does not ask")
				var failed *wspulse.ReplyError
				if _, err := <-replies, <-errs; !errors.As(err, &failed) || failed.Code != "rude" {
					t.Errorf("%v", err)
				}
			})
		})
	}
}

func TestWithReplyEvents_Panics(t *testing.T) {
	for _, events := range [][2]string{{"", "error"}, {"ack", ""}, {"ack", "ack"}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q are taken", events)
				}
			}()
			wstest.WithReplyEvents(events[0], events[1])
		}()
	}
}
