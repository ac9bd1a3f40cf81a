package main

import (
	"cmp"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/wspulse/core/router"
	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/rpc"
)

const (
	lobby    = "lobby"  // everybody's first room, which only the end of the session leaves
	maxRooms = 5        // that a member is in, the lobby among them
	maxName  = 24       // characters, of rooms too
	maxText  = 1000     // characters
	maxBody  = 16 << 10 // bytes; a text of maxText characters that are all escaped fits
	countTo  = 3000     // what a member may have counted

	// Close codes, by which the page knows why it is not let in, or has to go.
	codeBadRequest = 4001
	codeNameTaken  = 4002
	codeKicked     = 4003
)

// A chat is a wspulse server, and what it knows of its members. The UserID of a session is the member's name, and its
// Data the key of the member's browser. A session is a tab.
//
// What members are sent, by event:
//
//	presence                      who is in a room: see wspulse.WithPresence
//	message  {room,from,text,at}  the ID is that of the request to say it
//	count    {room,from,n,of,at}  the ID is that of the request to count
//	announcement, private         {room,text,at}, {text,at}: of an admin
//
// What they ask for: say {room,text}, count {room}, join {room}, leave {room}, kick {name,reason,key}, sync.
type chat struct {
	server   wspulse.Server
	key      string // of admins
	names    names
	stats    stats
	counting atomic.Bool
	logger   *slog.Logger
}

func newChat(resumeWindow time.Duration, key string, logger *slog.Logger) *chat {
	c := &chat{key: key, names: names{owners: make(map[string]owner)}, logger: logger}
	report := rpc.OnError(func(ctx *router.Context, err error) {
		logger.Warn("request failed", "event", ctx.Frame.Event, "error", err)
	})
	r := router.New(router.WithFallback(func(ctx *router.Context) {
		_ = rpc.Fail(ctx.Connection, ctx.Frame, "unknown", "there is no such event")
	}))
	r.Use(router.Recovery())
	rpc.Rooms(r, mayJoin, report)
	r.On("say", rpc.Handle(c.say, report))
	r.On("count", rpc.Handle(c.count, report))
	r.On("kick", rpc.Handle(c.kick, report))
	// The reply to sync stands behind all that is queued for the session: who has it has missed nothing but gaps.
	r.On("sync", rpc.Handle(func(*router.Context, any) (any, error) { return nil, nil }, report))

	c.server = wspulse.NewServer(c.connect,
		wspulse.WithCheckOrigin(wspulse.SameOrigin),
		wspulse.WithResumeWindow(resumeWindow),
		wspulse.WithAckWindow(256, 256<<10), // with the buffer, less than a count: who is frozen meanwhile misses something
		wspulse.WithSendBufferSize(1024),
		wspulse.WithPresence(func(wspulse.Connection) any { return nil }),
		wspulse.WithMaxRooms(maxRooms),
		wspulse.WithMaxMessageSize(maxBody),
		wspulse.WithOnConnect(c.names.take),
		wspulse.WithOnMessage(func(conn wspulse.Connection, f wspulse.Frame) { r.Dispatch(conn, f) }),
		wspulse.WithOnDisconnect(c.names.free),
		wspulse.WithMetrics(&c.stats),
		wspulse.WithSlog(logger),
	)
	return c
}

// connect lets in a page with the cookie of its browser, to the lobby and the rooms that it names.
func (c *chat) connect(r *http.Request) (roomID, connectionID string, err error) {
	q := r.URL.Query()
	name, rooms := q.Get("name"), q["room"]
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return "", "", &wspulse.Refusal{Status: http.StatusUnauthorized, Text: "the cookie of the page is missing"}
	}
	err = checkName("name", name)
	for _, room := range rooms {
		err = cmp.Or(err, checkName("room", room))
	}
	if len(rooms) >= maxRooms {
		err = errTooManyRooms
	}
	if err != nil {
		return "", "", &wspulse.Refusal{Status: http.StatusBadRequest, Code: codeBadRequest, Text: err.Error()}
	}
	if !c.names.count(name, cookie.Value, 0) {
		return "", "", &wspulse.Refusal{Status: http.StatusConflict, Code: codeNameTaken, Text: nameTaken}
	}
	wspulse.Attach(r, wspulse.Details{UserID: name, Data: cookie.Value, Rooms: rooms})
	return lobby, "", nil
}

var errTooManyRooms = fmt.Errorf("nobody is in more than %d rooms; leave one first", maxRooms)

