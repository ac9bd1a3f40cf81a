package wspulse_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	wspulse "github.com/wspulse/server"
)

// withRoomCallbacks writes joins and leaves to a journal.
func (j *journal) withRooms() []wspulse.ServerOption {
	return []wspulse.ServerOption{
		wspulse.WithOnJoin(func(c wspulse.Connection, room string) { j.add("%s:join(%s)", c.ID(), room) }),
		wspulse.WithOnLeave(func(c wspulse.Connection, room string) { j.add("%s:leave(%s)", c.ID(), room) }),
	}
}

// newRoomWorld is newWorld with joins and leaves in the journal.
func newRoomWorld(t *testing.T, options ...wspulse.ServerOption) *world {
	t.Helper()
	events := &journal{}
	w := newWorld(t, append(append(events.callbacks(), events.withRooms()...), options...)...)
	w.events = events
	return w
}

func TestJoin_GetsWhatIsBroadcastThere(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newRoomWorld(t)
		alice, bob := w.dial("home", "alice"), w.dial("den", "bob")
		c := w.connection("home", "alice")
		w.broadcast("den", "before")
		w.must(c.Join("den"))
		w.must(c.Join("den")) // does nothing
		w.broadcast("den", "1")
		w.broadcast("home", "2")
		w.send("alice", "3")
		w.must(c.Leave("den"))
		w.broadcast("den", "after")
		w.broadcast("home", "4")
		alice.expect("1 2 3 4")
		bob.expect("before 1 after")
		w.expect("alice:connect alice:join(home) bob:connect bob:join(den) alice:join(den) alice:leave(den)")
	})
}

func TestJoin_WhoIsWhere(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.dial("home", "alice")
		w.dial("home", "bob&also=den,attic,den,home")
		alice, bob := w.connection("home", "alice"), w.connection("home", "bob")
		w.must(alice.Join("den"))
		got := fmt.Sprintln(alice.Rooms(), bob.Rooms(), alice.RoomID(), w.server.RoomSize("den"), w.server.RoomSize("home"),
			w.server.RoomSize("attic"), w.server.RoomSize("nowhere"), len(w.server.GetConnections("den")),
			sorted(strings.Join(w.server.Rooms(), " ")))
		if got != "[home den] [home den attic] home 2 2 1 0 2 attic den home\n" {
			t.Error(got)
		}
		w.must(bob.Leave("den"))
		w.must(bob.Close())
		if got := fmt.Sprintln(bob.Rooms(), w.server.RoomSize("den"), sorted(strings.Join(w.server.Rooms(), " "))); got !=
			"[home attic] 1 den home\n" {
			t.Error(got)
		}
	})
}

func TestJoin_Errors(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithMaxRooms(3), wspulse.WithMaxIDLength(8))
		w.dial("home", "alice")
		c := w.connection("home", "alice")
		w.must(c.Join(""))
		w.must(c.Join("\x00\n\xff*>."))
		for text, err := range map[string]error{
			"wspulse: too many rooms: the session is in 3 already (WithMaxRooms)":               c.Join("more"),
			"wspulse: ID too long: the room has 9 bytes, 8 are allowed (WithMaxIDLength)":       c.Join("123456789"),
			"wspulse: the session is not in that room":                                          c.Leave("other"),
			"wspulse: a session leaves its home only by ending":                                 c.Leave("home"),
			"wspulse: ID too long: the room has 1048576 bytes, 8 are allowed (WithMaxIDLength)": c.Join(strings.Repeat("x", 1<<20)),
		} {
			if err == nil || err.Error() != text {
				t.Errorf("got %v, want %q", err, text)
			}
		}
		if err := c.Join("more"); !errors.Is(err, wspulse.ErrTooManyRooms) {
			t.Error(err)
		}
		w.must(c.Close())
		if a, b := c.Join("x"), c.Leave("home"); a != wspulse.ErrConnectionClosed || b != wspulse.ErrConnectionClosed {
			t.Error(a, b)
		}
	})
}

