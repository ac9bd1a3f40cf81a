// Quickstart relays what a member of a room says to the whole room. Run it, and open the page of the README in two
// browser windows:
//
//	go run ./examples/quickstart
package main

import (
	"context"
	"errors"
	"flag"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"go.uber.org/zap"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/clientjs"
)

func newServer(logger *zap.Logger) (server wspulse.Server) {
	connect := func(r *http.Request) (roomID, connectionID string, err error) {
		room, name := r.URL.Query().Get("room"), r.URL.Query().Get("name")
		if room == "" || name == "" {
			return "", "", errors.New("room or name missing")
		}
		return room, name, nil // a real program makes sure that the name is the caller's
	}
	relay := func(c wspulse.Connection, f wspulse.Frame) {
		if err := server.Broadcast(c.RoomID(), f); err != nil {
			log.Print(err)
		}
	}
	server = wspulse.NewServer(connect, wspulse.WithOnMessage(relay), wspulse.WithResumeWindow(30*time.Second),
		wspulse.WithLogger(logger)) // says why a message or a peer was refused
	return server
}

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "address to listen on; port 0 takes a free one")
	flag.Parse()
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	server := newServer(zap.Must(zap.NewDevelopment(zap.AddStacktrace(zap.FatalLevel))))
	http.Handle("/ws", server)
	http.Handle("GET /wspulse.js", clientjs.Handler()) // the client for pages
	web := &http.Server{ReadHeaderTimeout: 5 * time.Second}
	interrupt, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	context.AfterFunc(interrupt, func() {
		server.Close() // peers get what is queued for them, then close code 1001
		_ = web.Close()
	})
	log.Printf("listening on ws://%v/ws", listener.Addr())
	if err := web.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
}
