package main

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap/zaptest"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/examples/internal/program"
	"github.com/wspulse/server/wstest"
)

func TestMain(m *testing.M) { program.Main(m, main) }

func TestMain_Addr(t *testing.T) { program.TestAddr(t, "/ws?name=ann") }

// heard returns what a client has got since the last time, presence of a second later included, as one line.
func heard(c *wstest.Client) string {
	time.Sleep(time.Second)
	synctest.Wait()
	var got []string
	for _, f := range c.Received() {
		got = append(got, f.Event+f.ID+" "+string(f.Payload))
	}
	return strings.Join(got, "\n")
}

func expect(t *testing.T, c *wstest.Client, want ...string) {
	t.Helper()
	if got := heard(c); got != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

func request(id, event, payload string) wspulse.Frame {
	return wspulse.Frame{ID: id, Event: event, Payload: []byte(payload)}
}

func TestRooms_JoinSayLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := wstest.NewServer(t, newServer(zaptest.NewLogger(t)))
		ann, bob := server.Dial("/?name=ann"), server.Dial("/?name=bob")
		expect(t, ann, `presence {"room":"lobby","full":true,"join":[{"id":"ann"},{"id":"bob"}],"count":2}`)
		_ = heard(bob)

		ann.Send(request("1", "join", `{"room":"kitchen"}`))
		expect(t, ann, `ack1 `, `presence {"room":"kitchen","full":true,"join":[{"id":"ann"}],"count":1}`)
		bob.Send(request("1", "say", `{"room":"kitchen","text":"me too"}`), request("2", "join", `{"room":"kitchen"}`))
		expect(t, bob, `error1 {"code":"forbidden","message":"join the room first"}`, `ack2 `,
			`presence {"room":"kitchen","full":true,"join":[{"id":"ann"},{"id":"bob"}],"count":2}`)
		expect(t, ann, `presence {"room":"kitchen","join":[{"id":"bob"}],"count":2}`)

		ann.Send(request("", "say", `{"room":"kitchen","from":"bob","text":"soup is ready"}`))
		said := `said {"room":"kitchen","from":"ann","text":"soup is ready"}`
		expect(t, bob, said)
		expect(t, ann, said)

		bob.Send(request("3", "leave", `{"room":"kitchen"}`), request("4", "leave", `{"room":"lobby"}`))
		expect(t, bob, `ack3 `,
			`error4 {"code":"invalid","message":"a session leaves its home only by ending"}`,
			`presence {"room":"kitchen","full":true,"count":0}`)
		expect(t, ann, `presence {"room":"kitchen","leave":["bob"],"count":1}`)
		ann.Send(request("", "say", `{"room":"kitchen","text":"anybody?"}`))
		expect(t, bob)
	})
}

func TestRooms_PrivateOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := wstest.NewServer(t, newServer(zaptest.NewLogger(t)))
		ann := server.Dial("/?name=ann")
		_ = heard(ann)
		ann.Send(request("1", "join", `{"room":"~bob"}`), request("2", "join", `{"room":"~ann"}`))
		expect(t, ann, `error1 {"code":"forbidden","message":"that room is bob's"}`, `ack2 `,
			`presence {"room":"~ann","full":true,"join":[{"id":"ann"}],"count":1}`)
	})
}

// Who drops is away, in each room, and is back.
func TestRooms_DropIsNoLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := wstest.NewServer(t, newServer(zaptest.NewLogger(t)))
		ann, bob := server.Dial("/?name=ann"), server.Dial("/?name=bob")
		bob.Send(request("1", "join", `{"room":"kitchen"}`))
		_, _ = heard(ann), heard(bob)
		bob.Drop()
		expect(t, ann, `presence {"room":"lobby","away":["bob"],"count":2}`)
		bob = server.Dial("/?name=bob")
		expect(t, ann, `presence {"room":"lobby","back":["bob"],"count":2}`)
		if got := heard(bob); !strings.Contains(got, `{"room":"kitchen","full":true`) {
			t.Errorf("bob is not in the kitchen any more:\n%s", got)
		}
	})
}
