package wspulse_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	wspulse "github.com/wspulse/server"
)

// fromPage is an upgrade request to a host, with these Origin headers.
func fromPage(host string, secure bool, origins ...string) *http.Request {
	r := newUpgrade("")
	r.Host = host
	if secure {
		r.TLS = &tls.ConnectionState{}
	}
	if len(origins) > 0 {
		r.Header["Origin"] = origins
	}
	return r
}

func TestSameOrigin(t *testing.T) {
	for name, tc := range map[string]struct {
		host    string
		secure  bool
		origins []string
		want    bool
	}{
		"same":                          {"example.com", true, []string{"https://example.com"}, true},
		"same, no TLS":                  {"example.com", false, []string{"http://example.com"}, true},
		"same port":                     {"example.com:8080", false, []string{"http://example.com:8080"}, true},
		"default port in Host":          {"example.com:443", true, []string{"https://example.com"}, true},
		"default port in Origin":        {"example.com", false, []string{"http://example.com:80"}, true},
		"upper case":                    {"EXAMPLE.com", true, []string{"HTTPS://example.COM"}, true},
		"IPv4":                          {"127.0.0.1:8080", false, []string{"http://127.0.0.1:8080"}, true},
		"IPv6":                          {"[::1]:8080", false, []string{"http://[::1]:8080"}, true},
		"IPv6, other spelling":          {"[0:0::0001]", true, []string{"https://[::1]"}, true},
		"no Origin":                     {"example.com", true, nil, true},
		"no Origin, no Host":            {"", false, nil, true},
		"other host":                    {"example.com", true, []string{"https://example.org"}, false},
		"other scheme":                  {"example.com", true, []string{"http://example.com"}, false},
		"other scheme, TLS elsewhere":   {"example.com", false, []string{"https://example.com"}, false},
		"other scheme, same port":       {"example.com:443", false, []string{"https://example.com"}, false},
		"other port":                    {"example.com", true, []string{"https://example.com:8443"}, false},
		"the other's default port":      {"example.com", true, []string{"https://example.com:80"}, false},
		"a port more":                   {"example.com:8080", false, []string{"http://example.com"}, false},
		"subdomain":                     {"example.com", true, []string{"https://www.example.com"}, false},
		"parent":                        {"www.example.com", true, []string{"https://example.com"}, false},
		"dot at the end":                {"example.com", true, []string{"https://example.com."}, false},
		"dot at both ends":              {"example.com.", true, []string{"https://example.com."}, false},
		"empty Origin":                  {"example.com", true, []string{""}, false},
		"empty Host":                    {"", true, []string{"https://"}, false},
		"null":                          {"null", true, []string{"null"}, false},
		"two Origins":                   {"example.com", true, []string{"https://example.com", "https://example.com"}, false},
		"two in one":                    {"example.com", true, []string{"https://example.com https://example.com"}, false},
		"userinfo":                      {"example.com", true, []string{"https://evil.org@example.com"}, false},
		"userinfo in both":              {"a@example.com", true, []string{"https://a@example.com"}, false},
		"path in both":                  {"example.com/a", true, []string{"https://example.com/a"}, false},
		"IPv6 zone in both":             {"[fe80::1%25eth0]", true, []string{"https://[fe80::1%25eth0]"}, false},
		"half an IPv6 in Host":          {"[::1:80", false, []string{"http://[::1]"}, false},
		"mapped IPv4 is an IPv6":        {"127.0.0.1", true, []string{"https://[::ffff:127.0.0.1]"}, false},
		"letters that fold to ASCII":    {"bank.com", true, []string{"https://ban\u212a.com"}, false},
		"no ASCII in both":              {"b\u00fccher.example", true, []string{"https://b\u00fccher.example"}, false},
		"line break":                    {"example.com", true, []string{"https://example.com\n"}, false},
		"Host is not the attacker's":    {"example.com", true, []string{"https://evil-example.com"}, false},
		"Host at the attacker's begins": {"example.com", true, []string{"https://example.com.evil.org"}, false},
	} {
		if got := wspulse.SameOrigin(fromPage(tc.host, tc.secure, tc.origins...)); got != tc.want {
			t.Errorf("%s: Host %q, Origin %q: %t", name, tc.host, tc.origins, got)
		}
	}
}

