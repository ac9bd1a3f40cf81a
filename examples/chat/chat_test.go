package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/zap"

	wspulse "github.com/wspulse/server"
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
	h := &house{t: t, chat: newChat(30*time.Second, zap.NewNop())}
	t.Cleanup(h.chat.server.Close)
	h.Server = wstest.NewServer(t, newHandler(h.chat), func(s *http.Server) { s.ConnContext = withSocket })
	h.http = &http.Client{
		Transport:     &http.Transport{DialContext: h.Listener.DialContext, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return h
}

func secretOf(name string) string { return strings.Repeat(name+"-", 16)[:32] }

func socketPath(name, room, secret string) string {
	return "/ws?" + url.Values{"name": {name}, "room": {room}, "secret": {secret}}.Encode()
}

func (h *house) enter(name, room string) *wstest.Client {
	h.t.Helper()
	client := h.Dial(socketPath(name, room, secretOf(name)))
	synctest.Wait()
	return client
}

// told returns what a client has been told since it was asked last, one event a line.
func (h *house) told(client *wstest.Client) string {
	h.t.Helper()
	synctest.Wait()
	var (
		b   strings.Builder
		ids = make(map[string]bool)
	)
	for _, f := range client.Received() {
		var pl struct {
			Name, From, Text, Ref string
			At                    int64
			Members               []presence
		}
		if err := json.Unmarshal(f.Payload, &pl); err != nil {
			h.t.Fatalf("%s: %v", f.Payload, err)
		}
		if f.ID == "" || ids[f.ID] {
			h.t.Errorf("the ID %q of %s is missing or comes twice", f.ID, f.Event)
		}
		ids[f.ID] = true
		switch f.Event {
		case "joined", "left", "away", "back":
			fmt.Fprintf(&b, "%s %s:", f.Event, pl.Name)
			for _, m := range pl.Members {
				fmt.Fprintf(&b, " %s", m.Name)
				if m.Away {
					b.WriteString("(away)")
				}
			}
		case "message":
			fmt.Fprintf(&b, "%s says %s", pl.From, pl.Text)
			if pl.Ref != "" {
				fmt.Fprintf(&b, " (%s)", pl.Ref)
			}
		default:
			fmt.Fprintf(&b, "%s: %s", f.Event, pl.Text)
		}
		timed := slices.Contains([]string{"message", "announcement", "private"}, f.Event)
		if timed && pl.At != time.Now().UnixMilli() {
			h.t.Errorf("the time of %s is wrong: %s", f.Event, f.Payload)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func (h *house) expect(client *wstest.Client, lines ...string) {
	h.t.Helper()
	if got, want := h.told(client), strings.Join(append(lines, ""), "\n"); got != want {
		h.t.Errorf("was told:\n%swant:\n%s", got, want)
	}
}

// request sends a request and returns the status and the body.
func (h *house) request(method, path, body string, header ...string) (int, string, http.Header) {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), method, "http://wstest"+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := h.http.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return response.StatusCode, strings.TrimSpace(string(data)), response.Header
}

func say(text string) wspulse.Frame {
	return wspulse.Frame{Event: "say", Payload: fmt.Appendf(nil, `{"text":%q}`, text)}
}

var (
	drop  = wspulse.Frame{Event: "drop"}
	leave = wspulse.Frame{Event: "leave"}
)

func TestChat_MembersComeTalkAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		ann := h.enter("ann", "lobby")
		bob := h.enter("bob", "lobby")
		eve := h.enter("eve", "cellar")
		h.expect(ann, "joined ann: ann", "joined bob: ann bob")
		h.expect(bob, "joined bob: ann bob")

		ann.Send(wspulse.Frame{ID: "x-1", Event: "say", Payload: []byte(`{"text":" <b>hello</b> \n"}`)})
		h.expect(ann, "ann says <b>hello</b> (x-1)")
		h.expect(bob, "ann says <b>hello</b> (x-1)")

		ann.Send(leave)
		h.expect(ann)
		ann.ExpectClose(1000, "")
		h.expect(bob, "left ann: bob")
		h.expect(eve, "joined eve: eve")
	})
}

func TestChat_ResumeBringsWhatWasSaidMeanwhileInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		ann := h.enter("ann", "lobby")
		bob := h.enter("bob", "lobby")
		h.told(ann)
		ann.Send(drop)
		h.expect(bob, "joined bob: ann bob", "away ann: ann(away) bob")
		if err := ann.Err(); !websocket.IsCloseError(err, websocket.CloseAbnormalClosure) {
			t.Errorf("ann's connection has ended with %v, want it cut without a close frame", err)
		}

		for i := range 3 {
			bob.Send(say(fmt.Sprint(i)))
		}
		synctest.Wait()
		ann = h.enter("ann", "cellar") // the room of the session stays
		bob.Send(say("3"))
		h.expect(ann, "away ann: ann(away) bob", "bob says 0", "bob says 1", "bob says 2", "back ann: ann bob", "bob says 3")
	})
}

func TestChat_WindowPassesAndTheNameIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		ann := h.enter("ann", "lobby")
		bob := h.enter("bob", "lobby")
		ann.Drop()
		h.expect(bob, "joined bob: ann bob", "away ann: ann(away) bob")
		time.Sleep(30*time.Second - 1)
		h.expect(bob)
		time.Sleep(time.Nanosecond)
		h.expect(bob, "left ann: bob")

		h.Dial(socketPath("ann", "lobby", secretOf("another")))
		h.expect(bob, "joined ann: ann bob")
	})
}

func TestChat_TakenNameIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		ann := h.enter("ann", "lobby")
		wish := fmt.Sprintf(`{"name":"ann","room":"cellar","secret":%q}`, secretOf("mallory"))
		status, body, _ := h.request("POST", "/join", wish)
		if want := `{"error":"somebody else has this name; choose another"}`; status != 409 || body != want {
			t.Errorf("joining with a taken name got %d %s, want 409 %s", status, body, want)
		}
		_, response, err := h.TryDial(socketPath("ann", "cellar", secretOf("mallory")))
		if err == nil || response.StatusCode != 401 {
			t.Errorf("a socket with a taken name got %v, want status 401", err)
		}
		h.expect(ann, "joined ann: ann")

		ann.Send(leave)
		synctest.Wait()
		if status, body, _ = h.request("POST", "/join", wish); status != 204 {
			t.Errorf("joining with the free name got %d %s, want 204", status, body)
		}
	})
}

func TestChat_NameIsKeptForASocketThatOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		if err := h.chat.roster.arrive("ann", secretOf("ann"), nil); err != nil {
			t.Fatal(err)
		}
		_, response, err := h.TryDial(socketPath("ann", "lobby", secretOf("bob")))
		if err == nil || response.StatusCode != 401 {
			t.Errorf("a socket with that name got %v, want 401", response)
		}
		if status, _, _ := h.request("GET", socketPath("ann", "lobby", secretOf("bob")), ""); status != 400 {
			t.Errorf("a page with that name got %d, want 400", status)
		}
		wish := fmt.Sprintf(`{"name":"ann","room":"lobby","secret":%q}`, secretOf("bob"))
		if status, _, _ := h.request("POST", "/join", wish); status != 409 {
			t.Errorf("the name of a socket on its way got %d, want 409", status)
		}
		time.Sleep(arrivalTime + 1)
		if status, _, _ := h.request("POST", "/join", wish); status != 204 {
			t.Errorf("the name of a socket that did not open got %d, want 204", status)
		}
	})
}

func TestChat_RefusedSocketChangesNothing(t *testing.T) {
	for what, header := range map[string][]string{
		"no upgrade": {},
		"foreign origin": {"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13",
			"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==", "Origin", "http://evil.example"},
		"old version": {"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "8"},
		"no key":      {"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13"},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := open(t)
			ann, bob := h.enter("ann", "lobby"), h.enter("bob", "lobby")
			refused := func() {
				t.Helper()
				status, _, _ := h.request("GET", socketPath("ann", "lobby", secretOf("ann")), "", header...)
				if status != 400 && status != 403 {
					t.Errorf("%s: got %d, want 400 or 403", what, status)
				}
			}
			h.told(bob)
			for range 2 {
				refused()
				ann.Send(drop)
				h.expect(bob, "away ann: ann(away) bob")
				ann = h.enter("ann", "lobby")
				h.expect(bob, "back ann: ann bob")
			}
			refused()
			h.request("POST", "/users/ann/kick", "")
			h.expect(bob, "left ann: bob")
			refused()
			wish := fmt.Sprintf(`{"name":"ann","room":"lobby","secret":%q}`, secretOf("another"))
			if status, body, _ := h.request("POST", "/join", wish); status != 204 {
				t.Errorf("%s: the name then got %d %s, want 204", what, status, body)
			}
		})
	}
}

func TestChat_OpenedElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		bob := h.enter("bob", "lobby")
		first := h.enter("ann", "lobby")
		second := h.enter("ann", "cellar")
		first.ExpectClose(1000, "duplicate connection id")
		h.expect(bob, "joined bob: bob", "joined ann: ann bob", "left ann: bob")
		h.expect(second, "joined ann: ann")
	})
}

func TestChat_ComplaintsGoToTheSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		ann := h.enter("ann", "lobby")
		bob := h.enter("bob", "lobby")
		h.told(ann)
		h.told(bob)
		ann.Send(
			wspulse.Frame{Event: "sing"},
			wspulse.Frame{Event: "say", Payload: []byte(`"hello"`)},
			say(" \t"),
			say(strings.Repeat("é", 1001)),
			wspulse.Frame{ID: strings.Repeat("x", 65), Event: "say", Payload: []byte(`{"text":"hi"}`)},
			say(strings.Repeat("é", 1000)),
		)
		h.expect(ann,
			`error: there is no event "sing"`,
			`error: the payload must be {"text": "..."}`,
			`error: the text is empty`,
			`error: the text has more than 1000 characters`,
			`error: the ID of a frame has at most 64 bytes`,
			`ann says `+strings.Repeat("é", 1000))
		h.expect(bob, `ann says `+strings.Repeat("é", 1000))
	})
}
