package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/rpc"
	"github.com/wspulse/server/wstest"
)

// A house is a chat on a network in memory.
type house struct {
	*wstest.Server
	t    *testing.T
	chat *chat
	http *http.Client
}

func open(t *testing.T) *house {
	h := &house{t: t, chat: newChat(30*time.Second, "sesame", slog.New(slog.DiscardHandler))}
	h.Server = wstest.NewServer(t, h.chat.handler())
	h.http = &http.Client{Transport: &http.Transport{DialContext: h.Listener.DialContext, DisableKeepAlives: true}}
	t.Cleanup(func() { _ = h.chat.server.Shutdown(context.Background()) }) // no callback outlives the bubble
	return h
}

// path is where a member connects to.
func path(name string, rooms ...string) string {
	return "/ws?" + url.Values{"name": {name}, "room": rooms}.Encode()
}

// from is the cookie of a browser.
func from(browser string) wstest.DialOption {
	return wstest.WithHeader(http.Header{"Cookie": {cookieName + "=" + browser}})
}

// enter opens a tab of a member, in a browser of that name.
func (h *house) enter(name string, rooms ...string) *wstest.Client {
	h.t.Helper()
	client := h.Dial(path(name, rooms...), wstest.WithPresence(), from(name+"'s"))
	synctest.Wait()
	return client
}

// told returns what a client has been told since it was asked last.
func (h *house) told(client *wstest.Client) (all []string) {
	h.t.Helper()
	synctest.Wait()
	for _, f := range client.Received() {
		var what said
		if err := wspulse.Bind(f, &what); err != nil {
			h.t.Fatal(err)
		}
		if f.Event != "ack" && what.At != time.Now().UnixMilli() {
			h.t.Errorf("the time of %s is wrong: %s", f.Event, f.Payload)
		}
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s %s: %s %s", what.Room, f.Event, what.From, what.Text)))
	}
	return all
}

func (h *house) expect(client *wstest.Client, lines ...string) {
	h.t.Helper()
	if got := h.told(client); strings.Join(got, "\n") != strings.Join(lines, "\n") {
		h.t.Errorf("was told %q, want %q", got, lines)
	}
}

type payload map[string]string

// say says something, which is fit to be said.
func say(client *wstest.Client, room, text string) {
	client.ExpectReply(client.Request("say", payload{"room": room, "text": text}))
}

func TestChat_MembersTalkInTheirRooms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		ann, bob, eve := h.enter("ann", "harbour"), h.enter("bob"), h.enter("eve")
		bob.ExpectReply(bob.Request("join", payload{"room": "harbour"}))
		said := ann.Request("say", payload{"room": "harbour", "text": " <b>hello</b> \n"})
		ann.ExpectReply(said)
		h.expect(ann, "harbour message: ann <b>hello</b>")
		synctest.Wait()
		if f := bob.Receive(); f.ID != said.ID || f.Event != "message" {
			t.Errorf("bob got %s %s, want a message with the ID of the request, %s", f.Event, f.ID, said.ID)
		}
		say(eve, "lobby", "good morning")
		for _, c := range []*wstest.Client{ann, bob, eve} {
			h.expect(c, "lobby message: eve good morning")
		}
		bob.ExpectReply(bob.Request("leave", payload{"room": "harbour"}))
		say(ann, "harbour", "anybody?")
		h.expect(ann, "harbour message: ann anybody?")
		h.expect(bob)
	})
}

func TestChat_PresenceIsOfSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		ids := func(names ...string) (ids []string) {
			for _, name := range names {
				for _, tab := range h.chat.server.GetUser(name) {
					ids = append(ids, tab.ID())
				}
			}
			return ids
		}
		ann, bob := h.enter("ann", "harbour"), h.enter("bob", "harbour")
		first := ids("bob")
		second := h.enter("bob")
		ann.ExpectPresence("lobby", ids("ann", "bob")...)
		ann.ExpectPresence("harbour", append(ids("ann"), first...)...)
		bob.Drop()
		ann.ExpectAway("harbour", first...)
		time.Sleep(30 * time.Second) // the window
		ann.ExpectPresence("harbour", ids("ann")...)
		second.Close(1000, "")
		time.Sleep(31 * time.Second)
		ann.ExpectPresence("lobby", ids("ann")...)
	})
}