// OnJoin and OnLeave run in the order of the other callbacks: behind the message in which they were called for, before
// the next; and none is lost when the transport goes, or the session ends.
func TestJoin_CallbacksInOrder(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		events := &journal{}
		w := newRoomWorld(t, append(append(events.callbacks(), events.withRooms()...), wspulse.WithResumeWindow(time.Minute),
			wspulse.WithOnMessage(func(c wspulse.Connection, f wspulse.Frame) {
				events.add("%s begins", f.Event)
				switch f.Event {
				case "join":
					_ = c.Join("den")
					time.Sleep(time.Second)
				case "swap":
					_ = c.Leave("den")
					_ = c.Join("attic")
				case "panic":
					_ = c.Join("cellar")
					panic("x")
				}
				events.add("%s ends", f.Event)
			}))...)
		w.events = events
		alice := w.dial("home", "alice")
		alice.send("join", "swap", "last")
		time.Sleep(time.Minute / 2)
		w.expect("alice:connect alice:join(home) join begins join ends alice:join(den) swap begins swap ends " +
			"alice:leave(den) alice:join(attic) last begins last ends")
		alice.send("panic")
		w.expect("panic begins alice:join(cellar) alice:drop(panic=x)")
		c := w.connection("home", "alice")
		w.must(c.Leave("cellar"))
		w.expect("alice:leave(cellar)")
		again := w.dial("home", "alice")
		w.must(c.Join("den"))
		w.must(c.Close())
		again.expectClose(1000, "")
		w.expect("alice:restore alice:join(den) alice:leave(den) alice:leave(attic) alice:leave(home) alice:disconnect(nil)")
	})
}

func TestRoomOnResume(t *testing.T) {
	for _, c := range []struct {
		policy      wspulse.RoomPolicy
		want, rooms string
	}{
		{wspulse.KeepRoom, "alice:drop(1006) alice:restore", "[home den] waited home,den"},
		{wspulse.FollowRoom, "alice:drop(1006) alice:restore alice:leave(home) alice:join(new)", "[new den] waited den,new"},
		{wspulse.NewSession, "alice:drop(1006) alice:leave(den) alice:leave(home) alice:disconnect(duplicate) " +
			"alice:connect alice:join(new)", "[new] new"},
	} {
		inBubble(t, func(t *testing.T) {
			w := newRoomWorld(t, wspulse.WithResumeWindow(time.Minute), wspulse.WithRoomOnResume(c.policy))
			alice := w.dial("home", "alice&also=den")
			w.expect("alice:connect alice:join(home) alice:join(den)")
			alice.drop()
			w.broadcast("home", "waited")
			again := w.dial("new", "alice")
			var got []string
			for _, room := range []string{"home", "den", "new"} {
				w.broadcast(room, room)
			}
			synctest.Wait()
			for _, f := range again.Received() {
				got = append(got, f.Event)
			}
			if got := sorted(w.events.take()); got != sorted(c.want) {
				t.Errorf("%d: got %s, want %s", c.policy, got, c.want)
			}
			words := fmt.Sprint(must(w.server.GetConnection("alice")).Rooms(), " ", strings.Join(got, ","))
			if words = strings.Replace(words, "waited,", "waited ", 1); words != c.rooms {
				t.Errorf("%d: got %s, want %s", c.policy, words, c.rooms)
			}
		})
	}
}

// must returns v, where there is no error.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestBroadcastExcept(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		alice, bob, carol := w.dial("r", "alice"), w.dial("r", "bob"), w.dial("other", "carol")
		w.must(w.server.BroadcastExcept("r", ev("1"), "alice", "carol", "nobody"))
		w.must(w.server.BroadcastExcept("r", ev("2")))
		w.must(w.server.BroadcastExcept("r", ev("3"), "alice", "bob"))
		w.must(w.server.BroadcastAll(ev("4")))
		w.must(must(w.server.GetConnection("alice")).Join("other"))
		w.must(w.server.BroadcastAll(ev("5")))
		alice.expect("2 4 5")
		bob.expect("1 2 4 5")
		carol.expect("4 5")
	})
}

// A roomWatch does something when a room is made.
type roomWatch struct {
	wspulse.NoopCollector
	created func()
}

func (w roomWatch) RoomCreated(string) { w.created() }

// A session that is in its room is found by its ID from the first moment.
func TestJoin_AllAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var w *world
		w = newWorld(t, wspulse.WithMetrics(roomWatch{created: func() {
			looked := make(chan struct{})
			go func() {
				defer close(looked)
				for _, c := range w.server.GetConnections("r") {
					if _, err := w.server.GetConnection(c.ID()); err != nil {
						t.Error(err)
					}
				}
			}()
			<-looked
		}}))
		w.dial("r", "alice")
	})
}