// mayJoin says whether a member may be in a room.
func mayJoin(c router.Connection, room string) error {
	if err := checkName("room", room); err != nil {
		return &rpc.Error{Code: rpc.CodeInvalid, Message: err.Error()}
	}
	if rooms := c.(wspulse.Connection).Rooms(); len(rooms) == maxRooms && !slices.Contains(rooms, room) {
		return &rpc.Error{Code: "full", Message: errTooManyRooms.Error()}
	}
	return nil
}

// A said is what a room is told, or a member.
type said struct {
	to   string
	Room string `json:"room,omitempty"`
	From string `json:"from,omitempty"`
	Text string `json:"text,omitempty"`
	At   int64  `json:"at,omitempty"` // ms since 1970
	N    int    `json:"n,omitempty"`
	Of   int    `json:"of,omitempty"`
}

// A saying is what a member wants to say.
type saying struct{ Room, Text string }

// Validate takes the space around the text off.
func (s *saying) Validate() (err error) {
	s.Text, err = cleanText(s.Text)
	return err
}

func (c *chat) say(ctx *router.Context, in saying) (any, error) {
	conn, err := memberOf(ctx, in.Room)
	if err != nil {
		return nil, err
	}
	return nil, c.tell(ctx.Frame.ID, "message", said{Room: in.Room, From: conn.UserID(), Text: in.Text})
}

// count counts in a room, a thousand a second: faster than a page that is frozen, or away, has room for. Such a page is
// told what is dropped.
func (c *chat) count(ctx *router.Context, in struct{ Room string }) (any, error) {
	conn, err := memberOf(ctx, in.Room)
	if err != nil {
		return nil, err
	}
	if !c.counting.CompareAndSwap(false, true) {
		return nil, &rpc.Error{Code: "busy", Message: "somebody is counting already; wait for the end"}
	}
	id := ctx.Frame.ID
	go func() {
		defer c.counting.Store(false)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for n := 1; n <= countTo; n++ {
			if err := c.tell(id, "count", said{Room: in.Room, From: conn.UserID(), N: n, Of: countTo}); err != nil {
				return // the server is closed
			}
			if n%10 != 0 {
				continue
			}
			select {
			case <-tick.C:
			case <-conn.Context().Done():
				return
			}
		}
	}()
	return nil, nil
}

// kick has an admin throw out all sessions of a member, who reads why. The reply is how many there were.
func (c *chat) kick(_ *router.Context, in struct{ Name, Reason, Key string }) (int, error) {
	if !c.isAdmin(in.Key) {
		return 0, &rpc.Error{Code: rpc.CodeForbidden, Message: "that is not the key of admins"}
	}
	n, err := c.server.KickUserWith(in.Name, codeKicked, strings.TrimSpace(in.Reason))
	if err != nil {
		return 0, &rpc.Error{Code: rpc.CodeInvalid, Message: strings.TrimPrefix(err.Error(), "wspulse: ")}
	}
	return n, nil
}

func (c *chat) isAdmin(key string) bool {
	return subtle.ConstantTimeCompare([]byte(key), []byte(c.key)) == 1
}

// tell tells a room, or a member. The ID is for who has asked.
func (c *chat) tell(id, event string, what said) error {
	what.At = time.Now().UnixMilli()
	f, err := wspulse.NewFrame(event, what)
	if err != nil {
		return err
	}
	f.ID = id
	if what.to != "" {
		_, err = c.server.SendUser(what.to, f)
		return err
	}
	return c.server.Broadcast(what.Room, f)
}

// memberOf returns who asks, if that is a member of the room.
func memberOf(ctx *router.Context, room string) (wspulse.Connection, error) {
	conn := ctx.Connection.(wspulse.Connection)
	if !slices.Contains(conn.Rooms(), room) {
		return nil, &rpc.Error{Code: rpc.CodeForbidden, Message: "join the room first"}
	}
	return conn, nil
}

var fitName = regexp.MustCompile(`^[\p{L}\p{Nd}][\p{L}\p{Nd}\p{M}_-]*$`)

// checkName checks the name of a member or of a room. What it accepts is fit for a path segment.
func checkName(what, name string) error {
	if n := utf8.RuneCountInString(name); n < 1 || n > maxName {
		return fmt.Errorf("the %s must have 1 to %d characters", what, maxName)
	}
	if !fitName.MatchString(name) {
		return fmt.Errorf("the %s may have letters, digits, - and _, and begins with a letter or digit", what)
	}
	return nil
}

// cleanText returns a text without the space around it.
func cleanText(text string) (string, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return "", errors.New("the text is empty")
	}
	if utf8.RuneCountInString(text) > maxText {
		return "", fmt.Errorf("the text has more than %d characters", maxText)
	}
	return text, nil
}
