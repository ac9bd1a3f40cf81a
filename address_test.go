package wspulse_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	wspulse "github.com/wspulse/server"
)

// from returns a request of a peer with these headers, each of which may be there several times, with bars between
// them; "" is none.
func from(remoteAddr, xForwardedFor, forwarded string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = remoteAddr
	for name, values := range map[string]string{"X-Forwarded-For": xForwardedFor, "Forwarded": forwarded} {
		if values != "" {
			r.Header[name] = strings.Split(values, "|")
		}
	}
	return r
}

// atProxies is the key of a server behind proxies.
var atProxies = wspulse.ClientAddress(netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("2001:db8:ffff::/48"), netip.MustParsePrefix("fe80::1/128"))

func TestClientAddress_Peer(t *testing.T) {
	for remoteAddr, want := range map[string]string{
		"192.0.2.1:1234":               "192.0.2.1",
		"192.0.2.1":                    "192.0.2.1", // as a middleware may leave it
		"[2001:db8::1:2:3:4]:1234":     "2001:db8::/64",
		"[2001:db8:0:1:ff::]:1234":     "2001:db8:0:1::/64",
		"2001:db8::1":                  "2001:db8::/64",
		"[::ffff:192.0.2.1]:1234":      "192.0.2.1",
		"[::ffff:192.0.2.1%eth0]:1234": "192.0.2.1",
		"[fe80::2%eth0]:1234":          "fe80::/64",
		"@":                            "@",
		"":                             "",
		"pipe":                         "pipe",
		"192.0.2.1:":                   "192.0.2.1:",
		"192.0.2.1:1:2":                "192.0.2.1:1:2",
		"192.0.2.256:1":                "192.0.2.256:1",
		"[192.0.2.1]:1":                "[192.0.2.1]:1",
		"[::1:1":                       "[::1:1",
		"::1]:1":                       "::1]:1",
		"[::1]1":                       "[::1]1",
		"[":                            "[",
	} {
		headers := from(remoteAddr, "198.51.100.7", "for=198.51.100.7")
		for name, key := range map[string]func(*http.Request) string{
			"no proxies": wspulse.ClientAddress(), "other proxies": atProxies,
		} {
			if got := key(headers); got != want {
				t.Errorf("%s: %q is %q, want %q", name, remoteAddr, got, want)
			}
		}
	}
}