func TestAllowOrigins(t *testing.T) {
	const (
		exact = "https://example.com"
		port  = "https://example.com:8443"
		sub   = "https://*.example.com"
		local = "http://localhost:*"
		ip6   = "http://[2001:DB8::0:1]:8080"
		app   = "chrome-extension://abcdefghijklmnop"
	)
	for pattern, cases := range map[string]struct{ accepted, refused []string }{
		exact: {
			accepted: []string{"https://example.com", "https://example.com:443", "https://example.com:0443", "HTTPS://Example.COM"},
			refused: []string{
				"", "null", " ", "https:", "https://", "example.com", "//example.com", "://example.com", "https:example.com",
				"https:/example.com", "https:///example.com", "http://example.com", "http://example.com:443", "wss://example.com",
				"https://example.com:", "https://example.com:0", "https://example.com:80", "https://example.com:8443",
				"https://example.com:65979", "https://example.com:18446744073709552059", "https://example.com:-443",
				"https://example.com:+443", "https://example.com:4_43", "https://example.com:0x1bb", "https://example.com:443:443",
				"https://www.example.com", "https://evil-example.com", "https://evilexample.com", "https://example.com.evil.org",
				"https://example.comevil.org", "https://example.co", "https://example.com.", "https://.example.com",
				"https://example..com", "https://example.com@evil.org", "https://evil.org@example.com", "https://a:b@example.com",
				"https://@example.com", "https://example.com/", "https://example.com/a", "https://evil.org/example.com",
				"https://evil.org/https://example.com", "https://example.com?", "https://example.com?a", "https://evil.org?example.com",
				"https://evil.org?https://example.com", "https://example.com#", "https://example.com#a", "https://evil.org#example.com",
				`https://example.com\`, `https://example.com\.evil.org`, `https:\\example.com`, "https://example.com,https://evil.org",
				"https://evil.org https://example.com", "https://example.com https://example.com", " https://example.com",
				"https://example.com ", "https ://example.com", "https://example.com\n", "https://example.com\r\n", "https://example.com\x00",
				"https://example.com\x00.evil.org", "\thttps://example.com", "https://exam\x7fple.com", "https://exam%70le.com",
				"https://%65xample.com", "https://example\u3002com", "https://\uff45xample.com", "https://ex\u00adample.com",
				"http\u017f://example.com", "https://example.com\xff", "https://[example.com]", "https://[::1]", "https://*.example.com",
				"https://*",
			},
		},
		port: {
			accepted: []string{"https://example.com:8443"},
			refused:  []string{"https://example.com", "https://example.com:443", "https://example.com:84430", "http://example.com:8443"},
		},
		sub: {
			accepted: []string{"https://www.example.com", "https://a.b.c.example.com:443", "https://A.EXAMPLE.COM", "https://xn--bcher-kva.example.com"},
			refused: []string{
				"https://example.com", "https://.example.com", "https://a..example.com", "https://..example.com", "https://evil-example.com",
				"https://evilexample.com", "https://www.example.com.evil.org", "https://www.example.com.", "https://www.example.com:8443",
				"http://www.example.com", "https://evil.org/.example.com", "https://evil.org?.example.com", "https://evil.org#.example.com",
				`https://evil.org\.example.com`, "https://evil.org:443.example.com", "https://evil.org@www.example.com", "https://a@.example.com",
				"https://evil.org%00.example.com", "https://evil.org\x00.example.com", "https://evil.org .example.com", "https://*.example.com",
				"https://b\u00fccher.example.com", "https://[::1].example.com", "null",
			},
		},
		local: {
			accepted: []string{"http://localhost", "http://localhost:80", "http://localhost:3000", "http://LOCALHOST:65535"},
			refused: []string{
				"https://localhost", "https://localhost:3000", "http://localhost:*", "http://localhost:", "http://localhost:0",
				"http://localhost:65536", "http://localhost:3000.evil.org", "http://localhost.evil.org:3000", "http://127.0.0.1:3000",
				"http://a.localhost:3000", "http://localhost:3000@evil.org", "http://localhost:a", "http://[::1]:3000",
			},
		},
		ip6: {
			accepted: []string{"http://[2001:db8::1]:8080", "http://[2001:db8:0:0:0:0:0:1]:8080", "http://[2001:DB8::0.0.0.1]:8080"},
			refused: []string{
				"http://[2001:db8::1]", "http://[2001:db8::2]:8080", "http://[2001:db8::1%25eth0]:8080", "http://[2001:db8::1%eth0]:8080",
				"http://2001:db8::1:8080", "http://[2001:db8::1:8080", "http://2001:db8::1]:8080", "http://[[2001:db8::1]]:8080",
				"http://[2001:db8::1].evil.org:8080", "http://[2001:db8::1]evil.org:8080", "http://[]:8080", "http://[v1.a]:8080",
			},
		},
		"http://[::ffff:7f00:1]": {
			accepted: []string{"http://[::ffff:127.0.0.1]"},
			refused:  []string{"http://127.0.0.1", "http://[127.0.0.1]", "http://[::1]"},
		},
		"http://127.0.0.1:8080": {
			accepted: []string{"http://127.0.0.1:8080"},
			refused:  []string{"http://127.1:8080", "http://2130706433:8080", "http://0x7f.1:8080", "http://[::ffff:127.0.0.1]:8080"},
		},
		app: {
			accepted: []string{app},
			refused:  []string{app + ":1", app + ":443", "chrome-extension://abcdefghijklmnoq", "https://abcdefghijklmnop"},
		},
		"https://*.example.com:*": {
			accepted: []string{"https://a.example.com", "https://a.b.example.com:1"},
			refused:  []string{"https://example.com:1", "http://a.example.com:1"},
		},
	} {
		check := wspulse.AllowOrigins(pattern)
		for _, origin := range cases.accepted {
			if !check(fromPage("server", true, origin)) {
				t.Errorf("%s refuses %q", pattern, origin)
			}
		}
		for _, origin := range cases.refused {
			if check(fromPage("server", true, origin)) {
				t.Errorf("%s accepts %q", pattern, origin)
			}
		}
		if !check(fromPage("server", true)) {
			t.Errorf("%s refuses a request without an Origin", pattern)
		}
		if o := cases.accepted[0]; check(fromPage("server", true, o, o)) || check(fromPage("server", true, o, "null")) {
			t.Errorf("%s accepts two Origins", pattern)
		}
	}
}

