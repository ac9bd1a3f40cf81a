package wspulse_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/wstest"
)

// A keeper is a ResponseWriter that could give its connection away, and does not.
type keeper struct{ *httptest.ResponseRecorder }

func (keeper) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, errors.New("mine") }

// answerTo returns what a server answers to a request that does not become a session. One that could answers 500.
func answerTo(server wspulse.Server, r *http.Request) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	server.ServeHTTP(keeper{answer}, r)
	return answer
}

const (
	nginx = "(nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; " +
		"proxy_set_header Connection upgrade;)"
	keptConnection = ": a proxy has not passed Connection " + nginx + ", or the client is none for WebSockets"
	keptUpgrade    = ": a proxy has not passed Upgrade " + nginx + ", or the client is none for WebSockets"
	useClient      = ": the client must open a WebSocket as RFC 6455, section 4.1 says"

	noSeat      = "too many connections (WithMaxConnections): try again when one has ended"
	noSeatOfKey = "too many connections for one key (WithConnectionLimit): try again when one has ended"
)

// notUpgrades are requests that are no opening handshake, and what they are told.
var notUpgrades = map[string]struct {
	change func(r *http.Request)
	answer string
}{
	"a page": {func(r *http.Request) { r.Header = http.Header{} }, "no token upgrade in Connection" + keptConnection},
	"a proxy that keeps Connection": {func(r *http.Request) { r.Header.Set("Connection", "close") },
		`no token upgrade in Connection (it is "close")` + keptConnection},
	"a proxy that keeps Upgrade": {func(r *http.Request) { r.Header.Del("Upgrade") },
		"no token websocket in Upgrade" + keptUpgrade},
	"another protocol": {func(r *http.Request) { r.Header.Set("Upgrade", "h2c") },
		`no token websocket in Upgrade (it is "h2c")` + keptUpgrade},
	"another version": {func(r *http.Request) { r.Header.Set("Sec-WebSocket-Version", "8") },
		`Sec-WebSocket-Version is not 13 (it is "8"): the client must speak the version of RFC 6455`},
	"no version": {func(r *http.Request) { r.Header.Del("Sec-WebSocket-Version") },
		"Sec-WebSocket-Version is not 13: the client must speak the version of RFC 6455"},
	"no key": {func(r *http.Request) { r.Header.Del("Sec-WebSocket-Key") },
		"Sec-WebSocket-Key is not one value of 16 bytes in base64" + useClient},
	"a body":    {func(r *http.Request) { r.ContentLength = 5 }, "the request has a body" + useClient},
	"not a GET": {func(r *http.Request) { r.Method = "POST" }, `the method is not GET (it is "POST")` + useClient},
	"extensions": {func(r *http.Request) { r.Header.Set("Sec-WebSocket-Extensions", ";") },
		"Sec-WebSocket-Extensions is no list of extensions" + useClient},
	"HTTP/1.0": {func(r *http.Request) { r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.0", 1, 0 },
		`the request is older than HTTP/1.1 (it is "HTTP/1.0"): serve WebSockets over HTTP/1.1; a proxy must use that ` +
			"towards the server " + nginx},
	"HTTP/2": {func(r *http.Request) { r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0 },
		"HTTP/2 request: serve WebSockets over HTTP/1.1, since RFC 8441 is not supported; a proxy must use that towards " +
			"the server, and an http.Server whose TLSNextProto is an empty map, or whose Protocols has HTTP1 alone, " +
			"offers nothing newer"},
}

// What is no upgrade is refused before the application is asked: a ticket that is good for one time is not spent on it.
// The answer and the log say what is wrong, and each cause has a line of its own, whatever else is refused in that
// second.
func TestRefusal_NoUpgrade(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		core, logs := observer.New(zap.WarnLevel)
		spent := false
		connect := func(*http.Request) (string, string, error) { spent = true; return "", "", nil }
		server := wspulse.NewServer(connect, anyOrigin, wspulse.WithLogger(zap.New(core)))
		defer server.Close()
		for name, tc := range notUpgrades {
			for _, query := range []string{"?room=r", "?room=s"} {
				r := newUpgrade(query)
				tc.change(r)
				answer := answerTo(server, r)
				if body := answer.Body.String(); answer.Code != 400 || body != tc.answer+"\n" || len(body) > 300 {
					t.Errorf("%s: %d %q", name, answer.Code, body)
				}
				speaks := answer.Header().Get("Sec-WebSocket-Version")
				if want := strings.Contains(name, "version"); (speaks == "13") != want || speaks != "" && !want {
					t.Errorf("%s: Sec-WebSocket-Version %q", name, speaks)
				}
			}
		}
		if spent {
			t.Error("ConnectFunc ran")
		}
		var said, want []string
		for _, entry := range logs.All() {
			said = append(said, fmt.Sprint(entry.ContextMap()["error"]))
		}
		cause := func(text string) string { return strings.Split(strings.Split(text, ":")[0], " (")[0] }
		causes := map[string]bool{}
		for _, tc := range notUpgrades {
			causes[cause(tc.answer)] = true
		}
		for _, text := range said {
			want = append(want, cause(text))
			delete(causes, cause(text))
		}
		if len(causes) > 0 || len(said) != 9 {
			t.Errorf("logged %q; not %v", want, causes)
		}
	})
}