func TestChat_Refusals(t *testing.T) {
	long := strings.Repeat("é", 1000)
	for _, c := range []struct {
		event   string
		payload any
		code    string // of the failure; "": there is none
		text    string // part of it
	}{
		{"say", payload{"room": "lobby", "text": " \t"}, rpc.CodeInvalid, "the text is empty"},
		{"say", payload{"room": "lobby", "text": long + "é"}, rpc.CodeInvalid, "more than 1000 characters"},
		{"say", payload{"room": "lobby", "text": long}, "", ""},
		{"say", payload{"room": "harbour", "text": "hi"}, rpc.CodeForbidden, "join the room first"},
		{"say", "hello", rpc.CodeInvalid, ""},
		{"join", payload{"room": ""}, rpc.CodeInvalid, "must not be empty"},
		{"join", payload{"room": "two words"}, rpc.CodeInvalid, "the room may have letters, digits, - and _"},
		{"join", payload{"room": "-x"}, rpc.CodeInvalid, "begins with a letter or digit"},
		{"join", payload{"room": strings.Repeat("ü", 25)}, rpc.CodeInvalid, "the room must have 1 to 24 characters"},
		{"join", payload{"room": "Café-2"}, "", ""},
		{"join", payload{"room": "lobby"}, "", ""},
		{"leave", payload{"room": "lobby"}, rpc.CodeInvalid, "leaves its home only by ending"},
		{"leave", payload{"room": "harbour"}, rpc.CodeInvalid, "not in that room"},
		{"count", payload{"room": "harbour"}, rpc.CodeForbidden, "join the room first"},
		{"kick", payload{"name": "ann", "key": "guess"}, rpc.CodeForbidden, "not the key of admins"},
		{"kick", payload{"name": "ann", "key": ""}, rpc.CodeForbidden, "not the key of admins"},
		{"kick", payload{"name": "ann", "key": "sesame", "reason": long}, rpc.CodeInvalid, "123 are allowed"},
		{"sing", nil, "unknown", "there is no such event"},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := open(t)
			ann, bob := h.enter("ann"), h.enter("bob")
			request := bob.Request(c.event, c.payload)
			if c.code == "" {
				bob.ExpectReply(request)
			} else if text := bob.ExpectFailure(request, c.code); !strings.Contains(text, c.text) {
				t.Errorf("%s %.40v: %q, want %q in it", c.event, c.payload, text, c.text)
			}
			if got := h.told(ann); (len(got) > 0) != (c.event == "say" && c.code == "") {
				t.Errorf("%s %.40v: ann was told %.40q", c.event, c.payload, got)
			}
		})
	}
}

func TestChat_AtMostFiveRooms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		ann := h.enter("ann", "a", "b", "c", "lobby")
		ann.ExpectReply(ann.Request("join", payload{"room": "d"}))
		text := ann.ExpectFailure(ann.Request("join", payload{"room": "e"}), "full")
		if text != "nobody is in more than 5 rooms; leave one first" {
			t.Errorf("the sixth room is refused with %q", text)
		}
		ann.ExpectReply(ann.Request("join", payload{"room": "d"})) // is there already
		ann.ExpectReply(ann.Request("leave", payload{"room": "a"}))
		ann.ExpectReply(ann.Request("join", payload{"room": "e"}))
	})
}

