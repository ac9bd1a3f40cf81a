package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/examples/internal/program"
	"github.com/wspulse/server/wstest"
)

func TestMain(m *testing.M) { program.Main(m, main) }

// A hall is a poll that a test looks at.
type hall struct {
	*wstest.Server
	t   *testing.T
	app *app
}

func newHall(t *testing.T) *hall {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "votes"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	a := newApp("sesame", file)
	h := &hall{wstest.NewServer(t, a.handler()), t, a}
	t.Cleanup(a.server.Close)
	return h
}

// login returns what a user who has logged in dials with.
func (h *hall) login(name, key string) wstest.DialOption {
	h.t.Helper()
	transport := &http.Transport{DialContext: h.Listener.DialContext, DisableKeepAlives: true}
	return wstest.WithHeader(login(h.t, transport, "http://poll/login", name, key))
}

func login(t *testing.T, transport http.RoundTripper, address, name, key string) http.Header {
	t.Helper()
	c := http.Client{Transport: transport, Timeout: 10 * time.Second}
	response, err := c.PostForm(address, url.Values{"name": {name}, "key": {key}})
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	cookie, _, _ := strings.Cut(response.Header.Get("Set-Cookie"), ";")
	return http.Header{"Cookie": {cookie}}
}

// await returns the payload of the next frame that has that event and ID.
func await(c *wstest.Client, event, id string) string {
	for {
		if f := c.Receive(); f.Event == event && f.ID == id {
			return string(f.Payload)
		}
	}
}

// awaitPresence reads until the members of the room are that many, and returns how many tabs each user has.
func awaitPresence(t *testing.T, c *wstest.Client, count int) map[string]int {
	t.Helper()
	users := make(map[string]string) // by connectionID
	for {
		var p struct {
			Full  bool
			Join  []struct{ ID, User string }
			Leave []string
			Count int
		}
		if err := json.Unmarshal([]byte(await(c, wspulse.EventPresence, "")), &p); err != nil {
			t.Fatal(err)
		}
		if p.Full {
			clear(users)
		}
		for _, member := range p.Join {
			users[member.ID] = member.User
		}
		for _, id := range p.Leave {
			delete(users, id)
		}
		if p.Count != count {
			continue
		}
		tabs := make(map[string]int)
		for _, user := range users {
			tabs[user]++
		}
		return tabs
	}
}

func TestPoll_VotesAndPresence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t)
		ann, bob := h.login("ann", ""), h.login("bob", "")
		first, second := h.Dial("/ws/lunch", ann), h.Dial("/ws/lunch", ann)
		other, elsewhere := h.Dial("/ws/lunch", bob), h.Dial("/ws/dinner", bob)
		for _, c := range []*wstest.Client{first, other} {
			if tabs := awaitPresence(t, c, 3); tabs["ann"] != 2 || tabs["bob"] != 1 {
				t.Errorf("got tabs %v", tabs)
			}
		}

		first.Send(wspulse.Frame{ID: "1", Event: "vote", Payload: []byte(`{"choice":"yes"}`)})
		other.Send(wspulse.Frame{ID: "1", Event: "vote", Payload: []byte(`{"choice":"perhaps"}`)})
		if got := await(first, "ack", "1"); got != `"yes"` {
			t.Errorf("ann's reply is %s", got)
		}
		if got := await(other, "error", "1"); !strings.Contains(got, "yes or no") {
			t.Errorf("bob's reply is %s", got)
		}
		second.Send(wspulse.Frame{ID: "2", Event: "vote", Payload: []byte(`{"choice":"no"}`)})
		if got := await(second, "ack", "2"); got != `"no"` {
			t.Errorf("ann's second reply is %s", got)
		}
		other.Send(wspulse.Frame{ID: "2", Event: "vote", Payload: []byte(`{"choice":"no"}`)})
		_ = await(other, "ack", "2")
		synctest.Wait()
		tally := ""
		for _, f := range first.Received() {
			if f.Event == "tally" {
				tally = string(f.Payload)
			}
		}
		if tally != `{"no":2}` {
			t.Errorf("the last tally is %s: ann has one vote", tally)
		}
		for _, f := range elsewhere.Received() {
			if f.Event == "tally" && string(f.Payload) != "{}" {
				t.Errorf("dinner got the tally %s of lunch", f.Payload)
			}
		}
	})
}

