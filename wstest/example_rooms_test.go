package wstest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wspulse/core/router"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/rpc"
	"github.com/wspulse/server/wstest"
)

// A quiz is a program to be tested: people sit down at tables, which are rooms, and are asked there.
type quiz struct {
	sessions wspulse.Server
}

// A table is what a peer wants to sit down at.
type table struct {
	Room string `json:"room"`
}

func newQuiz(connect wspulse.ConnectFunc) *quiz {
	q := &quiz{}
	r := router.New()
	rpc.Rooms(r, func(_ router.Connection, roomID string) error {
		if roomID == "staff" {
			return errors.New("it is not for guests")
		}
		return nil
	})
	r.On("size", rpc.Handle(func(_ *router.Context, in table) (int, error) { return q.sessions.RoomSize(in.Room), nil }))
	q.sessions = wspulse.NewServer(connect,
		wspulse.WithResumeWindow(time.Minute),
		wspulse.WithPresence(func(wspulse.Connection) any { return nil }),
		wspulse.WithOnMessage(func(c wspulse.Connection, f wspulse.Frame) { r.Dispatch(c, f) }))
	return q
}

// ask asks one of those who are there, and returns what is answered, or why nothing is.
func (q *quiz) ask(id, question string) <-chan string {
	answer := make(chan string, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		c, err := q.sessions.GetConnection(id)
		var reply wspulse.Frame
		if err == nil {
			reply, err = c.Request(ctx, wspulse.Frame{Event: question})
		}
		if err != nil {
			answer <- err.Error()
			return
		}
		answer <- string(reply.Payload)
	}()
	return answer
}

// An evening at the quiz: who is there, who may sit where, who is asked, and who is away for a moment.
func Test_QuizNight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quiz := newQuiz(wstest.FromQuery)
		server := wstest.NewServer(t, quiz.sessions)
		alice := server.Dial("/?id=1&user=alice&room=bar", wstest.WithPresence())
		bob := server.Dial("/?id=2&user=bob&room=bar", wstest.WithPresence())
		server.Dial("/?id=3&user=bob&room=bar") // on his phone
		alice.ExpectPresence("bar", "1", "2", "3")

		alice.ExpectReply(alice.Request("join", table{"blue"}))
		bob.ExpectFailure(bob.Request("join", table{"staff"}), "forbidden")
		bob.ExpectReply(bob.Request("join", table{"blue"}))
		alice.ExpectPresence("blue", "1", "2")
		var size int
		if err := wspulse.Bind(alice.ExpectReply(alice.Request("size", table{"blue"})), &size); err != nil || size != 2 {
			t.Errorf("%d sit at the blue table, %v", size, err)
		}

		hers, his := quiz.ask("1", "capital of Burundi?"), quiz.ask("2", "capital of Peru?")
		bob.Reply(bob.Receive(), "Lima")
		alice.Fail(alice.Receive(), "pass", "no idea")
		if got := <-his; got != `"Lima"` {
			t.Errorf("bob says %s", got)
		}
		if got := <-hers; got != "wspulse: the peer has replied with an error: pass: no idea" {
			t.Errorf("alice says %s", got)
		}

		bob.Drop()
		alice.ExpectAway("blue", "2")
		late := quiz.ask("2", "capital of Chad?")
		bob = server.Dial("/?id=2&user=bob&room=bar", wstest.WithPresence())
		bob.Reply(bob.Receive(), "N'Djamena")
		if got := <-late; got != `"N'Djamena"` {
			t.Errorf("bob says %s", got)
		}
		alice.ExpectAway("blue")

		if n := quiz.sessions.KickUser("bob"); n != 2 {
			t.Errorf("%d sessions were bob's", n)
		}
		bob.ExpectClose(1000, "kicked")
		alice.ExpectPresence("bar", "1")
		alice.ExpectPresence("blue", "1")
	})
}
