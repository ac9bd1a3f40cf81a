package main

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/examples/internal/program"
	"github.com/wspulse/server/rpc"
	"github.com/wspulse/server/wstest"
)

func TestMain(m *testing.M) { program.Main(m, main) }

// A hall is a poll that a test looks at.
type hall struct {
	*wstest.Server
	t     *testing.T
	polls wspulse.Server
}

func newHall(t *testing.T) *hall {
	t.Helper()
	polls := newServer("sesame", make(map[string]map[string]bool))
	mux := http.NewServeMux()
	mux.Handle("GET /ws/{room}", polls)
	h := &hall{wstest.NewServer(t, mux), t, polls}
	t.Cleanup(func() { _ = polls.Shutdown(context.Background()) })
	return h
}

// enter opens a tab, with a key or with none.
func (h *hall) enter(room, name, key string) *wstest.Client {
	h.t.Helper()
	return h.Dial("/ws/"+room+"?name="+name, wstest.WithPresence(), withKey(key))
}

func withKey(key string) wstest.DialOption {
	return wstest.WithHeader(http.Header{"Cookie": {"key=" + key}})
}

// expectHere waits until a tab has been told that the tabs of these users are in its room, and no others. It is for users
// who are in one room.
func (h *hall) expectHere(c *wstest.Client, room string, users ...string) {
	h.t.Helper()
	synctest.Wait()
	var ids []string
	for _, user := range users {
		for _, tab := range h.polls.GetUser(user) {
			ids = append(ids, tab.ID())
		}
	}
	c.ExpectPresence(room, ids...)
}

// reply waits for the reply to a request, which is a number.
func reply(t *testing.T, c *wstest.Client, request wspulse.Frame) (n int) {
	t.Helper()
	if err := wspulse.Bind(c.ExpectReply(request), &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// lastVotes returns the last votes that a tab has been told of.
func lastVotes(c *wstest.Client) (votes string) {
	synctest.Wait()
	for _, f := range c.Received() {
		if f.Event == "votes" {
			votes = string(f.Payload)
		}
	}
	return votes
}

func TestPoll_CountsEachUserOnceInEachRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t)
		first, second := h.enter("lunch", "ann", ""), h.enter("lunch", "ann", "")
		other, elsewhere := h.enter("lunch", "bob", ""), h.enter("dinner", "eve", "")

		if voters := reply(t, first, first.Request("vote", true)); voters != 1 {
			t.Errorf("got %d voters, want ann alone", voters)
		}
		if voters := reply(t, second, second.Request("vote", false)); voters != 1 {
			t.Errorf("got %d voters, want ann alone: she has changed her mind in another tab", voters)
		}
		if voters := reply(t, other, other.Request("vote", true)); voters != 2 {
			t.Errorf("got %d voters, want ann and bob", voters)
		}
		for _, c := range []*wstest.Client{first, second, other, h.enter("lunch", "late", "")} {
			if got := lastVotes(c); got != `{"ann":false,"bob":true}` {
				t.Errorf("the last votes are %s", got)
			}
		}
		if got := lastVotes(elsewhere); got != "null" {
			t.Errorf("dinner was told of the votes %s", got)
		}
	})
}

func TestPoll_RefusesWhatIsNoVote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t)
		ann := h.enter("lunch", "ann", "")
		if got := ann.ExpectFailure(ann.Request("vote", "perhaps"), rpc.CodeInvalid); !strings.Contains(got, "bool") {
			t.Errorf("ann reads %q", got)
		}
		ann.ExpectFailure(ann.Request("vote", nil), rpc.CodeInvalid)
		null := wspulse.Frame{ID: "null", Event: "vote", Payload: []byte("null")}
		ann.Send(null)
		ann.ExpectFailure(null, rpc.CodeInvalid)
		if got := lastVotes(ann); got != "null" {
			t.Errorf("the votes are %s", got)
		}
	})
}

func TestPoll_TellsWhoIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t)
		ann, first, second := h.enter("lunch", "ann", "sesame"), h.enter("lunch", "bob", "guess"), h.enter("lunch", "bob", "")
		_ = h.enter("dinner", "eve", "")
		for _, c := range []*wstest.Client{ann, first, second} {
			h.expectHere(c, "lunch", "ann", "bob")
		}
		for _, member := range h.polls.Presence("lunch") {
			if member.Info != (member.UserID == "ann") {
				t.Errorf("the others are told that %s is an admin: %v", member.UserID, member.Info)
			}
		}
		second.Close(websocket.CloseGoingAway, "")
		h.expectHere(ann, "lunch", "ann", "bob")
	})
}