func TestPoll_AdminKicksWithAReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t)
		ann, bob := h.login("ann", "sesame"), h.login("bob", "guess")
		admin := h.Dial("/ws/lunch", ann)
		first, second, dinner := h.Dial("/ws/lunch", bob), h.Dial("/ws/lunch", bob), h.Dial("/ws/dinner", bob)
		_ = awaitPresence(t, admin, 3)

		first.Send(wspulse.Frame{ID: "1", Event: "kick", Payload: []byte(`{"name":"ann","reason":"ha"}`)})
		if got := await(first, "error", "1"); !strings.Contains(got, "only an admin") {
			t.Errorf("bob's reply is %s", got)
		}
		admin.Send(wspulse.Frame{ID: "1", Event: "kick", Payload: []byte(`{"name":"bob","reason":"no shouting"}`)})
		if got := await(admin, "ack", "1"); got != "2" {
			t.Errorf("ann has kicked %s tabs, want 2", got)
		}
		first.ExpectClose(codeKicked, "no shouting")
		second.ExpectClose(codeKicked, "no shouting")
		if tabs := awaitPresence(t, admin, 1); tabs["bob"] != 0 {
			t.Errorf("ann sees %v", tabs)
		}
		if dinner.Err() != nil {
			t.Error("bob was kicked out of dinner too")
		}

		expectRefusal(t, h.NewSession("/ws/lunch", bob), "no shouting", "close:4003")
	})
}

// expectRefusal has a page, which speaks wspulse.v1, read why it is refused.
func expectRefusal(t *testing.T, page *wstest.Session, reason, heard string) {
	t.Helper()
	page.Connect()
	<-page.Done()
	if got := page.Heard(); page.Bade().Reason != reason || !strings.HasSuffix(got, heard) {
		t.Errorf("the page heard %s", got)
	}
}

func TestPoll_RefusesWhoHasNotLoggedIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t)
		expectRefusal(t, h.NewSession("/ws/lunch"), "log in first", "close:4401")
		expectRefusal(t, h.NewSession("/ws/lunch", h.login("", "")), "log in with a name", "close:4401")
		stolen := wstest.WithHeader(http.Header{"Cookie": {"poll=guess"}})
		expectRefusal(t, h.NewSession("/ws/lunch", stolen), "log in with a name", "close:4401")
	})
}

// What was voted is there again when the program was stopped, as a supervisor does it, with the tabs open.
func TestMain_SavesOnSIGTERM(t *testing.T) {
	votes := filepath.Join(t.TempDir(), "votes")
	p := program.Start(t, "-addr", "127.0.0.1:0", "-votes", votes)
	addr, tabs := p.Addr(), make([]*websocket.Conn, 5)
	for i := range tabs {
		tabs[i] = dialTab(t, addr, string(rune('a'+i)))
		if err := tabs[i].WriteMessage(websocket.TextMessage,
			[]byte(`{"id":"1","event":"vote","payload":{"choice":"yes"}}`)); err != nil {
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

	p = program.Start(t, "-addr", "127.0.0.1:0", "-votes", votes)
	tab := dialTab(t, p.Addr(), "f")
	readUntil(t, tab, `{"event":"tally","payload":{"yes":5}}`)
	tab.Close()
	p.Terminate()
}

func dialTab(t *testing.T, addr, name string) *websocket.Conn {
	t.Helper()
	header := login(t, http.DefaultTransport, "http://"+addr+"/login", name, "")
	ws, response, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+addr+"/ws/lunch", header)
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
