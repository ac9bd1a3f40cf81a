package main

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/zap/zaptest"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/examples/internal/program"
	"github.com/wspulse/server/wstest"
)

func TestMain(m *testing.M) { program.Main(m, main) }

func TestMain_Addr(t *testing.T) { program.TestAddr(t, "/ws?room=lobby&name=ann") }

func TestQuickstart_RelaysToTheRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := wstest.NewServer(t, newServer(zaptest.NewLogger(t)))
		ann := server.Dial("/?room=lobby&name=ann")
		bob := server.Dial("/?room=lobby&name=bob")
		eve := server.Dial("/?room=cellar&name=eve")
		synctest.Wait() // all three have joined

		ann.Send(wspulse.Frame{Event: "say", Payload: []byte(`"hello"`)})

		for name, client := range map[string]*wstest.Client{"ann": ann, "bob": bob} {
			if f := client.Receive(); f.Event != "say" || string(f.Payload) != `"hello"` {
				t.Errorf("%s got %q %s", name, f.Event, f.Payload)
			}
		}
		synctest.Wait()
		if got := eve.Received(); len(got) > 0 {
			t.Errorf("eve in the cellar got %v", got)
		}
	})
}

func TestQuickstart_ResumesWithWhatWasSaidMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := wstest.NewServer(t, newServer(zaptest.NewLogger(t)))
		ann := server.Dial("/?room=lobby&name=ann")
		bob := server.Dial("/?room=lobby&name=bob")
		synctest.Wait()
		ann.Drop()
		time.Sleep(29 * time.Second)

		bob.Send(wspulse.Frame{Event: "one"}, wspulse.Frame{Event: "two"})
		synctest.Wait()
		ann = server.Dial("/?room=lobby&name=ann")
		bob.Send(wspulse.Frame{Event: "three"})

		ann.Expect("one", "two", "three")
	})
}

func TestQuickstart_RefusesTheNameless(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, response, err := wstest.NewServer(t, newServer(zaptest.NewLogger(t))).TryDial("/?room=lobby")
		if err == nil || response.StatusCode != http.StatusUnauthorized {
			t.Errorf("got %v, want a refusal with status 401", err)
		}
	})
}

// What a user of the quick start would wonder about is said.
func TestQuickstart_SaysWhatItDoesNotTake(t *testing.T) {
	p := program.Start(t, "-addr", "127.0.0.1:0")
	ws := p.Dial("/ws?room=lobby&name=ann")
	p.Await("every origin is accepted")
	for _, c := range []struct{ message, log string }{
		{`{"event":`, "malformed message dropped"},
		{`{"event":"say","payload":"` + strings.Repeat("x", 512) + `"}`, "limit reached"},
	} {
		if err := ws.WriteMessage(websocket.TextMessage, []byte(c.message)); err != nil {
			t.Fatal(err)
		}
		p.Await(c.log)
	}
	if strings.Contains(p.Output(), "\n\t") {
		t.Errorf("that comes with stack traces:\n%s", p.Output())
	}
	ws.Close() // or it would be waited for
	p.Interrupt()
}

func TestQuickstart_IsWhatTheReadmeShows(t *testing.T) {
	program, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), "```go\n"+string(program)+"```\n") {
		t.Error("README.md does not show main.go word for word")
	}
}
