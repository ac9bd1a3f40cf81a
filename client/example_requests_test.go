package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/client"
)

// A client asks, and waits for the answer for five seconds at most.
func ExampleClient_Request() {
	c, _, stop := atTheLibrary()
	defer stop()

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	question, err := client.NewFrame("borrow", "Emma")
	if err != nil {
		log.Fatal(err)
	}
	reply, err := c.Request(ctx, question)
	var (
		lost    *client.SessionLostError
		refused *client.ReplyError
	)
	switch {
	case errors.As(err, &refused):
		fmt.Println("the library says no:", refused.Message)
		return
	case errors.As(err, &lost) && lost.Unprocessed:
		fmt.Println("the library has not heard of it: ask again")
		return
	case err != nil:
		log.Fatal(err)
	}
	var loan struct{ Days int }
	if err := client.Bind(reply, &loan); err != nil {
		log.Fatal(err)
	}
	fmt.Println(loan.Days)
	// Output: 28
}

// The server asks, and the client answers.
func ExampleWithRequestHandler() {
	_, reader, stop := atTheLibrary(client.WithRequestHandler("return", func(_ client.Client, f client.Frame) (any, error) {
		var title string
		if err := client.Bind(f, &title); err != nil {
			return nil, &client.ReplyError{Code: "invalid", Message: "a title, please"}
		}
		return map[string]string{title: "tomorrow"}, nil
	}))
	defer stop()

	reply, err := reader.Request(context.Background(), wspulse.Frame{Event: "return", Payload: []byte(`"Emma"`)})
	fmt.Println(string(reply.Payload), err)
	_, err = reader.Request(context.Background(), wspulse.Frame{Event: "return", Payload: []byte(`7`)})
	fmt.Println(err)
	// Output:
	// {"Emma":"tomorrow"} <nil>
	// wspulse: the peer has replied with an error: invalid: a title, please
}

func ExampleClient_Join() {
	c, _, stop := atTheLibrary()
	defer stop()

	fmt.Println(c.Join(context.Background(), "reading room"))
	fmt.Println(c.Leave(context.Background(), "reading room"))
	// Output:
	// <nil>
	// <nil>
}

// atTheLibrary is a client, and what it is for a server that replies to all.
func atTheLibrary(options ...client.Option) (c client.Client, reader wspulse.Connection, stop func()) {
	server := wspulse.NewServer(func(*http.Request) (roomID, connectionID string, err error) {
		return "library", "alice", nil
	},
		wspulse.WithCheckOrigin(func(*http.Request) bool { return true }),
		wspulse.WithOnMessage(func(c wspulse.Connection, f wspulse.Frame) {
			_ = c.Send(wspulse.Frame{ID: f.ID, Event: "ack", Payload: []byte(`{"days":28}`)})
		}))
	web := httptest.NewServer(server)
	c, err := client.Dial(context.Background(), "ws"+strings.TrimPrefix(web.URL, "http"), options...)
	if err != nil {
		log.Fatal(err)
	}
	return c, server.GetConnections("library")[0], func() {
		_ = c.Close()
		server.Close()
		web.Close()
	}
}
