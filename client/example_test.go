package client_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/client"
)

// A client says hello, and waits until the server's application is through with that. Whatever becomes of the
// connection meanwhile, both messages come once.
func Example() {
	url, stop := greeter()
	defer stop()

	answers := make(chan string, 1)
	c, err := client.Dial(context.Background(), url,
		client.WithOnMessage(func(_ client.Client, f client.Frame) { answers <- f.Event }),
		client.WithOnTransportDrop(func(_ client.Client, err error) { log.Printf("connection lost: %v", err) }),
		client.WithOnGap(func(_ client.Client, n int) { log.Printf("%d messages are missing", n) }),
		client.WithOnSessionLost(func(_ client.Client, lost client.Lost) {
			log.Printf("session lost: %s; to be sent again or not: %v", lost.Reason, lost.Unprocessed)
		}))
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	if err := c.Send(client.Frame{Event: "hello"}); err != nil {
		log.Fatal(err)
	}
	if err := c.Drained(context.Background()); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-answers, c.Pending())
	// Output: hello, alice 0
}

// greeter is a server that answers each message with one.
func greeter() (url string, stop func()) {
	server := wspulse.NewServer(func(r *http.Request) (roomID, connectionID string, err error) {
		return "lobby", r.URL.Query().Get("id"), nil
	},
		wspulse.WithResumeWindow(time.Minute),
		wspulse.WithCheckOrigin(func(*http.Request) bool { return true }),
		wspulse.WithOnMessage(func(c wspulse.Connection, f wspulse.Frame) {
			_ = c.Send(wspulse.Frame{Event: f.Event + ", " + c.ID()})
		}))
	web := httptest.NewServer(server)
	return "ws" + strings.TrimPrefix(web.URL, "http") + "/?id=alice", func() {
		server.Close()
		web.Close()
	}
}
