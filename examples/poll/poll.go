package main

import (
	"crypto/rand"
	"encoding/json"
	"log"
	"log/slog"
	"net/http"
	"os"
	"sync"

	"github.com/wspulse/core/router"
	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/rpc"
)

const codeKicked = 4003 // that the page reads when somebody was kicked

// An app is a vote in each room.
type app struct {
	server wspulse.Server
	key    string   // makes an admin of who logs in with it
	users  sync.Map // user by cookie
	out    sync.Map // why somebody was kicked out of a room, by seat

	mu    sync.Mutex // guards what follows, and the order of what is told of it
	votes map[seat]string
	file  *os.File // of lines [room, name, choice]; the last one of a seat counts
}

type user struct {
	Name  string
	Admin bool
}

// A seat is a room and the name of a user, who is there with however many tabs.
type seat [2]string

func newApp(key string, file *os.File) *app {
	a := &app{key: key, votes: make(map[seat]string), file: file}
	for lines, b := json.NewDecoder(file), ([3]string{}); lines.Decode(&b) == nil; {
		a.votes[seat{b[0], b[1]}] = b[2]
	}
	r := router.New()
	r.Use(router.Recovery())
	r.On("vote", rpc.Handle(a.vote))
	r.On("kick", rpc.Handle(a.kick))
	a.server = wspulse.NewServer(a.connect, wspulse.WithSlog(slog.Default()),
		wspulse.WithCheckOrigin(wspulse.SameOrigin), // since a cookie says who it is
		wspulse.WithPresence(func(c wspulse.Connection) any { return c.Data() }),
		wspulse.WithOnConnect(func(c wspulse.Connection) { _ = a.tell(c.RoomID(), c.Send) }),
		wspulse.WithOnMessage(func(c wspulse.Connection, f wspulse.Frame) { r.Dispatch(c, f) }),
		wspulse.WithOnDisconnect(a.save))
	return a
}

// login gives a cookie to who has a name. A real program asks for a password too.
func (a *app) login(w http.ResponseWriter, r *http.Request) {
	cookie := &http.Cookie{Name: "poll", Value: rand.Text(), HttpOnly: true, SameSite: http.SameSiteLaxMode}
	a.users.Store(cookie.Value, user{r.FormValue("name"), r.FormValue("key") == a.key})
	http.SetCookie(w, cookie)
}

// connect lets in who has logged in and was not kicked. Each tab is a connection, whose ID the server makes.
func (a *app) connect(r *http.Request) (roomID, connectionID string, err error) {
	cookie, err := r.Cookie("poll")
	if err != nil {
		return "", "", &wspulse.Refusal{Status: http.StatusUnauthorized, Text: "log in first"}
	}
	known, _ := a.users.Load(cookie.Value)
	me, ok := known.(user)
	if !ok || me.Name == "" {
		return "", "", &wspulse.Refusal{Status: http.StatusUnauthorized, Text: "log in with a name"}
	}
	if reason, ok := a.out.Load(seat{r.PathValue("room"), me.Name}); ok {
		return "", "", &wspulse.Refusal{Status: http.StatusForbidden, Code: codeKicked, Text: reason.(string)}
	}
	wspulse.Attach(r, wspulse.Details{UserID: me.Name, Data: me})
	return r.PathValue("room"), "", nil
}

// vote counts a vote and tells the room. The reply is what was counted.
func (a *app) vote(ctx *router.Context, in struct{ Choice string }) (string, error) {
	if in.Choice != "yes" && in.Choice != "no" {
		return "", &rpc.Error{Code: rpc.CodeInvalid, Message: "the choice is yes or no"}
	}
	c := ctx.Connection.(wspulse.Connection)
	a.mu.Lock()
	a.votes[seat{c.RoomID(), c.UserID()}] = in.Choice
	a.mu.Unlock()
	return in.Choice, a.tell(c.RoomID(), func(f wspulse.Frame) error { return a.server.Broadcast(c.RoomID(), f) })
}

// tell sends how many in a room have chosen what.
func (a *app) tell(room string, send func(wspulse.Frame) error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	tally := map[string]int{}
	for s, choice := range a.votes {
		if s[0] == room {
			tally[choice]++
		}
	}
	f, _ := wspulse.NewFrame("tally", tally) // which is always JSON
	return send(f)
}

// kick is an admin's. The reply is how many tabs it has closed.
func (a *app) kick(ctx *router.Context, in struct{ Name, Reason string }) (tabs int, err error) {
	c := ctx.Connection.(wspulse.Connection)
	if !c.Data().(user).Admin {
		return 0, &rpc.Error{Code: rpc.CodeForbidden, Message: "only an admin kicks"}
	}
	if len(in.Reason) > 123 {
		return 0, &rpc.Error{Code: rpc.CodeInvalid, Message: "the reason is longer than a close frame takes"}
	}
	a.out.Store(seat{c.RoomID(), in.Name}, in.Reason)
	for _, tab := range a.server.GetUser(in.Name) {
		if tab.RoomID() == c.RoomID() && a.server.KickWith(tab.ID(), codeKicked, in.Reason) == nil {
			tabs++
		}
	}
	return tabs, nil
}

// save keeps a vote when a tab of its user is closed, or the program ends.
func (a *app) save(c wspulse.Connection, _ error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if choice, ok := a.votes[seat{c.RoomID(), c.UserID()}]; ok {
		if err := json.NewEncoder(a.file).Encode([3]string{c.RoomID(), c.UserID(), choice}); err != nil {
			log.Print(err)
		}
	}
}
