package wspulse_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/wstest"
)

func TestUsers(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		one, two := w.dial("r", "one&user=alice"), w.dial("s", "two&user=alice")
		bob, nobody := w.dial("r", "bob&user=bob"), w.dial("r", "nobody")
		if n, err := w.server.SendUser("alice", ev("hi")); n != 2 || err != nil {
			t.Error(n, err)
		}
		if n, err := w.server.SendUser("zed", ev("hi")); n != 0 || err != wspulse.ErrConnectionNotFound {
			t.Error(n, err)
		}
		if n, err := w.server.SendUser("", ev("hi")); n != 0 || err != wspulse.ErrConnectionNotFound {
			t.Error("nobody in particular:", n, err)
		}
		one.expect("hi")
		two.expect("hi")
		c := must(w.server.GetConnection("two"))
		if got := fmt.Sprint(c.UserID(), c.Data(), len(w.server.GetUser("alice")), len(w.server.GetUser("zed"))); got !=
			"alicealice's2 0" {
			t.Error(got)
		}
		if n := w.server.KickUser("alice"); n != 2 {
			t.Error(n)
		}
		if n := w.server.KickUser("alice"); n != 0 {
			t.Error(n)
		}
		one.expectClose(1000, "kicked")
		two.expectClose(1000, "kicked")
		three, four := w.dial("r", "three&user=alice"), w.dial("s", "four&user=alice")
		if n, err := w.server.KickUserWith("alice", 1001, "go"); n != 0 || err == nil ||
			!strings.HasPrefix(err.Error(), "wspulse: KickUserWith: close code 1001 ") {
			t.Error(n, err)
		}
		if n, err := w.server.KickUserWith("alice", 4001, "be nice"); n != 2 || err != nil {
			t.Error(n, err)
		}
		three.expectClose(4001, "be nice")
		four.expectClose(4001, "be nice")
		if n, err := w.server.KickUserWith("alice", 4001, "be nice"); n != 0 || err != nil {
			t.Error(n, err)
		}
		bob.expect("")
		nobody.expect("")
		if len(w.server.GetUser("alice"))+w.server.RoomSize("s") != 0 || w.server.RoomSize("r") != 2 {
			t.Error("somebody is left, or gone")
		}
	})
}

// A session is not resumed by another user: what waits for the one is not for the other. The new Details of the same
// one count.
func TestUsers_Resume(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute))
		alice := w.dial("r", "x&user=alice")
		c := must(w.server.GetConnection("x"))
		alice.drop()
		if !c.Suspended() {
			t.Error("not suspended")
		}
		w.send("x", "secret")
		again := w.dial("r", "x&user=alice&ttl=1h")
		again.expect("secret")
		if c.Suspended() || c.Expires().IsZero() {
			t.Error("suspended, or never expires")
		}
		again.drop()
		w.send("x", "secret")
		eve := w.dial("r", "x&user=eve")
		eve.expect("")
		synctest.Wait()
		if got := sorted(w.events.take()); got !=
			"x:connect x:connect x:disconnect(duplicate) x:drop(1006) x:drop(1006) x:restore" {
			t.Error(got)
		}
		s := w.speak("r", "y&user=alice")
		s.drop()
		s.Heard()
		other := w.web.NewSession("/?room=r&user=eve")
		other.SetClaim(s.Claim())
		other.Connect()
		synctest.Wait()
		if h := other.Hello(); h.Resumed || h.Reason != "identity" {
			t.Errorf("%+v", h)
		}
	})
}

func TestConnection_WhatItKnows(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithSubprotocols("chat.v2"))
		alice := w.dial("r", "alice")
		c := w.connection("r", "alice")
		if c.Server() != w.server || c.RemoteAddr() == nil || c.Subprotocol() != "" || c.UserID() != "" || c.Data() != nil {
			t.Error(c.Server(), c.RemoteAddr(), c.Subprotocol(), c.UserID(), c.Data())
		}
		ctx, cancel := context.WithTimeout(c.Context(), time.Hour)
		defer cancel()
		stopped := false
		context.AfterFunc(c.Context(), func() { stopped = true })
		if c.Context().Err() != nil {
			t.Error("over")
		}
		alice.drop()
		<-ctx.Done()
		synctest.Wait()
		if ctx.Err() != context.Canceled || !stopped || c.RemoteAddr() == nil || c.Suspended() {
			t.Error(ctx.Err(), stopped, c.RemoteAddr(), c.Suspended())
		}
	})
}

