// Poll is a vote in rooms. The page shows who is there; an admin kicks, with a reason that the page shows too; and the
// votes outlive the program. Run it, and open the page that it names in two tabs. The key that it names makes an admin.
//
//	go run ./examples/poll
package main

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/wspulse/core/router"
	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/clientjs"
	"github.com/wspulse/server/rpc"
)

//go:embed page.html
var page []byte

// newServer returns the server of the poll. The votes are by room and by user, true for yes. They are the server's
// until that is shut down.
func newServer(key string, votes map[string]map[string]bool) wspulse.Server {
	var mu sync.Mutex // guards votes, and the order in which rooms are told of them

	// Each tab is a connection, whose ID the server makes, of the user that the page names. A real program
	// authenticates: here anybody can be anyone, but not an admin.
	connect := func(r *http.Request) (roomID, connectionID string, err error) {
		name := r.URL.Query().Get("name")
		if name == "" {
			return "", "", &wspulse.Refusal{Status: http.StatusUnauthorized, Text: "say who you are"}
		}
		cookie, err := r.Cookie("key") // not in the URL, which ends up in logs
		wspulse.Attach(r, wspulse.Details{UserID: name, Data: err == nil && cookie.Value == key})
		return r.PathValue("room"), "", nil
	}

	// Who comes in is told of the votes, with the others in the room.
	tell := func(c wspulse.Connection, room string) {
		mu.Lock()
		defer mu.Unlock()
		f, _ := wspulse.NewFrame("votes", votes[room]) // which is always JSON
		_ = c.Server().Broadcast(room, f)              // which fails when the server is closed, and all leave
	}

	// A vote replaces the user's last one. The reply is how many users have voted in the room.
	r := router.New()
	r.On("vote", rpc.Handle(func(ctx *router.Context, yes *bool) (voters int, err error) {
		c := ctx.Connection.(wspulse.Connection)
		mu.Lock()
		defer mu.Unlock()
		if votes[c.RoomID()] == nil {
			votes[c.RoomID()] = make(map[string]bool)
		}
		votes[c.RoomID()][c.UserID()] = *yes
		f, _ := wspulse.NewFrame("votes", votes[c.RoomID()])
		return len(votes[c.RoomID()]), c.Server().Broadcast(c.RoomID(), f)
	}))

	// A kick closes a user's tabs in all rooms, and says why. The reply is how many tabs that were.
	r.On("kick", rpc.Handle(func(ctx *router.Context, in struct{ Name, Reason string }) (tabs int, err error) {
		c := ctx.Connection.(wspulse.Connection)
		if !c.Data().(bool) {
			return 0, &rpc.Error{Code: rpc.CodeForbidden, Message: "only an admin kicks"}
		}
		if tabs, err = c.Server().KickUserWith(in.Name, 4003, in.Reason); err != nil { // the reason is too long
			return 0, &rpc.Error{Code: rpc.CodeInvalid, Message: err.Error()}
		}
		return tabs, nil
	}))

	return wspulse.NewServer(connect, wspulse.WithSlog(slog.Default()), wspulse.WithCheckOrigin(wspulse.SameOrigin),
		wspulse.WithOnJoin(tell), wspulse.WithPresence(wspulse.Connection.Data), // others are told who is an admin
		wspulse.WithOnMessage(func(c wspulse.Connection, f wspulse.Frame) { r.Dispatch(c, f) }))
}

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "address to listen on; port 0 takes a free one")
	path := flag.String("votes", "votes.json", "file that keeps the votes while the program does not run")
	key := flag.String("key", rand.Text(), "letters and digits that make an admin of who enters them")
	flag.Parse()
	votes := make(map[string]map[string]bool)
	if data, err := os.ReadFile(*path); !errors.Is(err, fs.ErrNotExist) { // there is none at first
		if err = errors.Join(err, json.Unmarshal(data, &votes)); err != nil {
			log.Fatalf("reading %s: %v", *path, err)
		}
	}
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	server := newServer(*key, votes)
	http.Handle("GET /ws/{room}", server)
	http.Handle("GET /wspulse.js", clientjs.Handler())
	http.HandleFunc("GET /{room}", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(page) })
	web := &http.Server{ReadHeaderTimeout: 5 * time.Second}
	stop, _ := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(stop, func() { _ = web.Shutdown(context.Background()) })
	fmt.Printf("listening on ws://%v/ws/…: open http://%[1]v/lunch; the key of admins is %s\n", listener.Addr(), *key)
	log.Print(web.Serve(listener))              // until stop
	err = server.Shutdown(context.Background()) // waits for the callbacks; a tab that is gone takes 10 s
	data, _ := json.Marshal(votes)
	if err = errors.Join(err, os.WriteFile(*path, data, 0o600)); err != nil {
		log.Fatal(err)
	}
}