// What the headers of a proxy say. The peer is 10.0.0.1, unless the row is of another one.
func TestClientAddress_BehindProxies(t *testing.T) {
	const proxy = "10.0.0.1"
	for name, tc := range map[string]struct{ xForwardedFor, forwarded, want string }{
		"no header": {"", "", proxy},

		"one hop":                      {"192.0.2.1", "", "192.0.2.1"},
		"what the client claims":       {"198.51.100.7, 192.0.2.1", "", "192.0.2.1"},
		"two proxies":                  {"192.0.2.1, 10.0.0.2", "", "192.0.2.1"},
		"two proxies, two headers":     {"192.0.2.1|10.0.0.2", "", "192.0.2.1"},
		"a claim in its own header":    {"198.51.100.7|192.0.2.1", "", "192.0.2.1"},
		"proxies alone":                {"10.0.0.3,10.0.0.2", "", "10.0.0.3"},
		"IPv6":                         {"2001:db8:1:2:3::4", "", "2001:db8:1:2::/64"},
		"IPv6 in brackets":             {"[2001:db8:1:2:3::4]", "", "2001:db8:1:2::/64"},
		"ports":                        {"192.0.2.1:5000 , [2001:db8:ffff::1]:443", "", "192.0.2.1"},
		"mapped IPv4":                  {"::ffff:192.0.2.1, ::ffff:10.0.0.2", "", "192.0.2.1"},
		"a zone":                       {"192.0.2.1, fe80::1%eth0", "", "192.0.2.1"},
		"a claim that is broken":       {`"; for=x, 192.0.2.1`, "", "192.0.2.1"},
		"unknown":                      {"unknown", "", proxy},
		"unknown behind a proxy":       {"192.0.2.1, unknown, 10.0.0.2", "", "10.0.0.2"},
		"an empty entry":               {"192.0.2.1, , 10.0.0.2", "", "10.0.0.2"},
		"an empty header":              {"192.0.2.1|", "", proxy},
		"a name":                       {"client.example", "", proxy},
		"a port that is none":          {"192.0.2.1:", "", proxy},
		"a port that is broken":        {"192.0.2.1:8 0", "", proxy},
		"half a bracket":               {"[2001:db8::1", "", proxy},
		"leading zeros":                {"192.0.02.1", "", proxy},
		"what is for Forwarded alone":  {"for=192.0.2.1", "", proxy},
		"what is quoted, in this list": {`"192.0.2.1"`, "", proxy},

		"Forwarded":                      {"", "for=192.0.2.1", "192.0.2.1"},
		"Forwarded, all of it":           {"", `by=_x;For="192.0.2.1:80";host="a;b,c";proto=https`, "192.0.2.1"},
		"Forwarded, two proxies":         {"", "for=192.0.2.1;proto=https, for=10.0.0.2", "192.0.2.1"},
		"Forwarded, two headers":         {"", `for=198.51.100.7, for=192.0.2.1|for="10.0.0.2:_x"`, "192.0.2.1"},
		"Forwarded, IPv6":                {"", `for="[2001:db8:1:2:3::4]:4711"`, "2001:db8:1:2::/64"},
		"Forwarded, IPv6 without a port": {"", `for="[2001:db8:1:2:3::4]"`, "2001:db8:1:2::/64"},
		"Forwarded, spaces":              {"", " for = 192.0.2.1 ; proto=http ,\tfor=10.0.0.2", "192.0.2.1"},
		"Forwarded, unknown":             {"", "for=192.0.2.1, for=unknown", proxy},
		"Forwarded, hidden":              {"", `for=192.0.2.1, for="_gazonk", for=10.0.0.2`, "10.0.0.2"},
		"Forwarded, no for":              {"", "for=192.0.2.1, proto=https", proxy},
		"Forwarded, two for":             {"", "for=192.0.2.1;for=192.0.2.2", proxy},
		"Forwarded, empty for":           {"", "for=", proxy},
		"Forwarded, empty":               {"", "for=192.0.2.1|", proxy},
		"Forwarded, a quote too few":     {"", `for="192.0.2.1`, proxy},
		"Forwarded, one quote":           {"", `for="`, proxy},
		"Forwarded, escaped":             {"", `for="\192.0.2.1"`, proxy},
		"Forwarded, no pair":             {"", "192.0.2.1", proxy},

		"Forwarded, a claim with an open quote": {"", `for="198.51.100.7, for=192.0.2.1`, "192.0.2.1"},
		"Forwarded, quotes in the proxy's own": {"", `for=192.0.2.1;host="\", for=198.51.100.7;x=\"b\\", for=10.0.0.2`,
			"192.0.2.1"},

		"both say the same":                   {"192.0.2.1", "for=192.0.2.1", "192.0.2.1"},
		"both say the same, in other words":   {"::ffff:192.0.2.1", `for="192.0.2.1:80"`, "192.0.2.1"},
		"both are in one network":             {"2001:db8::1", `for="[2001:db8::2]"`, "2001:db8::/64"},
		"both, and they differ":               {"192.0.2.1", "for=192.0.2.2", proxy},
		"both, one of them is broken":         {"192.0.2.1", "for=unknown", proxy},
		"both, the client's is as the header": {"192.0.2.1", "for=10.0.0.2", proxy},
	} {
		if got := atProxies(from(proxy+":1234", tc.xForwardedFor, tc.forwarded)); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

func TestClientAddress_ProxiesByIPv6(t *testing.T) {
	for remoteAddr, want := range map[string]string{
		"[2001:db8:ffff::1]:80":  "192.0.2.1",
		"[::ffff:10.0.0.1]:80":   "192.0.2.1",
		"[fe80::1%eth0]:80":      "192.0.2.1",
		"[2001:db8:fffe::1]:80":  "2001:db8:fffe::/64",
		"[::ffff:11.0.0.1]:8080": "11.0.0.1",
	} {
		if got := atProxies(from(remoteAddr, "192.0.2.1", "")); got != want {
			t.Errorf("%s: %q, want %q", remoteAddr, got, want)
		}
	}
}

func TestClientAddress_Bounds(t *testing.T) {
	for _, prefix := range []netip.Prefix{{}, netip.MustParsePrefix("::ffff:10.0.0.0/104")} {
		text := panicText(func() wspulse.ServerOption { wspulse.ClientAddress(prefix); return nil })
		if !strings.HasPrefix(text, "wspulse: ClientAddress: "+prefix.String()) {
			t.Errorf("%v: panic %q", prefix, text)
		}
	}
}

// The list of proxies is what it was.
func TestClientAddress_KeepsItsList(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	key := wspulse.ClientAddress(trusted...)
	trusted[0] = netip.MustParsePrefix("192.0.2.0/24")
	if got := key(from("10.0.0.1:80", "192.0.2.1", "")); got != "192.0.2.1" {
		t.Errorf("got %q", got)
	}
}

// Whatever a client writes into the headers, its key is its own, or behind a proxy that of the proxy.
func FuzzClientAddress(f *testing.F) {
	f.Add("198.51.100.7", "for=198.51.100.7")
	f.Add(`10.0.0.2, "`, `for="10.0.0.2`)
	f.Add("|", `for=10.0.0.2;host="\"`)
	f.Add("10.0.0.3|10.0.0.2", `for="[2001:db8:ffff::1]", for=10.0.0.2, for=192.0.2.1\`)
	f.Fuzz(func(t *testing.T, claim, other string) {
		const client = "192.0.2.1"
		appended := func(claim, own string) []string {
			if claim == "" {
				return []string{own}
			}
			return []string{claim + ", " + own, claim + "|" + own}
		}
		expect := func(r *http.Request, want ...string) {
			t.Helper()
			if got := atProxies(r); !slices.Contains(want, got) {
				t.Errorf("peer %s, headers %q: %q, want one of %q", r.RemoteAddr, r.Header, got, want)
			}
		}
		expect(from(client+":80", claim, other), client)
		expect(from("[2001:db8::1]:80", claim, other), "2001:db8::/64")
		for _, header := range appended(claim, client) { // the proxy writes X-Forwarded-For
			expect(from("10.0.0.1:80", header, ""), client)
			expect(from("10.0.0.1:80", header+", 10.0.0.2", ""), client)
			expect(from("10.0.0.1:80", header, other), client, "10.0.0.1")
		}
		for _, header := range appended(claim, `by="_a,b\"";for="`+client+`:_x"`) { // it writes Forwarded
			expect(from("10.0.0.1:80", "", header), client)
			expect(from("10.0.0.1:80", "", header+";proto=https, for=10.0.0.2"), client)
			expect(from("10.0.0.1:80", other, header), client, "10.0.0.1")
		}
	})
}

// A server behind nginx at 10.0.0.1, which has
//
//	proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
func ExampleClientAddress() {
	key := wspulse.ClientAddress(netip.MustParsePrefix("10.0.0.1/32"))
	server := wspulse.NewServer(func(*http.Request) (roomID, connectionID string, err error) {
		return "lobby", "", nil
	}, wspulse.WithConnectionLimit(key, 50))
	defer server.Close()

	r := httptest.NewRequest("GET", "/ws", nil)
	r.RemoteAddr = "10.0.0.1:41000"
	r.Header.Set("X-Forwarded-For", "198.51.100.7, 2001:db8::5") // the first is a claim
	fmt.Println(key(r))
	r.RemoteAddr = "203.0.113.9:41000" // nobody's proxy
	fmt.Println(key(r))
	// Output:
	// 2001:db8::/64
	// 203.0.113.9
}
