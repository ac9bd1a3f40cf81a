package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/client"
	"github.com/wspulse/server/wstest"
)

// A world is a server of package wspulse on an in-memory network, and what the callbacks of both sides have said.
type world struct {
	t      *testing.T
	server wspulse.Server
	web    *wstest.Server
	events journal // of the server
}

// inWorld runs a story in a bubble.
func inWorld(t *testing.T, story func(t *testing.T, w *world), options ...wspulse.ServerOption) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t}
		options = append([]wspulse.ServerOption{
			wspulse.WithResumeWindow(time.Minute),
			wspulse.WithCheckOrigin(func(*http.Request) bool { return true }),
			wspulse.WithOnMessage(func(_ wspulse.Connection, f wspulse.Frame) { w.events.add("%s", f.Event) }),
		}, options...)
		w.server = wspulse.NewServer(func(r *http.Request) (roomID, connectionID string, err error) {
			if r.Header.Get("Authorization") == "expired" {
				return "", "", errors.New("expired")
			}
			return "r", r.URL.Query().Get("id"), nil
		}, options...)
		w.web = wstest.NewServer(t, w.server)
		t.Cleanup(w.server.Close)
		story(t, w)
	})
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// send sends messages to alice.
func (w *world) send(events ...string) {
	w.t.Helper()
	for _, event := range events {
		w.must(w.server.Send("alice", wspulse.Frame{Event: event}))
	}
}

// expect compares what the server's OnMessage has got.
func (w *world) expect(want string) {
	w.t.Helper()
	synctest.Wait()
	if got := w.events.take(); got != want {
		w.t.Errorf("the server got %q, want %q", got, want)
	}
}

// A user is a client, what its callbacks have said, and its network.
type user struct {
	client.Client
	t      *testing.T
	events journal

	mu    sync.Mutex
	conns []*wstest.Conn
	cut   bool // no dial succeeds
	dials []time.Time
}

// dial connects alice.
func (w *world) dial(options ...client.Option) *user {
	w.t.Helper()
	u, err := w.tryDial(options...)
	w.must(err)
	return u
}

func (w *world) tryDial(options ...client.Option) (*user, error) {
	return w.tryDialAs(&user{}, options...)
}

// tryDialAs has u be what is dialed.
func (w *world) tryDialAs(u *user, options ...client.Option) (*user, error) {
	u.t = w.t
	c, err := client.Dial(w.t.Context(), "ws://wstest/?id=alice", append([]client.Option{
		client.WithJitter(0),
		client.WithDialer(func(ctx context.Context, network, addr string) (net.Conn, error) {
			u.mu.Lock()
			defer u.mu.Unlock()
			u.dials = append(u.dials, time.Now())
			if u.cut {
				return nil, errors.New("no route to host")
			}
			c, err := w.web.Listener.DialContext(ctx, network, addr)
			if err == nil {
				u.conns = append(u.conns, c.(*wstest.Conn))
			}
			return c, err
		}),
		client.WithOnMessage(func(_ client.Client, f client.Frame) { u.events.add("%s", f.Event) }),
		client.WithOnGap(func(_ client.Client, n int) { u.events.add("gap:%d", n) }),
		client.WithOnTransportDrop(func(client.Client, error) { u.events.add("drop") }),
		client.WithOnTransportRestore(func(client.Client) { u.events.add("restore") }),
		client.WithOnSessionLost(func(_ client.Client, lost client.Lost) {
			var frames []string
			for _, f := range lost.Unprocessed {
				frames = append(frames, f.Event)
			}
			u.events.add("lost:%s(%s)", lost.Reason, strings.Join(frames, ","))
		}),
		client.WithOnDisconnect(func(_ client.Client, err error) { u.events.add("disconnect(%s)", name(err)) }),
	}, options...)...)
	if err != nil {
		return nil, err
	}
	u.Client = c
	w.t.Cleanup(func() { _ = c.Close() })
	synctest.Wait()
	return u, nil
}

func name(err error) string {
	var refused *client.RefusedError
	switch {
	case err == nil:
		return "nil"
	case errors.As(err, &refused):
		return fmt.Sprintf("%s %d", refused.Reason, refused.Code)
	}
	return "network"
}

// say sends messages.
func (u *user) say(events ...string) {
	u.t.Helper()
	for _, event := range events {
		if err := u.Send(client.Frame{Event: event}); err != nil {
			u.t.Fatal(err)
		}
	}
}

// expect waits until nothing moves and compares what the callbacks have said.
func (u *user) expect(want string) {
	u.t.Helper()
	synctest.Wait()
	if got := u.events.take(); got != want {
		u.t.Errorf("the client heard %q, want %q", got, want)
	}
}

// conn is the network of the latest dial.
func (u *user) conn() *wstest.Conn {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.conns[len(u.conns)-1]
}

// dialed returns when it has been dialed.
func (u *user) dialed() []time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.dials)
}

// drop breaks the connection, and later ones too while the network is cut.
func (u *user) drop(cut bool) {
	u.mu.Lock()
	u.cut = cut
	u.mu.Unlock()
	u.conn().Reset()
	synctest.Wait()
}

func (u *user) heal() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.cut = false
}

// A journal collects words from many goroutines.
type journal struct {
	mu    sync.Mutex
	words []string
}

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.words = append(j.words, fmt.Sprintf(format, args...))
}

func (j *journal) take() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	words := j.words
	j.words = nil
	return strings.Join(words, " ")
}

// echoWithoutProtocol is a server that opens WebSockets and selects no subprotocol.
func echoWithoutProtocol(w http.ResponseWriter, r *http.Request) {
	upgrader := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer ws.Close()
	_, _, _ = ws.ReadMessage()
}
