package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wspulse/server/wstest"
)

func TestAPI_AnnounceSendKickAndMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		ann, bob := h.enter("ann", "lobby"), h.enter("bob", "lobby")
		h.told(ann)
		h.told(bob)

		status, body, _ := h.request("POST", "/rooms/lobby/announce", `{"text":"Coffee is ready"}`)
		if want := fmt.Sprintf(`{"id":"%s-3"}`, h.chat.run); status != 202 || body != want {
			t.Errorf("announce got %d %s, want 202 %s", status, body, want)
		}
		if status, body, _ = h.request("POST", "/users/ann/send", `{"text":"Psst"}`); status != 202 {
			t.Errorf("send got %d %s, want 202", status, body)
		}
		h.expect(ann, "announcement: Coffee is ready", "private: Psst")
		h.expect(bob, "announcement: Coffee is ready")

		bob.Drop()
		synctest.Wait()
		status, body, _ = h.request("GET", "/rooms/lobby", "")
		want := `{"members":[{"name":"ann","away":false},{"name":"bob","away":true}],"room":"lobby"}`
		if status != 200 || body != want {
			t.Errorf("the room got %d %s, want 200 %s", status, body, want)
		}

		if status, body, _ = h.request("POST", "/users/ann/kick", ""); status != 204 || body != "" {
			t.Errorf("kick got %d %s, want 204", status, body)
		}
		ann.ExpectClose(1000, "kicked")
	})
}

func TestAPI_Errors(t *testing.T) {
	long := `{"text":"` + strings.Repeat("x", maxBody) + `"}`
	secret := strings.Repeat("s", minSecret)
	for _, c := range []struct {
		method, path, body string
		header             []string
		status             int
		error              string // part of it
	}{
		{"POST", "/rooms/cellar/announce", `{"text":"hi"}`, nil, 404, "nobody in a room"},
		{"POST", "/rooms/lobby/announce", `{"text":`, nil, 400, "one JSON object"},
		{"POST", "/rooms/lobby/announce", `{"text":"hi"} {}`, nil, 400, "one JSON object"},
		{"POST", "/rooms/lobby/announce", `{"txt":"hi"}`, nil, 400, "no others"},
		{"POST", "/rooms/lobby/announce", `{"text":"  "}`, nil, 400, "the text is empty"},
		{"POST", "/rooms/lobby/announce", `{"text":"` + strings.Repeat("x", 1001) + `"}`, nil, 400,
			"more than 1000 characters"},
		{"POST", "/rooms/lobby/announce", long, nil, 413, "larger than 16 KiB"},
		{"POST", "/rooms/lobby/announce", `{"text":"hi"}`, []string{"Content-Type", "text/plain"}, 415, "application/json"},
		{"POST", "/rooms/lobby/announce", `{"text":"hi"}`, []string{"Origin", "http://evil.example"}, 403, "other sites"},
		{"POST", "/users/ann/kick", "", []string{"Sec-Fetch-Site", "cross-site"}, 403, "other sites"},
		{"POST", "/users/zoe/send", `{"text":"hi"}`, nil, 404, "no user of that name"},
		{"POST", "/users/ann/send", ``, nil, 415, "application/json"},
		{"POST", "/users/ann/send", `[]`, nil, 400, "one JSON object"},
		{"POST", "/users/zoe/kick", "", nil, 404, "no user of that name"},
		{"GET", "/rooms/cellar", "", nil, 404, "nobody in a room"},
		{"GET", "/nothing", "", nil, 404, "nothing here"},
		{"GET", "//nothing", "", nil, 404, "nothing here"},
		{"GET", "/a/../b", "", nil, 404, "nothing here"},
		{"GET", "/a/../stats", "", nil, 307, ""},
		{"POST", "/join", `{"name":"","room":"lobby","secret":"` + secret + `"}`, nil, 400,
			"the name must have 1 to 24 characters"},
		{"POST", "/join", `{"name":"ann","room":"` + strings.Repeat("ü", 25) + `","secret":"` + secret + `"}`, nil, 400,
			"the room must have 1 to 24"},
		{"POST", "/join", `{"name":"<b>","room":"lobby","secret":"` + secret + `"}`, nil, 400, "the name may have letters"},
		{"POST", "/join", `{"name":"..","room":"lobby","secret":"` + secret + `"}`, nil, 400, "the name may have letters"},
		{"POST", "/join", `{"name":"ann","room":"lobby","secret":"short"}`, nil, 400, "16 to 64 bytes"},
		{"POST", "/join", `{"name":"zoë","room":"Café-2","secret":"` + secret + `"}`, nil, 204, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := open(t)
			h.enter("ann", "lobby")
			status, body, header := h.request(c.method, c.path, c.body, c.header...)
			what := fmt.Sprintf("%s %s %.40s", c.method, c.path, c.body)
			if status != c.status {
				t.Errorf("%s got %d %s, want %d", what, status, body, c.status)
			}
			if c.error != "" {
				checkError(t, what, body, header, c.error)
			}
		})
	}
}

