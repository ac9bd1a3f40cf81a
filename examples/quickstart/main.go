// Quickstart relays what a member of a room says to the whole room. Run it, and talk to it from the consoles of two
// browser windows:
//
//	go run ./examples/quickstart
//
//	ws = new WebSocket("ws://127.0.0.1:8080/ws?room=lobby&name=ann") // bob in the other window
//	ws.onmessage = (message) => console.log(message.data)
//	ws.send(JSON.stringify({event: "say", payload: "hello"}))
package main

import (
	"context"
	"errors"
	"log"
	"net/http"
	"os"
	"os/signal"
	"time"

	wspulse "github.com/wspulse/server"
)

func newServer() (server wspulse.Server) {
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
	server = wspulse.NewServer(connect, wspulse.WithOnMessage(relay), wspulse.WithResumeWindow(30*time.Second))
	return server
}

func main() {
	server := newServer()
	http.Handle("/ws", server)
	web := &http.Server{Addr: "127.0.0.1:8080", ReadHeaderTimeout: 5 * time.Second}
	interrupt, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	context.AfterFunc(interrupt, func() {
		server.Close() // peers get what is queued for them, then close code 1001
		_ = web.Close()
	})
	log.Print("listening on ws://", web.Addr, "/ws")
	if err := web.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
}