// One pattern that matches is enough.
func TestAllowOrigins_AnyOf(t *testing.T) {
	check := wspulse.AllowOrigins("https://a.example", "http://b.example", "https://*.c.example")
	for origin, want := range map[string]bool{
		"https://a.example": true, "http://b.example": true, "https://x.c.example": true,
		"http://a.example": false, "https://b.example": false, "https://c.example": false, "https://x.a.example": false,
	} {
		if got := check(fromPage("server", true, origin)); got != want {
			t.Errorf("%s: %t", origin, got)
		}
	}
}

func TestAllowOrigins_Panics(t *testing.T) {
	for _, pattern := range []string{
		"", "*", "null", "example.com", "*.example.com", "https://", "https://*", "https://*:443", "https://*.", "https://*.*.example.com",
		"https://www.*.example.com", "https://*example.com", "https://ex*mple.com", "https://example.*", "*://example.com", "//example.com",
		"https://example.com/", "https://example.com/chat", "https://example.com?a", "https://example.com#a", "https://a@example.com",
		"https://example.com:", "https://example.com:0", "https://example.com:65536", "https://example.com:84*", "https://example.com:80:*",
		"https://example.com:*:*", "https://:*", "https://example.com.", "https://*.example.com.", "https://b\u00fccher.example", " https://example.com",
		"https://example.com,https://example.org", "https://*.0.0.1", "https://*.1", "https://*.0x7f", "https://*.[::1]", "https://::1", "http://::*",
		"https://[::1%25eth0]", "https://[1.2.3.4]", "ws://example.com", "wss://example.com", "WSS://*.example.com:*", "1https://example.com",
	} {
		text := panicText(func() wspulse.ServerOption {
			return wspulse.WithCheckOrigin(wspulse.AllowOrigins("https://example.com", pattern))
		})
		if !strings.HasPrefix(text, "wspulse: AllowOrigins: ") || !strings.Contains(text, strconv.Quote(pattern)) {
			t.Errorf("%q: panic %q", pattern, text)
		}
	}
	text := panicText(func() wspulse.ServerOption { return wspulse.WithCheckOrigin(wspulse.AllowOrigins()) })
	if !strings.HasPrefix(text, "wspulse: AllowOrigins: no pattern") {
		t.Errorf("none given: panic %q", text)
	}
}

