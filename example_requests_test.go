package wspulse_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/client"
)

// The server asks a client for its position, and waits for the answer.
func ExampleConnection_Request() {
	server := wspulse.NewServer(fromQuery, wspulse.WithCheckOrigin(func(*http.Request) bool { return true }))
	defer server.Close()
	stop := dialPlayer(server)
	defer stop()

	player := server.GetConnections("arena")[0]
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	reply, err := player.Request(ctx, wspulse.Frame{Event: "position"})
	if err != nil {
		fmt.Println(err)
		return
	}
	var position struct{ X, Y int }
	if err := wspulse.Bind(reply, &position); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(position.X, position.Y)
	// Output: 3 4
}

// What the peer replies with says whether it helps to try again.
func ExampleReplyError() {
	server := wspulse.NewServer(fromQuery, wspulse.WithCheckOrigin(func(*http.Request) bool { return true }))
	defer server.Close()
	stop := dialPlayer(server)
	defer stop()

	_, err := server.GetConnections("arena")[0].Request(context.Background(), wspulse.Frame{Event: "jump"})
	var refused *wspulse.ReplyError
	if errors.As(err, &refused) {
		fmt.Println(refused.Code)
		fmt.Println(err)
	}
	// Output:
	// tired
	// wspulse: the peer has replied with an error: tired: no more jumps today
}

func ExampleNewFrame() {
	f, err := wspulse.NewFrame("position", map[string]int{"x": 3, "y": 4})
	fmt.Println(f.Event, string(f.Payload), err)
	// Output: position {"x":3,"y":4} <nil>
}

func ExampleBind() {
	var position struct{ X, Y int }
	err := wspulse.Bind(wspulse.Frame{Event: "position", Payload: []byte(`{"x":3,"y":4}`)}, &position)
	fmt.Println(position, err)
	err = wspulse.Bind(wspulse.Frame{Event: "position", Payload: []byte(`{"x":`)}, &position)
	fmt.Println(err)
	// Output:
	// {3 4} <nil>
	// wspulse: payload of "position": unexpected end of JSON input
}

// A requestTimes adds up how long requests have waited for their replies.
type requestTimes struct {
	wspulse.NoopCollector
	replied, failed int
}

func (m *requestTimes) RequestDone(_, _, result string, _ time.Duration) {
	if result == "reply" {
		m.replied++
	} else {
		m.failed++
	}
}

func ExampleRequestCollector() {
	var times requestTimes
	server := wspulse.NewServer(fromQuery, wspulse.WithMetrics(&times), wspulse.WithReplyEvents("ok", "failed"),
		wspulse.WithCheckOrigin(func(*http.Request) bool { return true }))
	defer server.Close()
	stop := dialPlayer(server, client.WithReplyEvents("ok", "failed"))
	defer stop()

	player := server.GetConnections("arena")[0]
	_, _ = player.Request(context.Background(), wspulse.Frame{Event: "position"})
	_, _ = player.Request(context.Background(), wspulse.Frame{Event: "jump"})
	fmt.Println(times.replied, times.failed)
	// Output: 1 1
}

// dialPlayer connects a client that knows where it is, and is too tired to jump.
func dialPlayer(server wspulse.Server, options ...client.Option) (stop func()) {
	web := httptest.NewServer(server)
	url := "ws" + strings.TrimPrefix(web.URL, "http") + "/?room=arena&id=ann"
	c, err := client.Dial(context.Background(), url, append(options,
		client.WithRequestHandler("position", func(client.Client, client.Frame) (any, error) {
			return map[string]int{"x": 3, "y": 4}, nil
		}),
		client.WithRequestHandler("jump", func(client.Client, client.Frame) (any, error) {
			return nil, &client.ReplyError{Code: "tired", Message: "no more jumps today"}
		}))...)
	if err != nil {
		panic(err)
	}
	return func() {
		_ = c.Close()
		web.Close()
	}
}
