package wspulse_test

import (
	"bufio"
	"net/http"
	"net/http/cookiejar"
	"net/textproto"
	"net/url"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/internal/rawpeer"
	"github.com/wspulse/server/wstest"
)

// newFrontedWorld is newWorld with a middleware that puts something into the header of the answer.
func newFrontedWorld(t *testing.T, put func(http.Header), options ...wspulse.ServerOption) *world {
	w := newWorld(t, options...)
	w.web = wstest.NewServer(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		put(rw.Header())
		w.server.ServeHTTP(wrapper{rw}, r)
	}))
	return w
}

// answer returns the lines of the answer to an upgrade request, without those of every handshake, and with a bar
// between them.
func (w *world) answer(opening string) string {
	w.t.Helper()
	conn, err := w.web.Listener.Dial(wstest.Faults{}, wstest.Faults{})
	w.must(err)
	defer conn.Close()
	_, err = conn.Write([]byte(opening))
	w.must(err)
	var lines []string
	reader := textproto.NewReader(bufio.NewReader(conn))
	for line, err := reader.ReadLine(); line != ""; line, err = reader.ReadLine() {
		w.must(err)
		switch name, _, _ := strings.Cut(line, ": "); name {
		case "HTTP/1.1 101 Switching Protocols", "Upgrade", "Connection", "Sec-WebSocket-Accept", "Sec-WebSocket-Protocol":
		default:
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "|")
}

// What a middleware has put into the header goes out with the 101 as with any other answer.
func TestUpgrade_HeaderOfMiddleware(t *testing.T) {
	for name, tc := range map[string]struct {
		header http.Header
		want   string
	}{
		"nothing":         {http.Header{}, ""},
		"a value":         {http.Header{"X-Request-Id": {"7"}}, "X-Request-Id: 7"},
		"several":         {http.Header{"Vary": {"Origin", "Cookie"}, "Age": {"1"}}, "Age: 1|Vary: Origin|Vary: Cookie"},
		"cookies":         {http.Header{"Set-Cookie": {"a=1; Path=/", "b=2"}}, "Set-Cookie: a=1; Path=/|Set-Cookie: b=2"},
		"no value":        {http.Header{"Date": nil}, ""},
		"line breaks":     {http.Header{"X-A": {"b\r\nX-Evil: 1\r\n\r\n\x81\x00"}}, "X-A: b  X-Evil: 1    \x81\x00"},
		"a line feed":     {http.Header{"X-A": {"b\nX-Evil: 1"}}, "X-A: b X-Evil: 1"},
		"a broken name":   {http.Header{"X-A\r\nX-Evil": {"1"}, "X B": {"2"}, "": {"3"}, "X-C": {"4"}}, "X-C: 4"},
		"the handshake's": {http.Header{"Upgrade": {"h2c"}, "Connection": {"close"}, "Sec-Websocket-Accept": {"x"}}, ""},
		"the same in other spellings": {http.Header{"upgrade": {"h2c"}, "CONNECTION": {"close"},
			"sec-websocket-accept": {"x"}, "Sec-WebSocket-Protocol": {"x"}, "Sec-Websocket-Version": {"8"}}, ""},
		"a body's": {http.Header{"Content-Length": {"5"}, "Content-Type": {"text/html"}, "Content-Encoding": {"gzip"},
			"Transfer-Encoding": {"chunked"}, "transfer-encoding": {"chunked"}, "Trailer": {"X-T"}, "Trailer:X-T": {"1"},
			"Content-Security-Policy": {"a"}}, "Content-Security-Policy: a"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				put := func(header http.Header) {
					for key, values := range tc.header {
						header[key] = values
					}
				}
				w := newFrontedWorld(t, put)
				defer w.server.Close()
				v1 := strings.Replace(rawpeer.Opening, "\r\n\r\n", "\r\nSec-WebSocket-Protocol: wspulse.v1\r\n\r\n", 1)
				for what, opening := range map[string]string{
					"plain": rawpeer.Opening, "wspulse.v1": v1, "refused": strings.Replace(v1, "room=", "refuse&room=", 1),
				} {
					if got := w.answer(opening); got != tc.want {
						t.Errorf("%s: the answer has %q, want %q", what, got, tc.want)
					}
				}
			})
		})
	}
}

// A cookie that comes with the 101 is there in the next request.
func TestUpgrade_Cookie(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var came journal
		w := newWorld(t)
		defer w.server.Close()
		w.web = wstest.NewServer(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			came.add("%q", r.Header["Cookie"])
			http.SetCookie(rw, &http.Cookie{Name: "visitor", Value: "7", HttpOnly: true})
			w.server.ServeHTTP(rw, r)
		}))
		jar, err := cookiejar.New(nil)
		w.must(err)
		for range 2 {
			_, _, err := w.upgrade("?room=r&id=alice", nil, wstest.WithDialer(func(d *websocket.Dialer) { d.Jar = jar }))
			w.must(err)
		}
		if got := came.take(); got != `[] ["visitor=7"]` {
			t.Errorf("the requests had the cookies %s", got)
		}
		if cookies := jar.Cookies(&url.URL{Scheme: "http", Host: "wstest"}); len(cookies) != 1 {
			t.Errorf("the client has %v", cookies)
		}
	})
}