// A client whose HTTP/2 reaches the server is told so, by its name.
func TestRefusal_HTTP2(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		var two http.Protocols
		two.SetUnencryptedHTTP2(true)
		web := wstest.NewServer(t, w.server, func(h *http.Server) { h.Protocols = &two })
		transport := &http.Transport{Protocols: &two, DialContext: web.Listener.DialContext}
		defer transport.CloseIdleConnections()
		response, err := (&http.Client{Transport: transport}).Get("http://wstest/?room=r&id=alice")
		w.must(err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		w.must(err)
		if want := notUpgrades["HTTP/2"].answer + "\n"; response.StatusCode != 400 || string(body) != want {
			t.Errorf("%s %s: %q", response.Proto, response.Status, body)
		}
		w.expect("")
	})
}

const kept = ", so the connection cannot be taken over"

// The ResponseWriters of middleware that keeps the connection.
type (
	plain struct{ http.ResponseWriter }
	empty struct{ http.ResponseWriter }
)

func (empty) Unwrap() http.ResponseWriter { return nil }

// A passer gives away the connection of what it wraps, as gin's ResponseWriter does, whether or not that has one.
type passer struct{ http.ResponseWriter }

func (p passer) Unwrap() http.ResponseWriter { return p.ResponseWriter }

func (p passer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return p.ResponseWriter.(http.Hijacker).Hijack()
}

// A middleware that keeps the connection is named, before the application is asked.
func TestRefusal_Writer(t *testing.T) {
	for name, tc := range map[string]struct {
		writer func(w http.ResponseWriter) http.ResponseWriter
		answer string
	}{
		"no Unwrap": {func(w http.ResponseWriter) http.ResponseWriter { return plain{w} },
			"wspulse_test.plain has no Unwrap method" + kept + ": add `Unwrap() http.ResponseWriter`, " +
				"or serve WebSockets without it"},
		"no Unwrap behind others": {
			func(w http.ResponseWriter) http.ResponseWriter { return wrapper{&wrapper{plain{w}}} },
			"wspulse_test.plain has no Unwrap method" + kept + ": add `Unwrap() http.ResponseWriter`, " +
				"or serve WebSockets without it"},
		"no Unwrap behind what would give it away": {
			func(w http.ResponseWriter) http.ResponseWriter { return passer{plain{w}} },
			"wspulse_test.plain has no Unwrap method" + kept + ": add `Unwrap() http.ResponseWriter`, " +
				"or serve WebSockets without it"},
		"Unwrap of nothing": {func(w http.ResponseWriter) http.ResponseWriter { return wrapper{empty{w}} },
			"wspulse_test.empty returns nil from its Unwrap method" + kept + ": it must return the ResponseWriter that " +
				"it wraps"},
		"Hijack fails": {func(w http.ResponseWriter) http.ResponseWriter {
			return wrapper{keeper{w.(*httptest.ResponseRecorder)}}
		},
			"wspulse_test.wrapper cannot hand over the connection: mine"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				core, logs := observer.New(zap.WarnLevel)
				connect := func(*http.Request) (string, string, error) { return "r", "alice", nil }
				server := wspulse.NewServer(connect, anyOrigin, wspulse.WithLogger(zap.New(core)),
					wspulse.WithMaxConnections(1))
				defer server.Close()
				for range 2 {
					answer := httptest.NewRecorder()
					server.ServeHTTP(tc.writer(answer), newUpgrade(""))
					if body := answer.Body.String(); answer.Code != 500 || body != tc.answer+"\n" {
						t.Errorf("%d %q", answer.Code, body)
					}
				}
				if logs.Len() != 1 || logs.All()[0].ContextMap()["error"] != tc.answer {
					t.Errorf("logged %v", logs.All())
				}
			})
		})
	}
}

