// Requests asks and answers in both directions: the peer's requests go to typed handlers, and a handler asks the peer
// back before it answers. Run it, and talk to it from the console of a browser:
//
//	go run ./examples/requests
//
//	ws = new WebSocket("ws://127.0.0.1:8080/ws")
//	ws.onmessage = (message) => {
//		const f = JSON.parse(message.data)
//		console.log(f)
//		if (f.event === "confirm") ws.send(JSON.stringify({id: f.id, event: "ack", payload: confirm(f.payload)}))
//	}
//	ws.send(JSON.stringify({id: "1", event: "order", payload: {dish: "soup", count: 2}}))
//	ws.send(JSON.stringify({id: "2", event: "order", payload: {dish: "soup", count: 0}}))
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"go.uber.org/zap"

	"github.com/wspulse/core/router"
	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/rpc"
)

const patience = 30 * time.Second // with a guest who is to confirm

// An order is what a guest asks for.
type order struct {
	Dish  string `json:"dish"`
	Count int    `json:"count"`
}

// Validate implements what rpc.Handle looks for: what it returns, the guest reads.
func (o order) Validate() error {
	if o.Count < 1 || o.Count > 12 {
		return errors.New("count must be 1 to 12")
	}
	return nil
}

// A bill is the answer.
type bill struct {
	Cents int `json:"cents"`
}

var cents = map[string]int{"soup": 450, "salad": 520}

// take takes an order once the guest has confirmed what it costs. The guest's other messages wait meanwhile.
func take(ctx *router.Context, o order) (bill, error) {
	price, ok := cents[o.Dish]
	if !ok {
		return bill{}, &rpc.Error{Code: "unknown", Message: fmt.Sprintf("there is no %.20q", o.Dish)}
	}
	total := bill{price * o.Count}
	question, err := wspulse.NewFrame("confirm", fmt.Sprintf("%d %s: %d cents?", o.Count, o.Dish, total.Cents))
	if err != nil {
		return bill{}, err
	}
	soon, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	reply, err := ctx.Connection.(wspulse.Connection).Request(soon, question)
	if err != nil {
		return bill{}, fmt.Errorf("order not confirmed: %w", err)
	}
	var yes bool
	if err := wspulse.Bind(reply, &yes); err != nil || !yes {
		return bill{}, &rpc.Error{Code: "cancelled", Message: "you have not confirmed"}
	}
	return total, nil
}

func newServer(logger *zap.Logger) wspulse.Server {
	r := router.New(router.WithFallback(func(c *router.Context) {
		_ = rpc.Fail(c.Connection, c.Frame, "unknown", "there is no such event")
	}))
	r.Use(router.Recovery())
	r.On("order", rpc.Handle(take, rpc.OnError(func(c *router.Context, err error) {
		logger.Warn("request failed", zap.String("guest", c.Connection.ID()), zap.Error(err))
	})))
	return wspulse.NewServer(
		func(*http.Request) (roomID, connectionID string, err error) { return "guests", "", nil }, // a random ID each
		wspulse.WithLogger(logger),
		wspulse.WithOnMessage(func(c wspulse.Connection, f wspulse.Frame) { r.Dispatch(c, f) }),
	)
}

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "address to listen on; port 0 takes a free one")
	flag.Parse()
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	server := newServer(zap.Must(zap.NewDevelopment(zap.AddStacktrace(zap.FatalLevel))))
	mux := http.NewServeMux()
	mux.Handle("GET /ws", server)
	web := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	interrupt, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	context.AfterFunc(interrupt, func() {
		server.Close()
		_ = web.Close()
	})
	log.Printf("listening on ws://%v/ws", listener.Addr())
	if err := web.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
}