func TestPoll_AdminKicksWithAReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t)
		admin := h.enter("lunch", "ann", "sesame")
		first, second := h.enter("lunch", "bob", "guess"), h.enter("lunch", "bob", "")
		type order struct{ Name, Reason string }

		got := first.ExpectFailure(first.Request("kick", order{"ann", "ha"}), rpc.CodeForbidden)
		if got != "only an admin kicks" {
			t.Errorf("bob reads %q", got)
		}
		long := admin.Request("kick", order{"bob", strings.Repeat("no shouting ", 11)})
		if got := admin.ExpectFailure(long, rpc.CodeInvalid); !strings.Contains(got, "123") {
			t.Errorf("of a reason that is too long, ann reads %q", got)
		}
		h.expectHere(admin, "lunch", "ann", "bob")
		if tabs := reply(t, admin, admin.Request("kick", order{"bob", "no shouting"})); tabs != 2 {
			t.Errorf("ann has kicked %d tabs, want 2", tabs)
		}
		first.ExpectClose(4003, "no shouting")
		second.ExpectClose(4003, "no shouting")
		h.expectHere(admin, "lunch", "ann")
		if tabs := reply(t, admin, admin.Request("kick", order{"bob", "still"})); tabs != 0 {
			t.Errorf("ann has kicked %d tabs of nobody", tabs)
		}
	})
}

// A page that speaks wspulse.v1 reads why it is refused, or that it is out for good.
func TestPoll_PageReadsWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t)
		page := h.NewSession("/ws/lunch").Connect()
		<-page.Done()
		if bye := page.Bade(); bye.Reason != "say who you are" || !strings.HasSuffix(page.Heard(), "close:4401") {
			t.Errorf("a page without a name heard %s", page.Heard())
		}

		admin := h.enter("lunch", "ann", "sesame")
		page = h.NewSession("/ws/lunch?name=bob").Connect()
		synctest.Wait() // until it is in
		reply(t, admin, admin.Request("kick", map[string]string{"name": "bob", "reason": "no shouting"}))
		<-page.Done()
		if page.Bade().Reconnect || !strings.HasSuffix(page.Heard(), "close:4003") {
			t.Errorf("a page that was kicked heard %s", page.Heard())
		}
	})
}

// What was voted is there again when the program was stopped, as a supervisor does it, with the tabs open.
func TestMain_SavesOnSIGTERM(t *testing.T) {
	path := filepath.Join(t.TempDir(), "votes.json")
	p := program.Start(t, "-addr", "127.0.0.1:0", "-votes", path)
	addr, tabs := p.Addr(), make([]*websocket.Conn, 5)
	for i := range tabs {
		tabs[i] = dialTab(t, addr, string(rune('a'+i)))
		if err := tabs[i].WriteMessage(websocket.TextMessage, []byte(`{"id":"1","event":"vote","payload":true}`)); err != nil {
			t.Fatal(err)
		}
		readUntil(t, tabs[i], `"ack"`)
	}
	ends := make(chan error, len(tabs))
	for _, tab := range tabs {
		go func() {
			for {
				if _, _, err := tab.ReadMessage(); err != nil {
					ends <- err
					return
				}
			}
		}()
	}
	p.Terminate()
	for range tabs {
		if err := <-ends; !websocket.IsCloseError(err, websocket.CloseGoingAway) {
			t.Errorf("a tab got %v, want close code 1001", err)
		}
	}
	var votes map[string]map[string]bool
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &votes)
	}
	if err != nil || len(votes["lunch"]) != 5 {
		t.Errorf("saved were %s (%v), want 5 votes", data, err)
	}

	p = program.Start(t, "-addr", "127.0.0.1:0", "-votes", path)
	tab := dialTab(t, p.Addr(), "f")
	readUntil(t, tab, `{"event":"votes","payload":{"a":true,"b":true,"c":true,"d":true,"e":true}}`)
	tab.Close()
	p.Terminate()
}

// A file that is none of votes is left as it is.
func TestMain_SaysWhyItCannotRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "votes.json")
	if err := os.WriteFile(path, []byte(`{"lunch":`), 0o600); err != nil {
		t.Fatal(err)
	}
	p := program.Start(t, "-addr", "127.0.0.1:0", "-votes", path)
	if err := p.Wait(); err == nil || !strings.Contains(p.Output(), path) {
		t.Errorf("it ended with %v after\n%s", err, p.Output())
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != `{"lunch":` {
		t.Errorf("the file is now %s (%v)", data, err)
	}
}

func dialTab(t *testing.T, addr, name string) *websocket.Conn {
	t.Helper()
	ws, response, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+addr+"/ws/lunch?name="+name, nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	t.Cleanup(func() { ws.Close() })
	_ = ws.SetReadDeadline(time.Now().Add(20 * time.Second))
	return ws
}

func readUntil(t *testing.T, ws *websocket.Conn, text string) {
	t.Helper()
	for {
		_, data, err := ws.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(data), text) {
			return
		}
	}
}

// The README says that it is 80 lines: without imports, comments and blank lines.
func TestMain_Lines(t *testing.T) {
	data, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	head, rest, _ := strings.Cut(string(data), "\nimport (\n")
	_, rest, _ = strings.Cut(rest, "\n)\n")
	lines := 0
	for line := range strings.Lines(head + rest) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "//") {
			lines++
		}
	}
	if lines > 80 {
		t.Errorf("%d lines", lines)
	}
}
