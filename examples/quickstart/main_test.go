package main

import (
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wspulse/server/examples/internal/memnet"
)

func serve(t *testing.T) *memnet.Network {
	server := newServer()
	return memnet.Serve(t, &http.Server{Handler: server, ReadHeaderTimeout: time.Second}, server.Close)
}

func TestQuickstart_RelaysToTheRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := serve(t)
		ann := network.Dial("/?room=lobby&name=ann")
		bob := network.Dial("/?room=lobby&name=bob")
		eve := network.Dial("/?room=cellar&name=eve")

		ann.Write(`{"event":"say","payload":"hello"}`)

		want := []string{`{"event":"say","payload":"hello"}`}
		if got := ann.Received(); !slices.Equal(got, want) {
			t.Errorf("ann got %q, want %q", got, want)
		}
		if got := bob.Received(); !slices.Equal(got, want) {
			t.Errorf("bob got %q, want %q", got, want)
		}
		if got := eve.Received(); len(got) > 0 {
			t.Errorf("eve in the cellar got %q", got)
		}
	})
}

func TestQuickstart_ResumesWithWhatWasSaidMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := serve(t)
		ann := network.Dial("/?room=lobby&name=ann")
		bob := network.Dial("/?room=lobby&name=bob")
		ann.Drop()
		time.Sleep(29 * time.Second)

		bob.Write(`{"payload":1}`)
		bob.Write(`{"payload":2}`)
		ann = network.Dial("/?room=lobby&name=ann")
		bob.Write(`{"payload":3}`)

		want := []string{`{"payload":1}`, `{"payload":2}`, `{"payload":3}`}
		if got := ann.Received(); !slices.Equal(got, want) {
			t.Errorf("ann got %q, want %q", got, want)
		}
	})
}

func TestQuickstart_RefusesTheNameless(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, response, err := serve(t).Upgrade("/?room=lobby", nil)
		if err == nil || response.StatusCode != http.StatusUnauthorized {
			t.Errorf("got %v, want a refusal with status 401", err)
		}
	})
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
