// Frameworks mounts a server in net/http's ServeMux, chi, gin or echo: the room comes from the path, middleware wraps
// the ResponseWriter and gives a cookie, and what is under way is ended in an order that loses nothing. Run it, and
// talk to it from the consoles of two browser windows:
//
//	cd examples/frameworks && go run . -with gin
//
//	ws = new WebSocket("ws://127.0.0.1:8080/rooms/lobby/ws")
//	ws.onmessage = (message) => console.log(message.data)
//	ws.send(JSON.stringify({event: "say", payload: "hello"}))
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
	"syscall"
	"time"

	"go.uber.org/zap"

	wspulse "github.com/wspulse/server"
)

// frameworks are what the server can be mounted in.
var frameworks = map[string]func(*app) http.Handler{
	"net/http": newServeMux,
	"chi":      newChi,
	"gin":      newGin,
	"echo":     newEcho,
}

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "address to listen on; port 0 takes a free one")
	with := flag.String("with", "net/http", "what to mount the server in: net/http, chi, gin or echo")
	flag.Parse()
	mount := frameworks[*with]
	if mount == nil {
		log.Fatalf("there is no framework %q here", *with)
	}
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	stop, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(stop, restore) // a second signal ends the program at once
	a := newApp(zap.Must(zap.NewDevelopment(zap.AddStacktrace(zap.FatalLevel))))
	log.Printf("listening on ws://%v/rooms/…/ws", listener.Addr())
	web := &http.Server{Handler: mount(a), ReadHeaderTimeout: 5 * time.Second}
	if err := serve(stop, listener, web, a.sessions); err != nil {
		log.Fatal(err)
	}
}

// serve serves until ctx ends. Then nobody comes in any more, and requests that are under way have five seconds: what
// they broadcast, the sessions still get. Then the sessions end, and what their callbacks do is done, in fifteen
// seconds more.
func serve(ctx context.Context, listener net.Listener, web *http.Server, sessions wspulse.Server) error {
	failed := make(chan error, 1)
	go func() { failed <- web.Serve(listener) }()
	var err error
	select {
	case err = <-failed: // it can't listen
	case <-ctx.Done():
	}
	return errors.Join(err,
		within(5*time.Second, "requests", web.Shutdown),
		within(15*time.Second, "sessions", sessions.Shutdown))
}

// within gives a part of the end its own time, so that none has to do with what another one has left.
func within(d time.Duration, what string, shutdown func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	if err := shutdown(ctx); err != nil {
		return fmt.Errorf("%s have not ended: %w", what, err)
	}
	return nil
}