func checkError(t *testing.T, what, body string, header http.Header, part string) {
	t.Helper()
	var e struct{ Error string }
	if err := json.Unmarshal([]byte(body), &e); err != nil || !strings.Contains(e.Error, part) {
		t.Errorf("%s got the body %s, want an error with %q", what, body, part)
	}
	if header.Get("Content-Type") != "application/json" || header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s got the header %v", what, header)
	}
}

func TestAPI_MethodNotAllowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		for path, allow := range map[string]string{
			"/":                     "GET, HEAD",
			"/ws":                   "GET, HEAD",
			"/join":                 "POST",
			"/stats":                "GET, HEAD",
			"/rooms/lobby":          "GET, HEAD",
			"/rooms/lobby/announce": "POST",
			"/users/ann/send":       "POST",
			"/users/ann/kick":       "POST",
		} {
			status, body, header := h.request("DELETE", path, "")
			if status != 405 || header.Get("Allow") != allow {
				t.Errorf("DELETE %s got %d, Allow %q, want 405, %q", path, status, header.Get("Allow"), allow)
			}
			checkError(t, path, body, header, "method")
		}
	})
}

func TestAPI_FullBuffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		h.enter("ann", "lobby").Drop()
		synctest.Wait()
		status, body, header := 0, "", http.Header(nil)
		sent := 0
		for ; sent < 1000; sent++ {
			if status, body, header = h.request("POST", "/users/ann/send", `{"text":"hi"}`); status != 202 {
				break
			}
		}
		if status != 503 || header.Get("Retry-After") != "1" || sent != 255 { // one slot holds that ann is away
			t.Errorf("after %d sends got %d %v, want 503 after 255", sent, status, header)
		}
		checkError(t, "a full buffer", body, header, "try again later")
	})
}

func TestAPI_ServerClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		ann := h.enter("ann", "lobby")
		h.chat.server.Close()
		ann.ExpectClose(1001, "server shutting down")
		status, body, header := h.request("POST", "/users/ann/kick", "")
		if status != 503 {
			t.Errorf("kick after the end got %d, want 503", status)
		}
		checkError(t, "kick", body, header, "shutting down")
		if status, _, _ = h.request("POST", "/rooms/lobby/announce", `{"text":"hi"}`); status != 404 {
			t.Errorf("announce after the end got %d, want 404", status)
		}
	})
}

func TestSocket_OtherSitesAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		path := socketPath("ann", "lobby", secretOf("ann"))
		for _, origin := range []string{"http://evil.example", "http://wstest:8081", "null"} {
			_, response, err := h.TryDial(path, wstest.WithHeader(http.Header{"Origin": {origin}}))
			if err == nil || response.StatusCode != 403 {
				t.Errorf("origin %s got %v, want status 403", origin, err)
			}
		}
		if _, _, err := h.TryDial(path, wstest.WithHeader(http.Header{"Origin": {"http://wstest"}})); err != nil {
			t.Errorf("the page's own origin: %v", err)
		}
	})
}

func TestWeb_LoopbackAnswersToItsOwnNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler := newHandler(open(t).chat)
		for _, c := range []struct {
			local, host string
			misdirected bool
		}{
			{"127.0.0.1", "127.0.0.1:8080", false},
			{"127.0.0.1", "LocalHost:8080", false},
			{"127.0.0.1", "localhost", false},
			{"::1", "[::1]:8080", false},
			{"::1", "[::1]", false},
			{"127.0.0.1", "evil.example:8080", true},
			{"::1", "evil.example", true},
			{"127.0.0.1", "127.0.0.1.evil.example:8080", true},
			{"127.0.0.1", "localhost.evil.example", true},
			{"127.0.0.1", "192.0.2.1:8080", true},
			{"127.0.0.1", "", true},
			{"192.0.2.1", "chat.example", false},
		} {
			for _, path := range []string{"/", "/stats", "/nothing", socketPath("ann", "lobby", secretOf("ann"))} {
				local := &net.TCPAddr{IP: net.ParseIP(c.local), Port: 8080}
				ctx := context.WithValue(t.Context(), http.LocalAddrContextKey, local)
				r := httptest.NewRequestWithContext(ctx, "GET", path, nil)
				r.Host = c.host
				r.Header.Set("Origin", "http://"+c.host)
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, r)
				what := fmt.Sprintf("%s of host %q at %s", path, c.host, c.local)
				if got := w.Code == http.StatusMisdirectedRequest; got != c.misdirected {
					t.Errorf("%s got %d", what, w.Code)
				}
				if c.misdirected {
					checkError(t, what, w.Body.String(), w.Header(), "no other host")
				}
			}
		}
	})
}

func TestStats_CountWhatHappened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		ann := h.enter("ann", "lobby")
		bob := h.enter("bob", "lobby")
		h.enter("eve", "cellar")
		bob.Drop()
		synctest.Wait()
		bob = h.enter("bob", "lobby")
		ann.Send(say("hello"))
		synctest.Wait()
		bob.Send(leave)
		synctest.Wait()
		h.request("POST", "/users/eve/kick", "")
		time.Sleep(3 * time.Second)

		status, body, _ := h.request("GET", "/stats", "")
		// Broadcasts: joined three times, away, back, a message, left; nobody was left to hear that eve was kicked.
		want := `{"uptimeSeconds":3,` +
			`"sessions":{"open":1,"opened":3,"resumed":1,` +
			`"closed":{"duplicate":0,"grace_expired":0,"kick":1,"normal":1,"server_close":0},"pongTimeouts":0},` +
			`"rooms":1,` +
			`"frames":{"received":2,"broadcast":7,"sent":11,"dropped":0,`
		if status != 200 || !strings.HasPrefix(body, want) {
			t.Errorf("got %d %s\nwant    %s...", status, body, want)
		}
	})
}

func TestWeb_PageReachesNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		for path, contentType := range map[string]string{
			"/":         "text/html; charset=utf-8",
			"/chat.js":  "text/javascript; charset=utf-8",
			"/link.js":  "text/javascript; charset=utf-8",
			"/chat.css": "text/css; charset=utf-8",
			"/icon.svg": "image/svg+xml",
		} {
			status, body, header := h.request("GET", path, "")
			if status != 200 || header.Get("Content-Type") != contentType || header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s got %d, %v", path, status, header)
			}
			if !strings.HasPrefix(header.Get("Content-Security-Policy"), "default-src 'self';") {
				t.Errorf("%s got the policy %q", path, header.Get("Content-Security-Policy"))
			}
			for _, word := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "https://"} {
				if strings.Contains(body, word) {
					t.Errorf("%s has %s in it", path, word)
				}
			}
		}
	})
}
