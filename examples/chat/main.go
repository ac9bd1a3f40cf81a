// Chat is a chat in the browser, with rooms, on a wspulse server. Run it and open http://127.0.0.1:8080 in two tabs:
//
//	go run ./examples/chat
//
// Who has the key that it names is an admin, and kicks people on the page, or says something without one:
//
//	curl -H "Authorization: Bearer $KEY" -d 'Coffee is ready' http://127.0.0.1:8080/rooms/lobby/announce
//	curl -H "Authorization: Bearer $KEY" -d 'Only for you' http://127.0.0.1:8080/users/ann/send
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "address to listen on; port 0 takes a free one")
	resume := flag.Duration("resume", 30*time.Second, "how long who loses the connection may take to come back")
	key := flag.String("key", rand.Text(), "what makes an admin of who knows it")
	flag.Parse()
	if *resume < 0 || flag.NArg() > 0 {
		log.Fatal("no arguments, and no negative durations, please: see -h")
	}
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	stop, _ := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	fmt.Printf("listening on ws://%v/ws: open http://%[1]v; the key of admins is %s\n", listener.Addr(), *key)
	if err := serve(stop, listener, newChat(*resume, *key, slog.Default())); err != nil {
		log.Fatal(err)
	}
}

// serve serves the chat until ctx ends. What is said by then, the members still get.
func serve(ctx context.Context, listener net.Listener, c *chat) error {
	web := &http.Server{Handler: c.handler(), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
	failed := make(chan error, 1)
	go func() { failed <- web.Serve(listener) }()
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	within := func(d time.Duration, shutdown func(context.Context) error) error {
		soon, cancel := context.WithTimeout(context.Background(), d)
		defer cancel()
		return shutdown(soon)
	}
	return errors.Join(err, within(5*time.Second, web.Shutdown), within(15*time.Second, c.server.Shutdown))
}
