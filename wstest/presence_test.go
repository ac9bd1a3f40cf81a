package wstest_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/wstest"
)

// nothing is what the members of a room are told of each other beside their IDs.
var nothing = wspulse.WithPresence(func(wspulse.Connection) any { return nil })

func TestExpectPresence(t *testing.T) {
	inAndOutOfABubble(t, func(t *testing.T) {
		sessions := wspulse.NewServer(wstest.FromQuery, nothing, wspulse.WithResumeWindow(time.Minute))
		server := wstest.NewServer(t, sessions)
		alice := server.Dial("/?room=lobby&id=alice", wstest.WithPresence())
		alice.ExpectPresence("lobby", "alice")
		bob := server.Dial("/?room=lobby&id=bob", wstest.WithIdle(), wstest.WithPresence())
		server.Dial("/?room=lobby&id=carol&room=attic")
		alice.ExpectPresence("lobby", "carol", "alice", "bob")
		if err := sessions.Broadcast("lobby", ev("hello")); err != nil {
			t.Error(err)
		}
		bob.ExpectPresence("lobby", "alice", "bob", "carol")
		bob.Expect("hello")
		bob.Drop()
		alice.ExpectAway("lobby", "bob")
		alice.ExpectPresence("lobby", "alice", "bob", "carol")
		server.Dial("/?room=lobby&id=bob").Receive()
		alice.ExpectAway("lobby")
		if err := sessions.Kick("carol"); err != nil {
			t.Error(err)
		}
		alice.ExpectPresence("lobby", "alice", "bob")
		alice.Expect("hello")
		if frames := alice.Received(); len(frames) != 0 {
			t.Errorf("received %v", frames)
		}
	})
}

// onWatch runs a story as onTalk does, with a client that keeps presence apart.
func onWatch(t *testing.T, story func(t *testing.T, k *talk), options ...wspulse.ServerOption) {
	t.Helper()
	for name, idle := range map[string][]wstest.DialOption{"reading": nil, "idle": {wstest.WithIdle()}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := &talk{v: &verdict{TB: t}, sessions: wspulse.NewServer(wstest.FromQuery, options...)}
				k.server = wstest.NewServer(k.v, k.sessions)
				k.client = k.server.Dial("/?room=r&id=alice", append(idle, wstest.WithPresence())...)
				time.Sleep(time.Second)
				k.start = time.Now()
				story(t, k)
			})
		})
	}
}

func TestExpectPresence_FailsTheTest(t *testing.T) {
	for name, tc := range map[string]struct {
		what func(c *wstest.Client)
		text string
	}{
		"somebody else": {func(c *wstest.Client) { c.ExpectPresence("r", "bob") }, `told of ["alice"], want ["bob"] in "r"`},
		"nobody":        {func(c *wstest.Client) { c.ExpectPresence("r") }, `told of ["alice"], want [] in "r"`},
		"more":          {func(c *wstest.Client) { c.ExpectPresence("r", "bob", "alice") }, `["alice"], want ["alice" "bob"]`},
		"one twice":     {func(c *wstest.Client) { c.ExpectPresence("r", "alice", "alice") }, `["alice"], want ["alice" "alice"]`},
		"elsewhere":     {func(c *wstest.Client) { c.ExpectPresence("s", "alice") }, `told of nobody, want ["alice"] in "s"`},
		"away":          {func(c *wstest.Client) { c.ExpectAway("r", "alice") }, `want ["alice"] away from "r"`},
		"nobody away":   {func(c *wstest.Client) { c.ExpectAway("s") }, `told of nobody, want [] away from "s"`},
	} {
		t.Run(name, func(t *testing.T) {
			onWatch(t, func(t *testing.T, k *talk) {
				k.fails(t, func() { tc.what(k.client) }, tc.text, 10*time.Second)
			}, nothing)
		})
	}
}

func TestExpectPresence_AtTheEnd(t *testing.T) {
	onWatch(t, func(t *testing.T, k *talk) {
		go k.sessions.Close()
		k.client.ExpectClose(1001, "server shutting down")
		k.client.ExpectPresence("r", "alice")
		k.passes(t)
		k.fails(t, func() { k.client.ExpectPresence("r", "bob") }, "the connection has ended: websocket: close 1001", 0)
	}, nothing)
}

// A client without the option has the frames for Receive, and fails a test that expects another thing.
func TestExpectPresence_NotAsked(t *testing.T) {
	onTalk(t, func(t *testing.T, k *talk) {
		k.fails(t, func() { k.client.ExpectPresence("r", "alice") }, "wstest.WithPresence()", 0)
		k.say("presence")
		k.client.Expect("presence")
		k.passes(t)
	})
}

// A frame of the application's with that event is no presence.
func TestExpectPresence_NoPresence(t *testing.T) {
	onWatch(t, func(t *testing.T, k *talk) {
		k.say("presence", "hello")
		k.client.Expect("hello")
		k.fails(t, func() {}, `received presence ""`, 0)
	})
}

// A full list is in the place of what was known.
func TestExpectPresence_FullList(t *testing.T) {
	onWatch(t, func(t *testing.T, k *talk) {
		for _, id := range []string{"bob", "carol"} {
			payload := fmt.Sprintf(`{"room":"r","full":true,"join":[{"id":%q}],"count":1}`, id)
			_ = k.sessions.Send("alice", wspulse.Frame{Event: "presence", Payload: []byte(payload)})
			k.client.ExpectPresence("r", id)
		}
		k.passes(t)
	})
}

// Who is away is said, and a room that is counted has no list.
func TestExpectPresence_Counted(t *testing.T) {
	onWatch(t, func(t *testing.T, k *talk) {
		payload := `{"room":"r","full":true,"join":[{"id":"bob","away":true}],"count":1}`
		_ = k.sessions.Send("alice", wspulse.Frame{Event: "presence", Payload: []byte(payload)})
		k.client.ExpectAway("r", "bob")
		k.passes(t)
		k.fails(t, func() { k.client.ExpectAway("r") }, `told of ["bob" (away)], want []`, 10*time.Second)
	})
	onWatch(t, func(t *testing.T, k *talk) {
		_ = k.sessions.Send("alice", wspulse.Frame{Event: "presence", Payload: []byte(`{"room":"r","count":1001}`)})
		k.fails(t, func() { k.client.ExpectPresence("r") }, "told of 1001 members, whom the server counts", 10*time.Second)
	})
}
