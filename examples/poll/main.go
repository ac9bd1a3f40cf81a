// Poll is a vote in rooms. The page shows who is there; an admin kicks, with a reason that the page shows too; and the
// votes outlive the program. Run it, and open the page that it names in two browsers. The key that it prints makes an
// admin.
//
//	go run ./examples/poll
package main

import (
	"context"
	"crypto/rand"
	_ "embed"
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
)

//go:embed page.html
var page []byte

func (a *app) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /ws/{room}", a.server)
	mux.HandleFunc("POST /login", a.login)
	mux.HandleFunc("GET /{room}", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(page) })
	return mux
}

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "address to listen on; port 0 takes a free one")
	path := flag.String("votes", "votes.jsonl", "file that keeps the votes")
	key := flag.String("key", rand.Text(), "what makes an admin of who logs in with it")
	flag.Parse()
	if err := run(*addr, *path, *key); err != nil {
		log.Fatal(err)
	}
}

// run serves the poll until the program is told to stop.
func run(addr, path, key string) error {
	stop, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer restore()
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	a := newApp(key, file)
	web := &http.Server{Handler: a.handler(), ReadHeaderTimeout: 5 * time.Second}
	fmt.Printf("The poll is at http://%v/lunch, and the key of admins is %s\n", listener.Addr(), key)
	log.Printf("listening on ws://%v/ws/…", listener.Addr())
	failed := make(chan error, 1)
	go func() { failed <- web.Serve(listener) }()
	select {
	case err = <-failed:
	case <-stop.Done():
	}
	soon, cancel := context.WithTimeout(context.Background(), 15*time.Second) // a tab that is gone takes ten
	defer cancel()
	return errors.Join(err, web.Shutdown(soon), a.server.Shutdown(soon)) // then every vote is saved
}
