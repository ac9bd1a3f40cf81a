package client_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wspulse/core/router"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/client"
	"github.com/wspulse/server/rpc"
	"github.com/wspulse/server/wstest"
)

// A crowd is a world whose rooms are told who is there. Peers name themselves and their rooms; see wstest.FromQuery.
type crowd struct {
	*world
	plain []client.Option // for what is to hold without wspulse.v1 too
}

// inCrowd runs a story in a bubble, with clients of both kinds.
func inCrowd(t *testing.T, story func(t *testing.T, w *crowd), options ...wspulse.ServerOption) {
	t.Helper()
	for name, plain := range map[string][]client.Option{"v1": nil, "plain": {client.WithoutProtocol()}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { story(t, newCrowd(t, plain, options...)) })
		})
	}
}

func newCrowd(t *testing.T, plain []client.Option, options ...wspulse.ServerOption) *crowd {
	w := &crowd{world: &world{t: t}, plain: plain}
	r := router.New()
	rpc.Rooms(r, func(router.Connection, string) error { return nil })
	w.server = wspulse.NewServer(wstest.FromQuery, append([]wspulse.ServerOption{
		wspulse.WithResumeWindow(time.Minute),
		wspulse.WithCheckOrigin(func(*http.Request) bool { return true }),
		wspulse.WithPresence(func(c wspulse.Connection) any { return c.Data() }),
		wspulse.WithOnMessage(func(c wspulse.Connection, f wspulse.Frame) { r.Dispatch(c, f) }),
	}, options...)...)
	w.web = wstest.NewServer(t, w.server)
	t.Cleanup(w.server.Close)
	return w
}

// join connects a client that writes down who is where.
func (w *crowd) join(query string, options ...client.Option) *user {
	w.t.Helper()
	u := &user{}
	options = slices.Concat(w.plain, []client.Option{
		client.WithURL(func() (string, error) { return "ws://wstest/?" + query, nil }),
		client.WithOnPresence(func(c client.Client, p client.Presence) {
			if got, want := fmt.Sprint(c.Presence(p.Room)), fmt.Sprint(p.Members); got != want && !p.Counted {
				w.t.Errorf("Client.Presence says %s, the callback %s", got, want)
			}
			u.events.add("%s", told(p))
		}),
	}, options)
	_, err := w.tryDialAs(u, options...)
	w.must(err)
	return u
}

// told is a Presence in words, such as r+bob-carol:alice,bob, for a room r with those two.
func told(p client.Presence) string {
	if p.Counted {
		return fmt.Sprintf("%s#%d", p.Room, p.Count)
	}
	text := p.Room
	if p.First {
		text += "!"
	}
	for i, list := range [][]client.Member{p.Joined, p.Left, p.Updated, p.Away, p.Back} {
		for _, m := range list {
			text += "+-~<>"[i:i+1] + m.ID
		}
	}
	if p.Count != len(p.Members) {
		text += fmt.Sprintf("(%d)", p.Count)
	}
	return text + ":" + who(p.Members)
}

func who(members []client.Member) string {
	var words []string
	for _, m := range members {
		word := m.ID
		if m.UserID != "" {
			word += "=" + m.UserID
		}
		if m.Away {
			word += "?"
		}
		words = append(words, word+string(m.Info))
	}
	return strings.Join(words, ",")
}

// hears waits for a second, and compares what the callbacks have said.
func (u *user) hears(want string) {
	u.t.Helper()
	time.Sleep(time.Second)
	u.expect(want)
}

func TestPresence(t *testing.T) {
	inCrowd(t, func(t *testing.T, w *crowd) {
		alice := w.join("room=r&id=alice&user=a")
		alice.hears("r!:alice=a")
		bob := w.web.Dial("/?room=r&room=s&id=bob&user=b")
		w.web.Dial("/?room=r&id=carol")
		alice.hears("r+bob+carol:alice=a,bob=b,carol")
		bob.Drop()
		alice.hears("r<bob:alice=a,bob=b?,carol")
		w.web.Dial("/?room=r&id=bob&user=b")
		alice.hears("r>bob:alice=a,bob=b,carol")
		w.web.Dial("/?room=r&id=bob&user=bobby") // replaces him
		alice.hears("r~bob:alice=a,bob=bobby,carol")
		w.web.Dial("/?room=r&id=bob&user=bobby") // and again: nobody notices
		alice.hears("")
		w.must(w.server.Kick("carol"))
		w.must(w.server.BroadcastExcept("r", wspulse.Frame{Event: "hello"}))
		alice.hears("hello r-carol:alice=a,bob=bobby")
		if got := who(alice.Presence("r")) + who(alice.Presence("s")); got != "alice=a,bob=bobby" {
			t.Errorf("got %s", got)
		}
		w.must(alice.Close())
		<-alice.Done()
		if alice.expect("disconnect(nil)"); alice.Presence("r") != nil {
			t.Error("one who is gone knows who is there")
		}
	})
}

