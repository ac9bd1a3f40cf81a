package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/wspulse/core/router"
	wspulse "github.com/wspulse/server"
)

// A chat is a wspulse server, and what it knows of its members. The connectionID of a session is the member's name.
//
// What members are sent, by event:
//
//	joined, left, away, back   {"name", "members": [{"name", "away"}]}   the members are those after it
//	message                    {"from", "text", "at", "ref"}             ref is the ID of the frame that said it
//	announcement, private      {"text", "at"}                            from the HTTP API
//	error                      {"text"}                                  to whoever caused it
//
// What they send: say {"text"}, drop (to lose the transport), leave (to end the session).
type chat struct {
	server wspulse.Server
	roster *roster
	stats  *stats
	logger *zap.Logger

	run    string        // tells the frame IDs of this process from those of the last one
	frames atomic.Uint64 // that got an ID
}

type rosterPayload struct {
	Name    string     `json:"name"`
	Members []presence `json:"members"`
}

type textPayload struct {
	From string `json:"from,omitempty"`
	Text string `json:"text"`
	At   int64  `json:"at,omitempty"` // milliseconds since 1970
	Ref  string `json:"ref,omitempty"`
}

func newChat(resumeWindow time.Duration, logger *zap.Logger) *chat {
	c := &chat{stats: newStats(), logger: logger, run: rand.Text()[:8]}
	c.roster = newRoster(c.rosterChanged)
	routes := c.routes()
	c.server = wspulse.NewServer(c.connect,
		wspulse.WithOnConnect(func(conn wspulse.Connection) {
			if !c.roster.begin(conn) {
				_ = conn.Close()
			}
		}),
		wspulse.WithOnMessage(func(conn wspulse.Connection, f wspulse.Frame) { routes.Dispatch(conn, f) }),
		wspulse.WithOnTransportDrop(func(conn wspulse.Connection, _ error) { c.roster.drop(conn) }),
		wspulse.WithOnTransportRestore(c.roster.restore),
		wspulse.WithOnDisconnect(func(conn wspulse.Connection, _ error) { c.roster.end(conn) }),
		wspulse.WithResumeWindow(resumeWindow),
		wspulse.WithMaxMessageSize(maxBody),
		wspulse.WithCheckOrigin(sameOrigin),
		wspulse.WithMetrics(c.stats),
		wspulse.WithLogger(logger),
	)
	return c
}

// connect lets in whoever has a right to the name. A browser does not show the page why a WebSocket was refused, so the
// page asks POST /join first.
func (c *chat) connect(r *http.Request) (roomID, connectionID string, err error) {
	q := r.URL.Query()
	j := joinRequest{Name: q.Get("name"), Room: q.Get("room"), Secret: q.Get("secret")}
	if err := j.check(); err != nil {
		return "", "", err
	}
	transport, _ := r.Context().Value(socketKey{}).(net.Conn)
	if err := c.roster.arrive(j.Name, j.Secret, transport); err != nil {
		return "", "", err
	}
	if noted, ok := r.Context().Value(noterKey{}).(*noter); ok {
		noted.arrived = true
	}
	return j.Room, j.Name, nil
}

// serveSocket opens a socket. The name is not kept for one that connect has let in, and the server then refuses: for
// its origin, for one.
func (c *chat) serveSocket(w http.ResponseWriter, r *http.Request) {
	noted := &noter{ResponseWriter: w}
	c.server.ServeHTTP(noted, r.WithContext(context.WithValue(r.Context(), noterKey{}, noted)))
	if noted.arrived && noted.status != 0 {
		c.roster.refuse(r.URL.Query().Get("name"))
	}
}

// A noter is a ResponseWriter that notes the status. It stays 0 when the connection is hijacked.
type noter struct {
	http.ResponseWriter
	status  int
	arrived bool // connect has let the socket in
}

// noterKey is the key of the noter in a request's context.
type noterKey struct{}

func (n *noter) WriteHeader(status int) {
	n.status = status
	n.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController, by which the server hijacks.
func (n *noter) Unwrap() http.ResponseWriter { return n.ResponseWriter }

// socketKey is the key of the net.Conn in a request's context.
type socketKey struct{}

// withSocket is http.Server.ConnContext.
func withSocket(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, socketKey{}, conn)
}

func (c *chat) routes() *router.Router {
	r := router.New(router.WithFallback(func(rc *router.Context) {
		c.complain(rc.Connection, fmt.Errorf("there is no event %.20q", rc.Frame.Event))
	}))
	r.Use(router.Recovery())
	r.On("say", c.say)
	r.On("drop", c.drop)
	r.On("leave", func(rc *router.Context) { _ = rc.Connection.Close() })
	return r
}

func (c *chat) say(rc *router.Context) {
	var said textPayload
	err := json.Unmarshal(rc.Frame.Payload, &said)
	if err != nil {
		err = errors.New(`the payload must be {"text": "..."}`)
	} else {
		said.Text, err = cleanText(said.Text)
	}
	if err == nil && len(rc.Frame.ID) > maxRef {
		err = fmt.Errorf("the ID of a frame has at most %d bytes", maxRef)
	}
	if err != nil {
		c.complain(rc.Connection, err)
		return
	}
	f := c.frame("message", textPayload{From: rc.Connection.ID(), Text: said.Text, At: now(), Ref: rc.Frame.ID})
	c.broadcast(rc.Connection.RoomID(), f)
}

// drop cuts the connection under the session, as a bad network does. What has been written until now still arrives.
func (c *chat) drop(rc *router.Context) {
	if transport := c.roster.transport(rc.Connection.(wspulse.Connection)); transport != nil {
		_ = transport.Close()
	}
}

func (c *chat) complain(conn router.Connection, reason error) {
	if err := conn.Send(c.frame("error", textPayload{Text: reason.Error()})); err != nil {
		c.logger.Debug("complaint not sent", zap.String("name", conn.ID()), zap.Error(err))
	}
}

// rosterChanged tells a room, the member included. Broadcast does not wait for anybody who could wait for the roster.
func (c *chat) rosterChanged(event string, conn wspulse.Connection, members []presence) {
	c.broadcast(conn.RoomID(), c.frame(event, rosterPayload{Name: conn.ID(), Members: members}))
}

func (c *chat) broadcast(room string, f wspulse.Frame) {
	if err := c.server.Broadcast(room, f); err != nil && !errors.Is(err, wspulse.ErrServerClosed) {
		c.logger.Warn("frame not broadcast", zap.String("room", room), zap.String("event", f.Event), zap.Error(err))
	}
}

// frame makes a frame with an ID that no other has, by which a page shows it once even if it comes twice: a frame whose
// write did not complete is sent again after the resume.
func (c *chat) frame(event string, payload any) wspulse.Frame {
	data, err := json.Marshal(payload)
	if err != nil {
		panic(err) // payloads are structs of strings and numbers
	}
	return wspulse.Frame{ID: c.run + "-" + strconv.FormatUint(c.frames.Add(1), 10), Event: event, Payload: data}
}

// now is the time as members are told it.
func now() int64 { return time.Now().UnixMilli() }