// http.TimeoutHandler keeps the connection, and has no Unwrap method to be added.
func TestRefusal_TimeoutHandler(t *testing.T) {
	server := wspulse.NewServer(fromQuery, anyOrigin)
	defer server.Close()
	answer := httptest.NewRecorder()
	http.TimeoutHandler(server, time.Minute, "").ServeHTTP(answer, newUpgrade("?room=r&id=alice"))
	want := "*http.timeoutWriter has no Unwrap method" + kept + ": serve WebSockets without http.TimeoutHandler\n"
	if answer.Code != 500 || answer.Body.String() != want {
		t.Errorf("%d %q", answer.Code, answer.Body)
	}
}

// What the application refuses: the client hears as much as it may know, the log why.
func TestRefusal_ByTheApplication(t *testing.T) {
	user := wspulse.WithCheckOrigin(func(*http.Request) bool { return false })
	allowed := wspulse.WithCheckOrigin(wspulse.AllowOrigins("https://example.com", "https://*.example.org"))
	for name, tc := range map[string]struct {
		query, origin string
		option        wspulse.ServerOption
		status        int
		answer, log   string
	}{
		"ConnectFunc": {"?refuse", "", anyOrigin, 401, "unauthorized", "ConnectFunc: no such user"},
		"ConnectFunc panics": {"?panic", "", anyOrigin, 500, "ConnectFunc panicked: the server's log says where",
			"<nil>"},
		"SameOrigin": {"", "https://evil.example", wspulse.WithCheckOrigin(wspulse.SameOrigin), 403,
			`origin "https://evil.example" is not allowed`,
			`: SameOrigin expected "http://server", from the Host header and TLS; behind a proxy give AllowOrigins the ` +
				"public origin"},
		"AllowOrigins": {"", "https://evil.example", allowed, 403, `origin "https://evil.example" is not allowed`,
			": AllowOrigins expected one of https://example.com, https://*.example.org"},
		"a function": {"", "null", user, 403, `origin "null" is not allowed`,
			": the function of WithCheckOrigin says so"},
		"its panic": {"", "", wspulse.WithCheckOrigin(func(*http.Request) bool { panic("secret") }), 500,
			"CheckOrigin panicked: the server's log says where", "<nil>"},
		"the panic of a key": {
			"", "", wspulse.WithConnectionLimit(func(*http.Request) string { panic("secret") }, 1), 500,
			"WithConnectionLimit panicked: the server's log says where", "<nil>"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w, logs := newLoggedWorld(t, zap.WarnLevel, tc.option)
				for range 10 {
					r := newUpgrade(tc.query)
					if tc.origin != "" {
						r.Header.Set("Origin", tc.origin)
					}
					answer := answerTo(w.server, r)
					if body := answer.Body.String(); answer.Code != tc.status || body != tc.answer+"\n" {
						t.Errorf("%d %q", answer.Code, body)
					}
				}
				want := tc.log
				if strings.HasPrefix(want, ":") {
					want = tc.answer + want
				}
				entries := logs.FilterLevelExact(zap.WarnLevel).All()
				got := fmt.Sprint(entries[0].ContextMap()["error"])
				if got != want || len(entries) != 1 && tc.status != 500 {
					t.Errorf("logged %v", entries)
				}
				w.expect("")
			})
		})
	}
}

