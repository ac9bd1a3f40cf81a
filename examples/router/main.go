// Router answers frames by their event: each event has its handlers, with middleware around them and a fallback for the
// rest. Run it, and talk to it from the console of a browser:
//
//	go run ./examples/router
//
//	ws = new WebSocket("ws://127.0.0.1:8080/ws")
//	ws.onmessage = (message) => console.log(message.data)
//	ws.send(JSON.stringify({id: "1", event: "echo", payload: "hello"}))
//	ws.send(JSON.stringify({id: "2", event: "shout", payload: "hello"}))
//	ws.send(JSON.stringify({id: "3", event: "crash"}))
//	ws.send(JSON.stringify({id: "4", event: "sing"}))
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/wspulse/core/router"
	wspulse "github.com/wspulse/server"
)

func newRouter() *router.Router {
	r := router.New(router.WithFallback(func(c *router.Context) { refuse(c, "no such event") }))
	r.Use(timed, router.Recovery(), stopAtPanic) // they wrap every handler, and the fallback
	r.On("echo", withText, func(c *router.Context) { answer(c, c.Frame.Event, c.GetString("text")) })
	r.On("shout", withText, func(c *router.Context) { answer(c, c.Frame.Event, strings.ToUpper(c.GetString("text"))) })
	r.On("crash", func(*router.Context) { panic("the handler of crash has crashed") })
	return r
}

// timed is middleware that does something before and after the handlers. It logs no payload.
func timed(c *router.Context) {
	start := time.Now()
	c.Next()
	log.Printf("%s: event %.20q took %v, aborted: %v", c.Connection.ID(), c.Frame.Event, time.Since(start), c.IsAborted())
}

// stopAtPanic keeps the handlers behind one that panics from running. Recovery would let them: so a check that panics
// would let everything pass.
func stopAtPanic(c *router.Context) {
	returned := false
	defer func() {
		if !returned {
			c.Abort()
		}
	}()
	c.Next()
	returned = true
}

// withText is middleware of some events only. It hands what it found to the next handler, or keeps it from running.
func withText(c *router.Context) {
	var text string
	if err := json.Unmarshal(c.Frame.Payload, &text); err != nil || text == "" {
		refuse(c, "the payload must be a string that is not empty")
		c.Abort()
		return
	}
	c.Set("text", text)
}

func refuse(c *router.Context, reason string) { answer(c, "error", reason) }

// answer replies with a frame of the same ID, by which the peer knows what is answered.
func answer(c *router.Context, event, text string) {
	payload, err := json.Marshal(text)
	if err == nil {
		err = c.Connection.Send(wspulse.Frame{ID: c.Frame.ID, Event: event, Payload: payload})
	}
	if err != nil {
		log.Printf("%s: no answer to event %.20q: %v", c.Connection.ID(), c.Frame.Event, err)
	}
}

func newServer(r *router.Router, logger *zap.Logger) wspulse.Server {
	return wspulse.NewServer(
		func(*http.Request) (roomID, connectionID string, err error) { return "lobby", "", nil }, // a random ID each
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
	server := newServer(newRouter(), zap.Must(zap.NewDevelopment(zap.AddStacktrace(zap.FatalLevel))))
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