// The server refuses with 403 what the functions refuse, and net/http gives them what the browser sent.
func TestUpgrade_Origins(t *testing.T) {
	for name, check := range map[string]func(*http.Request) bool{
		"SameOrigin": wspulse.SameOrigin, "AllowOrigins": wspulse.AllowOrigins("http://wstest"),
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t, wspulse.WithCheckOrigin(check))
				for _, origins := range [][]string{{"http://evil.example"}, {"http://wstest", "http://server"}, {""}} {
					_, response, err := w.upgrade("?room=r&id=mallory", http.Header{"Origin": origins})
					if err == nil || response.StatusCode != http.StatusForbidden {
						t.Errorf("Origin %q: %s", origins, response.Status)
					}
				}
				alice, _, err := w.upgrade("?room=r&id=alice", http.Header{"Origin": {"http://wstest"}})
				w.must(err)
				w.expect("alice:connect")
				alice.Drop()
			})
		})
	}
}

func ExampleAllowOrigins() {
	check := wspulse.AllowOrigins("https://example.com", "https://*.example.com", "http://localhost:*")
	server := wspulse.NewServer(fromQuery, wspulse.WithCheckOrigin(check))
	defer server.Close()

	for _, origin := range []string{
		"https://example.com", "https://www.example.com", "http://localhost:3000", // accepted
		"http://example.com", "https://example.com.evil.example", "null",
	} {
		r := httptest.NewRequest(http.MethodGet, "/ws", nil)
		r.Header.Set("Origin", origin)
		fmt.Println(origin, check(r))
	}
	// Output:
	// https://example.com true
	// https://www.example.com true
	// http://localhost:3000 true
	// http://example.com false
	// https://example.com.evil.example false
	// null false
}

// A place is an origin by the way of net/url, for comparison: its scheme, its host as labels or as the bytes of an IPv6 address,
// and its port.
type place struct {
	scheme string
	labels []string
	port   int
}

// slowOrigin takes an origin apart; ok says whether it is one.
func slowOrigin(s string) (p place, ok bool) {
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' || strings.IndexByte(`%?#@\`, c) >= 0 {
			return p, false
		}
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || u.Host == "" || s != s[:len(u.Scheme)]+"://"+u.Host || strings.HasSuffix(u.Host, ":") {
		return p, false
	}
	p.scheme, p.port = u.Scheme, map[string]int{"http": 80, "https": 443}[u.Scheme]
	if port := u.Port(); port != "" {
		if p.port, err = strconv.Atoi(port); err != nil || p.port < 1 || p.port > 65535 {
			return p, false
		}
	}
	if u.Host[0] == '[' {
		ip := net.ParseIP(u.Hostname())
		p.labels = []string{fmt.Sprintf("[%x]", []byte(ip))}
		return p, ip != nil && strings.Contains(u.Hostname(), ":")
	}
	p.labels = strings.Split(strings.ToLower(u.Hostname()), ".")
	for _, label := range p.labels {
		if label == "" {
			return p, false
		}
		for _, c := range label {
			if word := 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_'; !word {
				return p, false
			}
		}
	}
	return p, true
}