// A flood of one cause does not hide another, and makes five lines a second at the most, whatever is in it.
func TestRefusal_FloodOfBadTokens(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		core, logs := observer.New(zap.WarnLevel)
		n := 0
		connect := func(*http.Request) (string, string, error) {
			n++
			return "", "", fmt.Errorf("token %d: %s", n, strings.Repeat("x", 1<<20))
		}
		server := wspulse.NewServer(connect, anyOrigin, wspulse.WithLogger(zap.New(core)))
		defer server.Close()
		for range 100 {
			answerTo(server, newUpgrade(""))
		}
		page := newUpgrade("")
		page.Header = http.Header{}
		answerTo(server, page)
		entries := logs.All()
		if len(entries) != 6 || !strings.HasPrefix(fmt.Sprint(entries[5].ContextMap()["error"]), "no token upgrade") {
			t.Errorf("%d lines", len(entries))
		}
		for _, entry := range entries {
			if line := fmt.Sprint(entry.ContextMap()); len(line) > 500 {
				t.Errorf("a line of %d bytes", len(line))
			}
		}
	})
}

// A server that is closed, or full, says so, and does not ask the application in vain.
func TestRefusal_ByTheServer(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		user := func(r *http.Request) string { return r.URL.Query().Get("user") }
		w, logs := newLoggedWorld(t, zap.DebugLevel, wspulse.WithMaxConnections(2),
			wspulse.WithConnectionLimit(user, 1), wspulse.WithHandshakeTimeout(time.Second))
		expect := func(query string, status int, want string) {
			t.Helper()
			answer := answerTo(w.server, newUpgrade(query))
			if answer.Code != status || answer.Body.String() != want+"\n" {
				t.Errorf("%s: %d %q", query, answer.Code, answer.Body)
			}
		}
		w.dial("r", "1&user=a")
		expect("?room=r&id=2&user=a", 429, noSeatOfKey)
		w.dial("r", "3&user=b")
		expect("?room=r&id=4&user=c", 503, noSeat)
		expect("?slow", 503, "the handshake took longer than 1s (WithHandshakeTimeout)")
		w.server.Close()
		expect("?refuse", 503, "server closed: try again in a moment")
		last := logs.All()[logs.Len()-1]
		if last.Level != zap.DebugLevel || last.ContextMap()["error"] != "server closed" {
			t.Errorf("logged %v", last)
		}
	})
}

// The line of a refusal is in the log before the client has its answer. A sink that is slow holds up the answer for a
// tenth of a second at the most.
func TestRefusal_IsLoggedBeforeItIsAnswered(t *testing.T) {
	for delay, want := range map[time.Duration]time.Duration{
		50 * time.Millisecond: 50 * time.Millisecond, time.Hour: 100 * time.Millisecond,
	} {
		inBubble(t, func(t *testing.T) {
			logger, _ := slowLog(delay)
			w := newWorld(t, wspulse.WithLogger(logger))
			time.Sleep(time.Hour)
			start := time.Now()
			if _, response, err := w.upgrade("?refuse", nil); err == nil || response.StatusCode != 401 {
				t.Errorf("%v", response)
			}
			w.took(start, want)
			w.server.Close()
			time.Sleep(3 * time.Hour)
		})
	}
}

// Middleware that unwraps, several times over, is no hindrance.
func TestUpgrade_BehindSeveralMiddlewares(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.web = wstest.NewServer(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			w.server.ServeHTTP(wrapper{&wrapper{wrapper{rw}}}, r)
		}))
		w.dial("r", "alice")
		synctest.Wait()
		w.expect("alice:connect")
		w.server.Close()
	})
}
