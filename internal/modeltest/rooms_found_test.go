package modeltest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/wstest"
)

// What FuzzRooms, or the making of its model, has found.

// followed plays a session that is resumed for another room, with FollowRoom. meanwhile is called while the hub is in
// the middle of that. It returns what has become of rooms, and what the peer reads.
func followed(t *testing.T, also []string, meanwhile func(wspulse.Server)) (rooms, read string) {
	log, resuming, goOn := newModelLog(), make(chan struct{}), make(chan struct{})
	server := wspulse.NewServer(func(r *http.Request) (roomID, connectionID string, err error) {
		wspulse.Attach(r, wspulse.Details{Rooms: also})
		return r.URL.Query().Get("room"), "alice", nil
	}, wspulse.WithResumeWindow(time.Minute), wspulse.WithRoomOnResume(wspulse.FollowRoom),
		wspulse.WithMetrics(&followMetrics{log: log, resuming: resuming, goOn: goOn}))
	web := wstest.NewServer(t, server)
	defer server.Close()
	web.Dial("/?room=old").Drop()
	synctest.Wait()
	log.take()
	again := make(chan *wstest.Client, 1)
	go func() { again <- web.Dial("/?room=new") }()
	<-resuming
	meanwhile(server)
	close(goOn)
	var events []string
	client := <-again
	synctest.Wait()
	for _, f := range client.Received() {
		events = append(events, f.Event)
	}
	return log.take()["rooms"], strings.Join(events, " ")
}

type followMetrics struct {
	wspulse.NoopCollector
	log            *modelLog
	resuming, goOn chan struct{}
}

func (m *followMetrics) RoomCreated(room string)   { m.log.add(0, "rooms", "created %s", room) }
func (m *followMetrics) RoomDestroyed(room string) { m.log.add(0, "rooms", "destroyed %s", room) }

func (m *followMetrics) ResumeAttempt(_, _ string) {
	close(m.resuming)
	<-m.goOn
}

// A session whose new home is a room that it is in already is in that all the time: the room does not lose its last
// member. What somebody broadcasts there meanwhile reaches it.
func TestRooms_HomeIsWhereItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rooms, read := followed(t, []string{"new"}, func(s wspulse.Server) {
			if err := s.Broadcast("new", ev("meanwhile")); err != nil {
				t.Error(err)
			}
		})
		if got := fmt.Sprintf("%s; reads %q", rooms, read); got != `0s destroyed old; reads "meanwhile"` {
			t.Error(got)
		}
	})
}

// BroadcastAll is for every session: one that gets another home meanwhile is none the less there.
func TestRooms_ToAllWhileOneMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, read := followed(t, nil, func(s wspulse.Server) {
			if err := s.BroadcastAll(ev("to all")); err != nil {
				t.Error(err)
			}
		})
		if read != "to all" {
			t.Errorf("reads %q", read)
		}
	})
}

// What was broadcast in the old home before the peer comes back is delivered, as the documentation of FollowRoom says,
// also if the hub is busy meanwhile. It is left to chance what it takes up first, hence the many times.
func TestRooms_FollowBehindBroadcasts(t *testing.T) {
	const times = 20
	for range times {
		synctest.Test(t, func(t *testing.T) {
			busy := &busyMetrics{goOn: make(chan struct{})}
			server := wspulse.NewServer(func(r *http.Request) (roomID, connectionID string, err error) {
				return r.URL.Query().Get("room"), r.URL.Query().Get("id"), nil
			}, wspulse.WithResumeWindow(time.Minute), wspulse.WithRoomOnResume(wspulse.FollowRoom),
				wspulse.WithMetrics(busy))
			web := wstest.NewServer(t, server)
			defer server.Close()
			web.Dial("/?room=old&id=alice").Drop()
			web.Dial("/?room=old&id=bob")
			synctest.Wait()
			go web.Dial("/?room=elsewhere&id=carol")
			synctest.Wait()
			if err := server.Broadcast("old", ev("before")); err != nil {
				t.Error(err)
			}
			again := make(chan *wstest.Client, 1)
			go func() { again <- web.Dial("/?room=new&id=alice") }()
			synctest.Wait()
			close(busy.goOn)
			client := <-again
			synctest.Wait()
			if n := len(client.Received()); n != 1 {
				t.Errorf("reads %d frames", n)
			}
		})
	}
}

// busyMetrics has the hub wait when somebody opens a session elsewhere.
type busyMetrics struct {
	wspulse.NoopCollector
	goOn chan struct{}
}

func (m *busyMetrics) ConnectionOpened(room, _ string) {
	if room == "elsewhere" {
		<-m.goOn
	}
}

// Where the peer has left, OnJoin runs behind what it said before, and behind the OnTransportDrop that is queued.
func TestRooms_JoinBehindADrop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, free := newModelLog(), make(chan struct{})
		server := wspulse.NewServer(func(*http.Request) (roomID, connectionID string, err error) {
			return "home", "alice", nil
		}, wspulse.WithResumeWindow(time.Minute),
			wspulse.WithOnJoin(func(_ wspulse.Connection, room string) { log.add(0, "alice", "join %s", room) }),
			wspulse.WithOnTransportDrop(func(wspulse.Connection, error) { log.add(0, "alice", "drop") }),
			wspulse.WithOnMessage(func(_ wspulse.Connection, f wspulse.Frame) {
				if log.add(0, "alice", "%s", f.Event); f.Event == "first" {
					<-free
				}
			}))
		web := wstest.NewServer(t, server)
		defer server.Close()
		client := web.Dial("/")
		client.Send(ev("first"))
		time.Sleep(second)
		client.Send(ev("second"))
		synctest.Wait()
		client.Drop()
		synctest.Wait()
		c, err := server.GetConnection("alice")
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Join("den"); err != nil {
			t.Error(err)
		}
		close(free)
		synctest.Wait()
		if got := log.take()["alice"]; got != "0s join home, 0s first, 0s second, 0s drop, 0s join den" {
			t.Error(got)
		}
	})
}