// slowPattern returns what accepts the origins of a pattern, or nil if it is none.
func slowPattern(s string) func(place) bool {
	subdomains, anyPort := strings.Contains(s, "://*."), strings.HasSuffix(s, ":*")
	s = strings.Replace(s, "://*.", "://any.", 1)
	if anyPort {
		s = s[:len(s)-1] + "9"
	}
	want, ok := slowOrigin(s)
	if !ok || want.scheme == "ws" || want.scheme == "wss" {
		return nil
	}
	if subdomains {
		want.labels = want.labels[1:]
		if top := want.labels[len(want.labels)-1][0]; top < 'a' || top > 'z' {
			return nil
		}
	}
	return func(p place) bool {
		if subdomains {
			if len(p.labels) <= len(want.labels) {
				return false
			}
			p.labels = p.labels[len(p.labels)-len(want.labels):]
		}
		return p.scheme == want.scheme && (anyPort || p.port == want.port) && slices.Equal(p.labels, want.labels)
	}
}

func FuzzSameOrigin(f *testing.F) {
	f.Add("https://example.com", "example.com:443", true)
	f.Add("http://EXAMPLE.com:80", "example.com", false)
	f.Add("http://[::ffff:1.2.3.4]:8080", "[::FFFF:102:304]:8080", false)
	f.Add("http://[fe80::1%25eth0]", "[fe80::1%25eth0]", false)
	f.Add("https://a@example.com", "a@example.com", true)
	f.Add("https://example.com.", "example.com.", true)
	f.Add("null", "", true)
	f.Add("http://example.com:443", "example.com", true)
	f.Add("https://example.com", "example.com:8443", true)
	f.Add("https://[1.2.3.4]", "[1.2.3.4]", true)
	f.Add("https://a%2f/b", "a%2f/b", true)
	f.Fuzz(func(t *testing.T, origin, host string, secure bool) {
		page, ok := slowOrigin(origin)
		own, okOwn := slowOrigin(map[bool]string{false: "http://", true: "https://"}[secure] + host)
		want := ok && okOwn && page.scheme == own.scheme && page.port == own.port && slices.Equal(page.labels, own.labels)
		if got := wspulse.SameOrigin(fromPage(host, secure, origin)); got != want {
			t.Errorf("Host %q, TLS %t, Origin %q: %t", host, secure, origin, got)
		}
	})
}

func FuzzAllowOrigins(f *testing.F) {
	f.Add("https://example.com", "https://example.com:443")
	f.Add("https://example.com:8443", "https://EXAMPLE.com:08443")
	f.Add("https://*.example.com", "https://a.b.example.com")
	f.Add("https://*.example.com", "https://evil-example.com")
	f.Add("http://localhost:*", "http://localhost:3000")
	f.Add("http://[::1]:*", "http://[0:0::1]:80")
	f.Add("http://[::ffff:102:304]", "http://[::ffff:1.2.3.4]")
	f.Add("app://host", "app://host:0")
	f.Add("https://*.0.0.1", "https://127.0.0.1")
	f.Add("wss://example.com", "null")
	f.Add("HTTPS://example.com", "https://example.com")
	f.Add("1https://example.com", "1https://example.com")
	f.Add("https://example.com", "http://example.com:443")
	f.Add("https://example.com", "https://example.com:80")
	f.Add("https://example.com", "https://www.example.com")
	f.Add("https://*.example.com", "https://example.com")
	f.Fuzz(func(t *testing.T, pattern, origin string) {
		accepts := slowPattern(pattern)
		var check func(*http.Request) bool
		text := panicText(func() wspulse.ServerOption {
			check = wspulse.AllowOrigins(pattern)
			return nil
		})
		if accepts == nil {
			if !strings.HasPrefix(text, "wspulse: AllowOrigins: "+strconv.Quote(pattern)) {
				t.Errorf("pattern %q: panic %q", pattern, text)
			}
			return
		}
		if text != "" {
			t.Fatalf("pattern %q: panic %q", pattern, text)
		}
		page, ok := slowOrigin(origin)
		want := ok && accepts(page)
		if got := check(fromPage("server", true, origin)); got != want {
			t.Errorf("pattern %q, Origin %q: %t", pattern, origin, got)
		}
	})
}
