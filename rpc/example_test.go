package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/wspulse/core/router"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/client"
	"github.com/wspulse/server/rpc"
)

// A Sum is what a peer wants to have added.
type Sum struct{ A, B int }

// Validate keeps what it returns an error for from the handler.
func (s Sum) Validate() error {
	if s.A < 0 || s.B < 0 {
		return errors.New("a and b must not be negative")
	}
	return nil
}

func ExampleHandle() {
	r := router.New()
	r.Use(router.Recovery())
	r.On("add", rpc.Handle(func(_ *router.Context, in Sum) (int, error) {
		if in.A > 100 {
			return 0, &rpc.Error{Code: "tired", Message: "too many fingers"}
		}
		return in.A + in.B, nil
	}))
	c, stop := dial(r)
	defer stop()

	for _, sum := range []Sum{{1, 2}, {-1, 2}, {101, 2}} {
		question, _ := client.NewFrame("add", sum)
		reply, err := c.Request(context.Background(), question)
		fmt.Println(string(reply.Payload), err)
	}
	// Output:
	// 3 <nil>
	// {"code":"invalid","message":"a and b must not be negative"} wspulse: client: the reply is an error: invalid: a and b must not be negative
	// {"code":"tired","message":"too many fingers"} wspulse: client: the reply is an error: tired: too many fingers
}

func ExampleOnError() {
	r := router.New()
	report := rpc.OnError(func(ctx *router.Context, err error) { fmt.Println(ctx.Frame.Event, "failed:", err) })
	r.On("add", rpc.Handle(func(*router.Context, Sum) (int, error) {
		return 0, errors.New("no connection to the database")
	}, report))
	c, stop := dial(r)
	defer stop()

	_, err := c.Request(context.Background(), client.Frame{Event: "add"})
	fmt.Println(err)
	// Output:
	// add failed: no connection to the database
	// wspulse: client: the reply is an error: internal: internal error
}

// Middleware that wants to know of errors finds them in the context.
func ExampleErrorKey() {
	r := router.New()
	r.Use(func(ctx *router.Context) {
		ctx.Next()
		if err, ok := ctx.Get(rpc.ErrorKey); ok {
			fmt.Println(ctx.Frame.Event, "failed:", err)
		}
	})
	r.On("add", rpc.Handle(func(_ *router.Context, in Sum) (int, error) { return in.A + in.B, nil }))
	c, stop := dial(r)
	defer stop()

	_, _ = c.Request(context.Background(), client.Frame{Event: "add", Payload: []byte(`{"a":-1}`)})
	// Output: add failed: wspulse: rpc: invalid: a and b must not be negative
}

// A handler that replies by itself: to one request when another one has come, say.
func ExampleReply() {
	r := router.New()
	r.On("add", func(ctx *router.Context) {
		var in Sum
		if err := wspulse.Bind(ctx.Frame, &in); err != nil {
			_ = rpc.Fail(ctx.Connection, ctx.Frame, rpc.CodeInvalid, "a and b must be numbers")
			return
		}
		_ = rpc.Reply(ctx.Connection, ctx.Frame, in.A+in.B)
	})
	c, stop := dial(r)
	defer stop()

	for _, payload := range []string{`{"a":1,"b":2}`, `{"a":"one"}`} {
		reply, err := c.Request(context.Background(), client.Frame{Event: "add", Payload: []byte(payload)})
		fmt.Println(string(reply.Payload), err != nil)
	}
	// Output:
	// 3 false
	// {"code":"invalid","message":"a and b must be numbers"} true
}

// Clients join rooms that are theirs.
func ExampleRooms() {
	r := router.New()
	rpc.Rooms(r, func(c router.Connection, roomID string) error {
		if !strings.HasPrefix(roomID, c.ID()+".") {
			return errors.New("somebody else's")
		}
		return nil
	})
	c, stop := dial(r)
	defer stop()

	fmt.Println(c.Join(context.Background(), "bob.photos"))
	// Output: wspulse: client: the reply is an error: forbidden: that room is not open to you
}

// dial connects a client, alice, to a server that dispatches to r.
func dial(r *router.Router) (c client.Client, stop func()) {
	server := wspulse.NewServer(func(*http.Request) (roomID, connectionID string, err error) {
		return "lobby", "alice", nil
	},
		wspulse.WithCheckOrigin(func(*http.Request) bool { return true }),
		wspulse.WithOnMessage(func(c wspulse.Connection, f wspulse.Frame) { r.Dispatch(c, f) }))
	web := httptest.NewServer(server)
	c, err := client.Dial(context.Background(), "ws"+strings.TrimPrefix(web.URL, "http"))
	if err != nil {
		panic(err)
	}
	return c, func() {
		_ = c.Close()
		server.Close()
		web.Close()
	}
}