func TestAttach_BadDetails(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithMaxRooms(2), wspulse.WithMaxIDLength(8))
		long := strings.Repeat("x", 9)
		for query, want := range map[string]string{
			"room=" + long:            "400 wspulse: ID too long: the room has 9 bytes, 8 are allowed (WithMaxIDLength)",
			"room=r&id=" + long:       "400 wspulse: ID too long: the connectionID has 9 bytes, 8 are allowed (WithMaxIDLength)",
			"room=r&user=" + long:     "500 Attach: wspulse: ID too long: the UserID has 9 bytes, 8 are allowed (WithMaxIDLength)",
			"room=r&also=a,b":         "500 Attach: wspulse: too many rooms: Details.Rooms makes 3 with the home, 2 are allowed (WithMaxRooms)",
			"room=r&also=r,a,a&ttl=x": "",
			"room=r&ttl=-1s":          "401 unauthorized",
		} {
			_, response, err := w.upgrade("?"+query, nil)
			if err == nil {
				if want != "" {
					t.Errorf("%s is let in", query)
				}
				continue
			}
			text, _ := io.ReadAll(response.Body)
			if got := fmt.Sprint(response.StatusCode, " ", strings.TrimSpace(string(text))); got != want {
				t.Errorf("%s: got %q, want %q", query, got, want)
			}
		}
	})
}

// Attach says that its request is none of ConnectFunc's.
func TestAttach_Elsewhere(t *testing.T) {
	defer func() {
		if v := fmt.Sprint(recover()); !strings.Contains(v, "not one that a Server has given to ConnectFunc") {
			t.Error(v)
		}
	}()
	r, _ := http.NewRequest(http.MethodGet, "/", nil)
	wspulse.Attach(r, wspulse.Details{})
}

func TestExpires(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &recorder{}
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute), wspulse.WithMetrics(m))
		start := time.Now()
		alice, bob := w.dial("r", "alice&ttl=2h"), w.dial("r", "bob&ttl=3h")
		carol, dan := w.dial("r", "carol"), w.dial("r", "dan&ttl=1h")
		must(w.server.GetConnection("bob")).SetExpires(start.Add(time.Hour))
		must(w.server.GetConnection("carol")).SetExpires(start.Add(30 * time.Minute))
		must(w.server.GetConnection("dan")).SetExpires(time.Time{})
		for p, after := range map[*peer]time.Duration{alice: 2 * time.Hour, bob: time.Hour, carol: 30 * time.Minute} {
			go func() {
				p.expectClose(4401, "expired")
				w.took(start, after)
			}()
		}
		time.Sleep(3 * time.Hour)
		w.events.take()
		c := must(w.server.GetConnection("dan"))
		w.send("dan", "last")
		c.SetExpires(start) // long ago
		dan.expectClose(4401, "expired")
		c.SetExpires(start)
		c.SetExpires(time.Now().Add(time.Hour))
		w.expect("dan:disconnect(error=wspulse: the session has expired)")
	})
}

// A session expires while it is suspended, while a callback runs, and while somebody waits to take it over.
func TestExpires_InTheMeantime(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Hour),
			wspulse.WithOnMessage(func(wspulse.Connection, wspulse.Frame) { time.Sleep(time.Minute) }))
		w.dial("r", "alice&ttl=10s").drop()
		w.expect("alice:connect alice:drop(1006)")
		time.Sleep(11 * time.Second)
		w.expect("alice:disconnect(error=wspulse: the session has expired)")
		w.dial("r", "alice").expect("")
		w.expect("alice:connect")

		bob := w.dial("r", "bob&ttl=10s")
		bob.send("work")
		bob.expectClose(4401, "expired")
		w.expect("bob:connect")
		time.Sleep(time.Minute)
		w.expect("bob:disconnect(error=wspulse: the session has expired)")

		s := w.speak("r", "carol&ttl=10s")
		s.drop()
		time.Sleep(11 * time.Second)
		s.Heard()
		s.back()
		if h := s.Hello(); h.Resumed || h.Reason != "expired" {
			t.Errorf("%+v", h)
		}
	})
}

