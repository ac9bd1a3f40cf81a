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

	"go.uber.org/zap"

	"github.com/wspulse/server/examples/internal/memnet"
)

// A house is a chat on a network in memory.
type house struct {
	*memnet.Network
	t    *testing.T
	chat *chat
}

func open(t *testing.T) *house {
	c := newChat(30*time.Second, zap.NewNop())
	return &house{Network: memnet.Serve(t, newWebServer(c, zap.NewNop()), c.server.Close), t: t, chat: c}
}

func secretOf(name string) string { return strings.Repeat(name+"-", 16)[:32] }

func socketPath(name, room, secret string) string {
	return "/ws?" + url.Values{"name": {name}, "room": {room}, "secret": {secret}}.Encode()
}

func (h *house) enter(name, room string) *memnet.Peer {
	h.t.Helper()
	return h.Dial(socketPath(name, room, secretOf(name)))
}

// told returns what a peer has been told since it was asked last, one event a line.
func (h *house) told(p *memnet.Peer) string {
	h.t.Helper()
	var (
		b   strings.Builder
		ids = make(map[string]bool)
	)
	for _, received := range p.Received() {
		var f struct {
			ID, Event string
			Payload   struct {
				Name, From, Text, Ref string
				At                    int64
				Members               []presence
			}
		}
		if err := json.Unmarshal([]byte(received), &f); err != nil {
			h.t.Fatalf("%s: %v", received, err)
		}
		if f.ID == "" || ids[f.ID] {
			h.t.Errorf("the ID %q is missing or comes twice: %s", f.ID, received)
		}
		ids[f.ID] = true
		switch pl := f.Payload; f.Event {
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
		if timed := slices.Contains([]string{"message", "announcement", "private"}, f.Event); timed && f.Payload.At != time.Now().UnixMilli() {
			h.t.Errorf("the time is wrong: %s", received)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func (h *house) expect(p *memnet.Peer, lines ...string) {
	h.t.Helper()
	if got, want := h.told(p), strings.Join(append(lines, ""), "\n"); got != want {
		h.t.Errorf("was told:\n%swant:\n%s", got, want)
	}
}

// request sends a request and returns the status and the body.
func (h *house) request(method, path, body string, header ...string) (int, string, http.Header) {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), method, "http://127.0.0.1:8080"+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := h.Do(r)
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

func say(text string) string { return fmt.Sprintf(`{"event":"say","payload":{"text":%q}}`, text) }

func TestChat_MembersComeTalkAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		ann := h.enter("ann", "lobby")
		bob := h.enter("bob", "lobby")
		eve := h.enter("eve", "cellar")
		h.expect(ann, "joined ann: ann", "joined bob: ann bob")
		h.expect(bob, "joined bob: ann bob")

		ann.Write(`{"id":"x-1","event":"say","payload":{"text":" <b>hello</b> \n"}}`)
		h.expect(ann, "ann says <b>hello</b> (x-1)")
		h.expect(bob, "ann says <b>hello</b> (x-1)")

		ann.Write(`{"event":"leave"}`)
		h.expect(ann)
		if closed := ann.CloseError(); closed == nil || closed.Code != 1000 || closed.Text != "" {
			t.Errorf("ann's connection was closed with %v, want 1000 and no reason", closed)
		}
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
		ann.Write(`{"event":"drop"}`)
		h.expect(bob, "joined bob: ann bob", "away ann: ann(away) bob")
		if !ann.Ended() || ann.CloseError() != nil {
			t.Errorf("ann's connection has ended: %v, with %v; want it cut without a close frame", ann.Ended(), ann.CloseError())
		}

		for i := range 3 {
			bob.Write(say(fmt.Sprint(i)))
		}
		synctest.Wait()
		ann = h.enter("ann", "cellar") // the room of the session stays
		bob.Write(say("3"))
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
		_, response, err := h.Upgrade(socketPath("ann", "cellar", secretOf("mallory")), nil)
		if err == nil || response.StatusCode != 401 {
			t.Errorf("a socket with a taken name got %v, want status 401", err)
		}
		h.expect(ann, "joined ann: ann")

		ann.Write(`{"event":"leave"}`)
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
		if status, _, _ := h.request("GET", socketPath("ann", "lobby", secretOf("bob")), ""); status != 401 {
			t.Errorf("a socket with that name got %d, want 401", status)
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
		"no upgrade":     {},
		"foreign origin": {"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Origin", "http://evil.example"},
		"old version":    {"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "8"},
		"no key":         {"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13"},
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
				ann.Write(`{"event":"drop"}`)
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
		if closed := first.CloseError(); closed == nil || closed.Code != 1000 || closed.Text != "duplicate connection id" {
			t.Errorf("the first was closed with %v, want 1000 duplicate connection id", closed)
		}
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
		ann.Write(`{"event":"sing"}`)
		ann.Write(`{"event":"say","payload":"hello"}`)
		ann.Write(say(" \t"))
		ann.Write(say(strings.Repeat("é", 1001)))
		ann.Write(`{"id":"` + strings.Repeat("x", 65) + `","event":"say","payload":{"text":"hi"}}`)
		ann.Write(say(strings.Repeat("é", 1000)))
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
