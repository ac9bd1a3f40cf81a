package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// request sends a request, with the key of admins or another one, and returns the status, the body and the header.
func (h *house) request(method, path, body, key string) (int, string, http.Header) {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), method, "http://wstest"+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
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

func TestWeb_AdminsAnnounceAndSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		ann, bob, second := h.enter("ann", "harbour"), h.enter("bob"), h.enter("bob")
		for path, text := range map[string]string{
			"/rooms/harbour/announce": "  the ferry leaves\n",
			"/users/bob/send":         "only for you",
		} {
			if status, body, _ := h.request("POST", path, text, "sesame"); status != 204 {
				t.Errorf("%s got %d %s", path, status, body)
			}
		}
		h.expect(ann, "harbour announcement:  the ferry leaves")
		h.expect(bob, " private:  only for you"[1:])
		h.expect(second, "private:  only for you")
	})
}

func TestWeb_AdminsErrors(t *testing.T) {
	for _, c := range []struct {
		method, path, body, key string
		status                  int
		text                    string // part of the body
	}{
		{"POST", "/rooms/lobby/announce", "hi", "guess", 401, "not the key of admins"},
		{"POST", "/rooms/lobby/announce", "hi", "", 401, "not the key of admins"},
		{"POST", "/users/ann/send", "hi", "sesam", 401, "not the key of admins"},
		{"POST", "/rooms/cellar/announce", "hi", "sesame", 404, "nobody is there"},
		{"POST", "/users/zoe/send", "hi", "sesame", 404, "nobody is there"},
		{"POST", "/rooms/lobby/announce", " ", "sesame", 400, "the text is empty"},
		{"POST", "/rooms/lobby/announce", strings.Repeat("x", 1001), "sesame", 400, "more than 1000 characters"},
		{"POST", "/rooms/lobby/announce", strings.Repeat("x", maxBody+1), "sesame", 400, "too large"},
		{"GET", "/rooms/lobby/announce", "", "sesame", 404, ""},
		{"POST", "/", "", "sesame", 405, ""},
		{"GET", "/nothing", "", "", 404, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := open(t)
			ann := h.enter("ann")
			status, body, _ := h.request(c.method, c.path, c.body, c.key)
			if status != c.status || !strings.Contains(body, c.text) {
				t.Errorf("%s %s %.20s got %d %s, want %d %s", c.method, c.path, c.body, status, body, c.status, c.text)
			}
			h.expect(ann)
		})
	}
}

func TestWeb_FullBufferAndClosedServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		h.enter("ann").Drop()
		synctest.Wait()
		status, sent := 204, 0
		for ; status == 204 && sent < 2000; sent++ {
			status, _, _ = h.request("POST", "/users/ann/send", "hi", "sesame")
		}
		if status != 503 || sent != 1025 {
			t.Errorf("after %d it got %d, want 503 after 1024 that had room", sent, status)
		}
		ann := h.enter("ann")
		_ = h.chat.server.Shutdown(context.Background())
		ann.ExpectClose(1001, "server shutting down")
		if status, _, _ = h.request("POST", "/users/ann/send", "hi", "sesame"); status != 404 {
			t.Errorf("when nobody is there any more it got %d, want 404", status)
		}
	})
}

func TestWeb_StatsCountWhatHappened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		ann, bob := h.NewSession(path("ann"), from("ann's")).Connect(), h.enter("bob", "harbour")
		time.Sleep(time.Second)
		say(bob, "lobby", "hello")
		synctest.Wait()
		ann.Drop()
		time.Sleep(time.Second)
		_, body, header := h.request("GET", "/stats", "", "")
		for _, want := range []string{`"received":1,`, `"resumed":0,"rooms":2,"seconds":2,`, `"sessions":2,"suspended":1}`} {
			if !strings.Contains(body, want) || header.Get("Content-Type") != "application/json" {
				t.Errorf("got %s without %s", body, want)
			}
		}
		say(bob, "lobby", "are you there?")
		ann.Connect()
		time.Sleep(time.Second)
		_, body, _ = h.request("GET", "/stats", "", "")
		for _, want := range []string{`"dropped":0,`, `"resumed":1,"rooms":2,"seconds":3,`, `"suspended":0}`} {
			if !strings.Contains(body, want) {
				t.Errorf("after the resume got %s without %s", body, want)
			}
		}
	})
}

func TestWeb_PageReachesNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		for path, contentType := range map[string]string{
			"/":           "text/html; charset=utf-8",
			"/chat.js":    "text/javascript; charset=utf-8",
			"/view.js":    "text/javascript; charset=utf-8",
			"/wspulse.js": "text/javascript; charset=utf-8",
			"/chat.css":   "text/css; charset=utf-8",
			"/icon.svg":   "image/svg+xml",
		} {
			status, body, header := h.request("GET", path, "", "")
			if status != 200 || header.Get("Content-Type") != contentType || header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s got %d, %v", path, status, header)
			}
			if !strings.HasPrefix(header.Get("Content-Security-Policy"), "default-src 'self';") {
				t.Errorf("%s got the policy %q", path, header.Get("Content-Security-Policy"))
			}
			if cookie := header.Get("Set-Cookie"); (cookie != "") != (path == "/") {
				t.Errorf("%s got the cookie %q", path, cookie)
			}
			for _, word := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "https://",
				"style=", " onclick=\""} {
				if strings.Contains(body, word) {
					t.Errorf("%s has %s in it", path, word)
				}
			}
		}
	})
}

func TestWeb_CookieIsTheBrowsersOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		_, _, first := h.request("GET", "/", "", "")
		_, _, second := h.request("GET", "/", "", "")
		cookie, err := http.ParseSetCookie(first.Get("Set-Cookie"))
		if err != nil {
			t.Fatal(err)
		}
		if !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || len(cookie.Value) < 26 ||
			first.Get("Set-Cookie") == second.Get("Set-Cookie") {
			t.Errorf("the cookies are %q and %q", first.Get("Set-Cookie"), second.Get("Set-Cookie"))
		}
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
		r.AddCookie(cookie)
		w := httptest.NewRecorder()
		h.chat.handler().ServeHTTP(w, r)
		if w.Header().Get("Set-Cookie") != "" {
			t.Error("a browser that has one got another")
		}
	})
}

func TestWeb_LoopbackAnswersToItsOwnNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler := open(t).chat.handler()
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
			for _, path := range []string{"/", "/stats", "/nothing", path("ann")} {
				local := &net.TCPAddr{IP: net.ParseIP(c.local), Port: 8080}
				ctx := context.WithValue(t.Context(), http.LocalAddrContextKey, local)
				r := httptest.NewRequestWithContext(ctx, "GET", path, nil)
				r.Host = c.host
				r.Header.Set("Origin", "http://"+c.host)
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, r)
				if got := w.Code == http.StatusMisdirectedRequest; got != c.misdirected {
					t.Errorf("%s of host %q at %s got %d", path, c.host, c.local, w.Code)
				}
			}
		}
	})
}

// TestWeb_PageNamesWhatThereIs: the scripts find each element that they ask for.
func TestWeb_PageNamesWhatThereIs(t *testing.T) {
	read := func(name string) string {
		data, err := web.ReadFile("web/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	page, scripts := read("index.html"), read("chat.js")+read("view.js")
	for rest := scripts; ; {
		_, after, found := strings.Cut(rest, "element('")
		if !found {
			break
		}
		id, _, _ := strings.Cut(after, "'")
		if !strings.Contains(page, fmt.Sprintf(`id="%s"`, id)) {
			t.Errorf("there is no element %s", id)
		}
		rest = after
	}
}
