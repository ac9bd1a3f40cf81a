// Rooms lets everybody join and leave rooms beside the lobby, and tells the members of each who is there. Run it, and
// talk to it from the consoles of two browser windows:
//
//	go run ./examples/rooms
//
//	ws = new WebSocket("ws://127.0.0.1:8080/ws?name=ann") // bob in the other window
//	ws.onmessage = (message) => console.log(message.data)
//	ws.send(JSON.stringify({id: "1", event: "join", payload: {room: "kitchen"}}))
//	ws.send(JSON.stringify({event: "say", payload: {room: "kitchen", text: "soup is ready"}}))
//	ws.send(JSON.stringify({id: "2", event: "leave", payload: {room: "kitchen"}}))
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
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/wspulse/core/router"
	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/rpc"
)

// A saying is what somebody says, and what the members of the room read.
type saying struct {
	Room string `json:"room"`
	From string `json:"from,omitempty"`
	Text string `json:"text"`
}

// connect has everybody begin in the lobby.
func connect(r *http.Request) (roomID, connectionID string, err error) {
	name := r.URL.Query().Get("name")
	if name == "" {
		return "", "", errors.New("name missing")
	}
	return "lobby", name, nil // a real program makes sure that the name is the caller's
}

// allow says who may join what: a room "~ann" is ann's alone.
func allow(c router.Connection, roomID string) error {
	if owner, private := strings.CutPrefix(roomID, "~"); private && owner != c.ID() {
		return &rpc.Error{Code: rpc.CodeForbidden, Message: "that room is " + owner + "'s"}
	}
	return nil
}

func newServer(logger *zap.Logger) (server wspulse.Server) {
	r := router.New()
	r.Use(router.Recovery())
	rpc.Rooms(r, allow) // "join" and "leave"
	r.On("say", rpc.Handle(func(ctx *router.Context, s saying) (any, error) {
		c := ctx.Connection.(wspulse.Connection)
		if !slices.Contains(c.Rooms(), s.Room) {
			return nil, &rpc.Error{Code: rpc.CodeForbidden, Message: "join the room first"}
		}
		s.From = c.ID()
		f, err := wspulse.NewFrame("said", s)
		if err != nil {
			return nil, err
		}
		return nil, server.Broadcast(s.Room, f)
	}))
	server = wspulse.NewServer(connect,
		wspulse.WithResumeWindow(30*time.Second), // who drops is away, and neither leaves nor joins
		wspulse.WithPresence(func(wspulse.Connection) any { return nil }),
		wspulse.WithOnMessage(func(c wspulse.Connection, f wspulse.Frame) { r.Dispatch(c, f) }),
		wspulse.WithMaxRooms(10),
		wspulse.WithLogger(logger),
	)
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