func TestChat_WhoIsLetIn(t *testing.T) {
	origin := func(origin string) wstest.DialOption {
		return wstest.WithHeader(http.Header{"Cookie": {cookieName + "=x"}, "Origin": {origin}})
	}
	for _, c := range []struct {
		path   string
		option wstest.DialOption
		status int    // 101: is let in
		heard  string // by a page
	}{
		{path("zoë", "Café-2"), from("x"), 101, "hello:new"},
		{path("zoë"), origin("http://wstest"), 101, "hello:new"},
		{path("zoë"), origin("http://evil.example"), 403, "bye:origin close:4403"},
		{path("zoë"), origin("null"), 403, "bye:origin close:4403"},
		{path("zoë"), wstest.WithHeader(nil), 401, "bye:the cookie of the page is missing close:4401"},
		{path(""), from("x"), 400, "bye:the name must have 1 to 24 characters close:4001"},
		{path(strings.Repeat("x", 25)), from("x"), 400, "bye:the name must have 1 to 24 characters close:4001"},
		{path("<b>"), from("x"), 400,
			"bye:the name may have letters, digits, - and _, and begins with a letter or digit close:4001"},
		{path("zoë", ".."), from("x"), 400,
			"bye:the room may have letters, digits, - and _, and begins with a letter or digit close:4001"},
		{path("zoë", "a", "b", "c", "d", "e"), from("x"), 400,
			"bye:nobody is in more than 5 rooms; leave one first close:4001"},
		{path("ann"), from("ann's"), 101, "hello:new"},
		{path("ann"), from("mallory's"), 409, "bye:somebody else has this name; choose another close:4002"},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := open(t)
			h.enter("ann")
			_, response, _ := h.TryDial(c.path, c.option)
			if response == nil || response.StatusCode != c.status {
				t.Errorf("%s got %v, want %d", c.path, response, c.status)
			}
			page := h.NewSession(c.path, c.option).Connect()
			synctest.Wait()
			if heard := page.Heard(); heard != c.heard {
				t.Errorf("%s: a page hears %q, want %q", c.path, heard, c.heard)
			}
		})
	}
}

func TestChat_NameIsABrowsersUntilItsLastSessionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		refused := func() {
			t.Helper()
			synctest.Wait()
			if _, response, err := h.TryDial(path("ann"), from("mallory's")); err == nil || response.StatusCode != 409 {
				t.Errorf("mallory got the name: %v", err)
			}
		}
		page := h.NewSession(path("ann"), from("ann's")).Connect()
		second := h.NewSession(path("ann"), from("ann's")).Connect()
		refused()
		page.Bye()
		refused()
		second.Drop()
		refused()
		time.Sleep(29 * time.Second)
		refused()
		second.Connect() // comes back
		time.Sleep(time.Minute)
		refused()
		second.Bye()
		synctest.Wait()
		if n := len(h.chat.names.owners); n != 0 {
			t.Errorf("%d names are kept for nobody", n)
		}
		h.Dial(path("ann"), from("mallory's"))
	})
}

// TestNames_OfTwoAtOnceOneIsLetIn: both were told that the name is free.
func TestNames_OfTwoAtOnceOneIsLetIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked sync.WaitGroup
		asked.Add(2)
		h := open(t)
		connect := h.chat.connect
		both := wspulse.NewServer(func(r *http.Request) (roomID, connectionID string, err error) {
			roomID, connectionID, err = connect(r)
			asked.Done()
			asked.Wait() // until both have been told
			return roomID, connectionID, err
		}, wspulse.WithOnConnect(h.chat.names.take), wspulse.WithOnDisconnect(h.chat.names.free))
		network := wstest.NewServer(t, both)
		tabs := make(chan *wstest.Session, 2)
		for _, browser := range []string{"ann's", "mallory's"} {
			go func() { tabs <- network.NewSession(path("ann"), from(browser)).Connect() }()
		}
		heard := []string{}
		for range 2 {
			tab := <-tabs
			synctest.Wait()
			heard = append(heard, tab.Heard())
		}
		const out = "hello:new bye:" + nameTaken + " close:4002"
		if (heard[0] == out) == (heard[1] == out) {
			t.Errorf("they heard %q, want one to be let in, and the other to hear %q", heard, out)
		}
		if len(both.GetUser("ann")) != 1 {
			t.Error("there are two of them")
		}
	})
}

func TestChat_ResumeBringsWhatWasSaidMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		ann, bob := h.NewSession(path("ann", "harbour"), from("ann's")).Connect(), h.enter("bob", "harbour")
		time.Sleep(time.Second)
		ann.Heard()
		ann.Drop()
		for i := range 3 {
			say(bob, []string{"lobby", "harbour"}[i%2], fmt.Sprint(i))
		}
		time.Sleep(29 * time.Second)
		ann.Connect()
		synctest.Wait()
		if heard := ann.Heard(); heard != "hello:resumed message message message" {
			t.Errorf("ann heard %s", heard)
		}
		ann.Drop()
		time.Sleep(31 * time.Second) // a second after the window
		ann.Connect()
		synctest.Wait()
		if heard := ann.Heard(); heard != "hello:expired" {
			t.Errorf("after the window ann heard %s", heard)
		}
	})
}

func TestChat_CountsForWhoListens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		ann, bob := h.enter("ann"), h.enter("bob")
		request := ann.Request("count", payload{"room": "lobby"})
		ann.ExpectReply(request)
		bob.ExpectFailure(bob.Request("count", payload{"room": "lobby"}), "busy")
		time.Sleep(3 * time.Second)
		for _, c := range []*wstest.Client{ann, bob} {
			synctest.Wait()
			frames := c.Received()
			if len(frames) != countTo {
				t.Fatalf("got %d numbers, want %d", len(frames), countTo)
			}
			for i, f := range frames {
				want := fmt.Sprintf(`,"n":%d,"of":3000}`, i+1)
				if f.ID != request.ID || f.Event != "count" || !strings.HasSuffix(string(f.Payload), want) {
					t.Fatalf("got %s %s %s, want %s", f.ID, f.Event, f.Payload, want)
				}
			}
		}
		bob.ExpectReply(bob.Request("count", payload{"room": "lobby"}))
		time.Sleep(time.Second)
		h.chat.server.KickUser("bob") // whose count ends with him
		synctest.Wait()
		ann.ExpectReply(ann.Request("count", payload{"room": "lobby"}))
	})
}

// TestChat_WhoIsAwayWhileItCountsIsToldWhatWasDropped: a reply to sync stands behind all of that.
func TestChat_WhoIsAwayWhileItCountsIsToldWhatWasDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		ann, bob := h.NewSession(path("ann"), from("ann's")).Connect(), h.enter("bob")
		time.Sleep(time.Second)
		ann.Drop()
		ann.Heard()
		bob.ExpectReply(bob.Request("count", payload{"room": "lobby"}))
		time.Sleep(4 * time.Second)
		ann.Connect()
		synctest.Wait()
		ann.SendMessage(websocket.TextMessage, []byte(`{"id":"s","event":"sync"}`))
		synctest.Wait()
		heard := strings.Fields(ann.Heard())
		if heard[0] != "hello:resumed" || heard[len(heard)-1] != "ack" {
			t.Errorf("it begins with %s and ends with %s, want hello:resumed and the reply", heard[0], heard[len(heard)-1])
		}
		came, dropped := 0, 0
		for _, what := range heard {
			n := 0
			if _, err := fmt.Sscanf(what, "gap:%d", &n); err == nil {
				dropped += n
			} else if what == "count" {
				came++
			}
		}
		// A buffer of 1024 frames is full of numbers when the count ends.
		if came != 1024 || came+dropped != countTo {
			t.Errorf("%d came and %d were dropped, of %d", came, dropped, countTo)
		}
	})
}

func TestChat_KickSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		ann, first, second := h.enter("ann"), h.enter("bob"), h.enter("bob")
		kick := payload{"name": "bob", "reason": " no shouting ", "key": "sesame"}
		for _, want := range []int{2, 0} { // 0: he is out already
			var tabs int
			if err := wspulse.Bind(ann.ExpectReply(ann.Request("kick", kick)), &tabs); err != nil || tabs != want {
				t.Errorf("%d tabs are out, want %d (%v)", tabs, want, err)
			}
		}
		first.ExpectClose(codeKicked, "no shouting")
		second.ExpectClose(codeKicked, "no shouting")
		h.enter("bob") // may come back
	})
}