// A suspended session that ends is gone, and one that changes what is said of it is news.
func TestPresence_WhileSuspended(t *testing.T) {
	role := map[string]string{}
	synctest.Test(t, func(t *testing.T) {
		w := newCrowd(t, nil, wspulse.WithPresence(func(c wspulse.Connection) any { return role[c.ID()] }))
		alice := w.join("room=r&id=alice")
		bob := w.web.Dial("/?room=r&id=bob")
		alice.hears(`r!:alice"",bob""`)
		bob.Drop()
		alice.hears(`r<bob:alice"",bob?""`)
		role["bob"] = "judge"
		w.web.Dial("/?room=r&id=bob").Drop()
		alice.hears(`r~bob:alice"",bob?"judge"`) // there and away again, within a moment
		time.Sleep(time.Minute)
		alice.hears(`r-bob:alice""`)
	})
}

func TestPresence_Rooms(t *testing.T) {
	inCrowd(t, func(t *testing.T, w *crowd) {
		ctx := t.Context()
		alice := w.join("room=r&id=alice")
		w.web.Dial("/?room=s&id=bob")
		alice.hears("r!:alice")
		w.must(alice.Join(ctx, "s"))
		alice.hears("s!:alice,bob")
		w.must(alice.Leave(ctx, "s"))
		if alice.Presence("s") != nil {
			t.Error("who has left still knows")
		}
		w.web.Dial("/?room=s&id=carol")
		alice.hears("")
		if err := alice.Leave(ctx, "r"); err == nil || who(alice.Presence("r")) != "alice" { // it is her home
			t.Errorf("%v, %v", err, alice.Presence("r"))
		}
		w.must(alice.Join(ctx, "s"))
		alice.hears("s!:alice,bob,carol")
	})
}

// Who is made to leave a room is told so.
func TestPresence_TheServerHasItLeave(t *testing.T) {
	inCrowd(t, func(t *testing.T, w *crowd) {
		alice := w.join("room=r&room=s&id=alice")
		w.web.Dial("/?room=s&id=bob")
		alice.hears("r!:alice s!:alice,bob")
		c, err := w.server.GetConnection("alice")
		w.must(err)
		w.must(c.Leave("s"))
		alice.hears("s-alice-bob:")
		if alice.Presence("s") != nil {
			t.Error("the room is still known")
		}
	})
}

// What waits for callbacks when a room is left is of no interest, and what comes when it is joined again is.
func TestPresence_LeftWhileACallbackRuns(t *testing.T) {
	inCrowd(t, func(t *testing.T, w *crowd) {
		release := make(chan struct{})
		alice := w.join("room=r&room=s&id=alice", client.WithOnMessage(func(client.Client, client.Frame) { <-release }))
		alice.hears("r!:alice s!:alice")
		w.must(w.server.Send("alice", wspulse.Frame{Event: "block"}))
		w.web.Dial("/?room=r&room=s&id=bob")
		w.must(alice.Join(t.Context(), "t"))
		time.Sleep(time.Second)
		w.must(alice.Leave(t.Context(), "s"))
		w.must(alice.Leave(t.Context(), "t"))
		if alice.Presence("s") != nil || who(alice.Presence("r")) != "alice" {
			t.Error("s is known, or r is not")
		}
		w.must(alice.Join(t.Context(), "s"))
		time.Sleep(time.Second)
		if got := who(alice.Presence("s")); got != "" {
			t.Errorf("%s are known before the callback", got)
		}
		close(release)
		alice.hears("r+bob:alice,bob s!:alice,bob")
	})
}

// A Leave that nobody waits for any more counts when its answer comes.
func TestPresence_LeaveIsAnsweredLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newCrowd(t, nil)
		alice := w.join("room=r&room=s&id=alice")
		alice.hears("r!:alice s!:alice")
		alice.conn().Downstream(wstest.Faults{Latency: 2 * time.Second})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := alice.Leave(ctx, "s"); err != context.DeadlineExceeded || alice.Presence("s") == nil {
			t.Errorf("%v, %v", err, alice.Presence("s"))
		}
		if alice.hears(""); alice.Presence("s") != nil {
			t.Error("s is still known")
		}
		alice.expectNoWaiter()
	})
}