// A session expires while somebody waits to go on with it: that is a new session then.
func TestExpires_WhileSomebodyWaits(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		release := make(chan struct{})
		w := newWorld(t, wspulse.WithResumeWindow(time.Hour), wspulse.WithMaxMessageSize(16<<10),
			wspulse.WithOnMessage(func(wspulse.Connection, wspulse.Frame) { <-release }))
		alice := w.dial("r", "alice")
		c := w.connection("r", "alice")
		go func() {
			data := []byte(`{"event":"` + strings.Repeat("x", 15<<10) + `"}`)
			for alice.WebSocket.WriteMessage(websocket.TextMessage, data) == nil {
			}
		}()
		time.Sleep(time.Second) // so much waits that nobody reads any more, and it is not known whether she has left
		again := w.dial("r", "alice")
		synctest.Wait()
		if w.expect("alice:connect"); w.connection("r", "alice") != c {
			t.Fatal("nobody waits")
		}
		c.SetExpires(time.Now())
		synctest.Wait()
		if now := w.connection("r", "alice"); now == nil || now == c {
			t.Error("no new session")
		}
		w.send("alice", "hello")
		again.expect("hello")
		close(release)
		w.expect("alice:connect alice:disconnect(error=wspulse: the session has expired)")
	})
}

func TestRefusal(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		refusals := map[string]*wspulse.Refusal{
			"plain": {Status: 403},
			"full": {Status: 429, Text: "come later", RetryAfter: 1500 * time.Millisecond,
				Header: http.Header{"X-Shard": {"7"}}},
			"code":   {Status: 404, Code: 4999, Reason: "no such board", Text: "not for pages"},
			"long":   {Status: 503, Text: strings.Repeat("x", 200)},
			"ok":     {Status: 200},
			"line":   {Status: 400, Header: http.Header{"X": {"a\nb"}}},
			"reason": {Status: 400, Reason: strings.Repeat("x", 124)},
			"number": {Status: 400, Code: 1000},
		}
		core, logs := observer.New(zap.DebugLevel)
		server := wspulse.NewServer(func(r *http.Request) (string, string, error) {
			return "", "", fmt.Errorf("wrapped: %w", refusals[r.URL.Query().Get("as")])
		}, anyOrigin, wspulse.WithLogger(zap.New(core)))
		web := wstest.NewServer(t, server)
		defer server.Close()
		const failed = "500 ConnectFunc failed: the server's log says how, bye:internal close:4503"
		for name, want := range map[string]string{
			"plain":  "403 Forbidden, bye:Forbidden close:4403",
			"full":   "429 come later, 2 7 bye:come later close:4429",
			"code":   "404 not for pages, bye:no such board close:4999",
			"long":   "503 " + strings.Repeat("x", 200) + ", bye:Service Unavailable close:4503",
			"ok":     failed,
			"line":   failed,
			"reason": failed,
			"number": failed,
		} {
			_, response, err := web.TryDial("/?as=" + name)
			if err == nil {
				t.Fatalf("%s is let in", name)
			}
			text, _ := io.ReadAll(response.Body)
			got := fmt.Sprintf("%d %s, %s %s", response.StatusCode, strings.TrimSpace(string(text)),
				response.Header.Get("Retry-After"), response.Header.Get("X-Shard"))
			s := web.NewSession("/?as=" + name)
			s.Connect()
			synctest.Wait()
			if got = strings.TrimSpace(got) + " " + s.Heard(); got != want {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
			time.Sleep(2 * time.Second) // a line for each
		}
		var lines []string
		for _, entry := range logs.FilterMessage("wspulse: upgrade refused").All() {
			lines = append(lines, fmt.Sprint(entry.ContextMap()["error"]))
		}
		for _, want := range []string{"ConnectFunc: Refusal.Status 200 is not in [400, 599]",
			`ConnectFunc: Refusal.Header: "X": "a\nb" has a line break or a NUL`,
			"ConnectFunc: Refusal.Reason has 124 bytes, 123 are allowed",
			"ConnectFunc: Refusal.Code 1000 is not in [4000, 4999]",
			"ConnectFunc: refused with 404: not for pages"} {
			if !slices.Contains(lines, want) {
				t.Errorf("%q is not in the log: %q", want, lines)
			}
		}
	})
}

