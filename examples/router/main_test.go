package main

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"go.uber.org/zap/zaptest"

	"github.com/wspulse/core/router"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/examples/internal/program"
	"github.com/wspulse/server/wstest"
)

func TestMain(m *testing.M) { program.Main(m, main) }

func TestMain_Addr(t *testing.T) { program.TestAddr(t, "/ws") }

func TestRouter_AnswersByEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := wstest.NewServer(t, newServer(newRouter(), zaptest.NewLogger(t))).Dial("/")
		client.Send(
			wspulse.Frame{ID: "1", Event: "echo", Payload: []byte(`"hello"`)},
			wspulse.Frame{ID: "2", Event: "shout", Payload: []byte(`"hello"`)},
			wspulse.Frame{ID: "3", Event: "crash"},
			wspulse.Frame{ID: "4", Event: "shout", Payload: []byte(`7`)},
			wspulse.Frame{ID: "5", Event: "sing"},
		)
		want := []string{
			`1 echo "hello"`,
			`2 shout "HELLO"`,
			`4 error "the payload must be a string that is not empty"`,
			`5 error "no such event"`,
		}
		synctest.Wait()
		var got []string
		for _, f := range client.Received() {
			got = append(got, fmt.Sprintf("%s %s %s", f.ID, f.Event, f.Payload))
		}
		if got, want := strings.Join(got, "\n"), strings.Join(want, "\n"); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}

func TestRouter_ACheckThatPanicsLetsNothingPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRouter()
		r.On("guarded",
			func(*router.Context) { panic("the check of guarded has crashed") },
			func(c *router.Context) { answer(c, c.Frame.Event, "passed") })
		client := wstest.NewServer(t, newServer(r, zaptest.NewLogger(t))).Dial("/")
		client.Send(wspulse.Frame{Event: "guarded"}, wspulse.Frame{Event: "echo", Payload: []byte(`"hello"`)})
		synctest.Wait()
		if got := fmt.Sprintf("%s", client.Received()); got != `[{ echo "hello"}]` {
			t.Errorf("the peer received %s", got)
		}
	})
}