// The client's own drop: with the session comes what has changed meanwhile.
func TestPresence_Resumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newCrowd(t, nil)
		alice := w.join("room=r&id=alice")
		bob := w.web.Dial("/?room=r&id=bob")
		w.web.Dial("/?room=r&id=carol")
		w.web.Dial("/?room=r&id=dan")
		alice.hears("r!:alice,bob,carol,dan")
		alice.drop(true)
		w.must(w.server.Kick("dan"))
		bob.Drop()
		w.web.Dial("/?room=r&id=eve")
		time.Sleep(5 * time.Second)
		if got := who(alice.Presence("r")); got != "alice,bob,carol,dan" {
			t.Errorf("%s are known", got)
		}
		alice.heal()
		time.Sleep(10 * time.Second)
		alice.hears("drop restore r+eve-dan<bob:alice,bob?,carol,eve")
		alice.drop(false)
		time.Sleep(10 * time.Second)
		alice.hears("drop restore") // and nothing has changed
	})
}

// Without wspulse.v1 a client is told anew.
func TestPresence_PlainAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newCrowd(t, []client.Option{client.WithoutProtocol()})
		alice := w.join("room=r&id=alice", client.WithOnTransportRestore(func(c client.Client) {
			if c.Presence("r") != nil {
				t.Error("it is known who is there")
			}
		}))
		alice.hears("r!:alice")
		w.web.Dial("/?room=r&id=bob")
		alice.drop(false)
		alice.hears("drop r!:alice,bob")
	})
}

// A session that is lost takes its rooms with it.
func TestPresence_SessionLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newCrowd(t, nil)
		alice := w.join("room=r&id=alice", client.WithOnSessionLost(func(c client.Client, lost client.Lost) {
			if c.Presence("r") != nil || c.Presence("s") != nil {
				t.Error("it is known who is there")
			}
			go func() { _ = c.Join(t.Context(), "s") }()
		}))
		w.must(alice.Join(t.Context(), "s"))
		w.must(alice.Join(t.Context(), "t"))
		alice.hears("r!:alice s!:alice t!:alice")
		alice.drop(true)
		time.Sleep(2 * time.Minute)
		w.web.Dial("/?room=r&id=bob")
		alice.heal()
		time.Sleep(time.Minute)
		alice.hears("drop restore r!:alice,bob s!:alice")
		if alice.Presence("t") != nil {
			t.Error("it is known who is where the client is not")
		}
	})
}

// A room of more than a thousand is counted, until it has become smaller by a quarter.
func TestPresence_Counted(t *testing.T) {
	inCrowd(t, func(t *testing.T, w *crowd) {
		alice := w.join("room=r&id=alice")
		w.web.Dial("/?room=r&id=bob")
		alice.hears("r!:alice,bob")
		for i := range 999 {
			w.web.Dial(fmt.Sprintf("/?room=r&id=%03d", i), wstest.WithIdle())
		}
		alice.hears("r#1001")
		if alice.Presence("r") != nil {
			t.Error("who is counted is listed")
		}
		late := w.join("room=r&id=late")
		late.hears("r#1002")
		alice.expect("r#1002")
		late.drop(false)
		late.hears(map[bool]string{true: "drop restore", false: "drop restore r#1002"}[w.plain == nil])
		for i := range 252 {
			w.must(w.server.Kick(fmt.Sprintf("%03d", i)))
		}
		time.Sleep(time.Second)
		if got := alice.events.take(); !strings.HasPrefix(got, "r!:252,253") || len(alice.Presence("r")) != 750 {
			t.Errorf("%.100s", got)
		}
	})
}

// What the server has dropped comes as a list, of what is new.
func TestPresence_Gap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newCrowd(t, nil, wspulse.WithSendBufferSize(4))
		alice := w.join("room=r&id=alice", client.WithOnMessage(nil))
		w.web.Dial("/?room=r&id=bob")
		alice.hears("r!:alice,bob")
		alice.conn().Downstream(wstest.Faults{Window: wstest.Unbuffered, BlackHole: true})
		w.must(w.server.Send("alice", wspulse.Frame{Event: "plug"}))
		w.must(w.server.Kick("bob"))
		w.web.Dial("/?room=r&id=carol")
		time.Sleep(time.Second)
		for range 8 {
			w.must(w.server.Broadcast("r", wspulse.Frame{Event: "flood"}))
		}
		time.Sleep(time.Second)
		alice.conn().Downstream(wstest.Faults{})
		w.web.Dial("/?room=r&id=dan")
		alice.hears("gap:5 r+dan:alice,bob,dan")
		time.Sleep(5 * time.Second)
		alice.hears("r+carol-bob:alice,carol,dan")
	})
}

// An option that is not set changes nothing.
func TestPresence_NotAsked(t *testing.T) {
	inCrowd(t, func(t *testing.T, w *crowd) {
		alice := w.join("room=r&id=alice", client.WithOnPresence(nil))
		alice.hears("presence")
		w.must(alice.Join(t.Context(), "s"))
		w.must(alice.Leave(t.Context(), "s"))
		if alice.Presence("r") != nil {
			t.Error("it is known who is there")
		}
	})
}