func TestCloseWith(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		for i, c := range []struct {
			code   int
			reason string
			err    string
		}{
			{4123, "be nice", ""},
			{1000, "", ""},
			{3000, strings.Repeat("ü", 61), ""},
			{1001, "", "close code 1001 is neither 1000 nor in [3000, 4999]"},
			{5000, "", "close code 5000 is neither 1000 nor in [3000, 4999]"},
			{4000, strings.Repeat("x", 124), "the reason has 124 bytes, 123 are allowed"},
			{4000, "\xff", "the reason is not UTF-8"},
		} {
			for _, kick := range []bool{false, true} {
				id := fmt.Sprintf("%d-%t", i, kick)
				p := w.dial("r", id)
				var err error
				if kick {
					err = w.server.KickWith(id, c.code, c.reason)
				} else {
					err = must(w.server.GetConnection(id)).CloseWith(c.code, c.reason)
				}
				switch {
				case c.err == "" && err == nil:
					p.expectClose(c.code, c.reason)
				case err == nil || !strings.HasSuffix(err.Error(), c.err):
					t.Errorf("%d: %v", c.code, err)
				default:
					w.send(id, "still there")
					p.expect("still there")
				}
			}
		}
		if err := w.server.KickWith("nobody", 1000, ""); err != wspulse.ErrConnectionNotFound {
			t.Error(err)
		}
		s := w.speak("r", "v1")
		s.Heard()
		w.must(w.server.KickWith("v1", 4321, "be nice"))
		s.expect("bye:be nice close:4321")
	})
}

// Shutdown waits for what callbacks save.
func TestShutdown(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		saved := &journal{}
		w := newWorld(t, wspulse.WithOnDisconnect(func(c wspulse.Connection, err error) {
			time.Sleep(100 * time.Millisecond)
			saved.add("%s", c.ID())
		}))
		for i := range 100 {
			w.dial("r", fmt.Sprint(i))
		}
		start := time.Now()
		if err := w.server.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		w.took(start, 100*time.Millisecond)
		if n := len(strings.Fields(saved.take())); n != 100 {
			t.Errorf("%d saved", n)
		}
		if err := w.server.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func TestShutdown_InTime(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithOnDisconnect(func(wspulse.Connection, error) { time.Sleep(time.Minute) }))
		w.dial("r", "alice")
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := w.server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		time.Sleep(time.Minute)
	})
}

// From a callback it does what it can, and says what it can't.
func TestShutdown_InACallback(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var w *world
		got := make(chan error, 4)
		shut := func() { got <- w.server.Shutdown(context.Background()) }
		w = newWorld(t,
			wspulse.WithOnMessage(func(wspulse.Connection, wspulse.Frame) { shut() }),
			wspulse.WithOnDisconnect(func(wspulse.Connection, error) { shut() }))
		p := w.dial("r", "alice")
		p.send("shut down")
		p.expectClose(1001, "server shutting down")
		synctest.Wait()
		if a, b := <-got, <-got; a != wspulse.ErrInCallback || b != wspulse.ErrInCallback {
			t.Error(a, b)
		}
	})
}

func TestStats(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute))
		w.dial("r", "alice&also=s")
		w.dial("r", "bob").drop()
		w.send("bob", "12345")
		got := w.server.Stats()
		if got.Sessions != 2 || got.Suspended != 1 || got.Rooms != 2 || got.QueuedBytes != int64(len(`xx{"event":"12345"}`)) ||
			got.Since.IsZero() {
			t.Errorf("%+v", got)
		}
		w.server.Close()
		if got := w.server.Stats(); got.Sessions+got.Suspended+got.Rooms+int(got.QueuedBytes) != 0 {
			t.Errorf("%+v", got)
		}
	})
}
