package wspulse

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// SameOrigin accepts a request whose Origin header names the scheme, the host and the port that the request came to. It
// is for [WithCheckOrigin]: pages of other sites can then not connect with their visitors' cookies.
//
// Host and port are those of the Host header; the scheme is https where r.TLS is set, and http elsewhere. Behind a
// proxy that terminates TLS or changes the Host header, that is not what the browser sees, and every page is refused:
// give [AllowOrigins] the public origin there. Do the same for a server on a private network: an attacker's page whose
// host is made to resolve to that server's address (DNS rebinding) names the same origin in both headers.
//
// A request without an Origin header does not come from a browser, and is accepted. Any other program can leave the
// header out, or forge it: this keeps pages out, and authenticates nobody.
func SameOrigin(r *http.Request) bool {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	accept := func(o origin) bool {
		own, ok := parseOrigin(scheme + "://" + r.Host)
		return ok && o == own
	}
	return checkOrigin(r, accept, func() string {
		return fmt.Sprintf("SameOrigin expected %.100q, from the Host header and TLS; behind a proxy give AllowOrigins the "+
			"public origin", scheme+"://"+r.Host)
	})
}

// AllowOrigins returns a function for [WithCheckOrigin] that accepts the pages of the origins that match a pattern:
//
//	https://example.com       that scheme, that host and the scheme's own port, 443 (80 for http)
//	https://example.com:8443  the same with another port
//	https://*.example.com     every subdomain, however deep, but not example.com itself
//	http://localhost:*        every port
//
// A subdomain pattern trusts whoever can put a page on any of the subdomains. Hosts compare without regard to case,
// IPv6 addresses ("http://[::1]:8080") by their value. A host that is not ASCII is to be written as browsers send it
// ("xn--…"). What is no such origin is refused: "null", which sandboxed pages and local files send, a host that ends
// with a dot, an IPv6 zone, two Origin headers.
//
// A request without an Origin header does not come from a browser, and is accepted. Any other program can leave the
// header out, or forge it: this keeps pages out, and authenticates nobody.
//
// AllowOrigins panics when there is no pattern, and on one that has not such a form, or the scheme ws or wss, since an
// Origin names the page and not the WebSocket.
func AllowOrigins(patterns ...string) func(*http.Request) bool {
	if len(patterns) == 0 {
		panic("wspulse: AllowOrigins: no patterns given")
	}
	allowed := make([]originPattern, len(patterns))
	for i, pattern := range patterns {
		var ok bool
		if allowed[i], ok = parseOriginPattern(pattern); !ok {
			panic(fmt.Sprintf("wspulse: AllowOrigins: %q is not the scheme://host or scheme://host:port of a page, "+
				`with "*." before the host for its subdomains or ":*" for every port`, pattern))
		}
	}
	return func(r *http.Request) bool {
		accept := func(o origin) bool {
			return slices.ContainsFunc(allowed, func(p originPattern) bool { return p.matches(o) })
		}
		return checkOrigin(r, accept, func() string {
			return fmt.Sprintf("AllowOrigins expected one of %.400s", strings.Join(patterns, ", "))
		})
	}
}

// checkOrigin accepts a request without an Origin header, and one with a single Origin that accept takes. Of a request
// that it refuses it notes what was expected.
func checkOrigin(r *http.Request, accept func(origin) bool, expected func() string) bool {
	values := r.Header["Origin"]
	if len(values) == 0 {
		return true
	}
	if o, ok := parseOrigin(values[0]); ok && len(values) == 1 && accept(o) {
		return true
	}
	if note, ok := r.Context().Value(expectedKey{}).(*string); ok {
		*note = expected()
	}
	return false
}

// expectedKey is the key under which the context of a request holds a *string: what the origin was expected to be.
type expectedKey struct{}

// An origin is where a page comes from (RFC 6454, section 4). Two of them are equal when all of it is.
type origin struct {
	scheme, host string // as canonicalHost returns it; the scheme in lower case
	port         uint16 // 0: none given, and the scheme has none of its own
}

const (
	letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits  = "0123456789"
)

// parseOrigin takes apart what browsers write: a scheme, "://", a host, and a port unless it is the scheme's own (RFC
// 6454, section 6.2). There is nothing else in it.
func parseOrigin(s string) (o origin, ok bool) {
	scheme, host, _ := strings.Cut(s, "://")
	if !consistsOf(scheme, letters+digits+"+-.") || !consistsOf(scheme[:1], letters) { // RFC 3986, section 3.1
		return origin{}, false
	}
	o.scheme = strings.ToLower(scheme)
	switch o.scheme {
	case "http":
		o.port = 80
	case "https":
		o.port = 443
	}
	if colon := strings.LastIndexByte(host, ':'); colon > strings.LastIndexByte(host, ']') {
		port, err := strconv.ParseUint(host[colon+1:], 10, 16)
		if err != nil || port == 0 {
			return origin{}, false
		}
		host, o.port = host[:colon], uint16(port)
	}
	o.host, ok = canonicalHost(host)
	return o, ok
}

// canonicalHost returns a name or an IPv4 address in lower case, and an IPv6 address in brackets and in its shortest
// form.
func canonicalHost(s string) (host string, ok bool) {
	if address, open := strings.CutPrefix(s, "["); open {
		address, closed := strings.CutSuffix(address, "]")
		ip, err := netip.ParseAddr(address)
		return "[" + ip.String() + "]", closed && err == nil && ip.Is6() && ip.Zone() == ""
	}
	for label := range strings.SplitSeq(s, ".") {
		if !consistsOf(label, letters+digits+"-_") {
			return "", false
		}
	}
	return strings.ToLower(s), true
}

// consistsOf says whether s has nothing but these characters, and at least one.
func consistsOf(s, characters string) bool {
	return s != "" && strings.Trim(s, characters) == ""
}

// An originPattern matches origins.
type originPattern struct {
	origin
	subdomains bool // of the host, which begins with a dot then
	anyPort    bool
}

func parseOriginPattern(s string) (p originPattern, ok bool) {
	if rest, found := strings.CutSuffix(s, ":*"); found {
		s, p.anyPort = rest+":1", true // some port in its place
	}
	scheme, host, _ := strings.Cut(s, "://")
	host, p.subdomains = strings.CutPrefix(host, "*.")
	p.origin, ok = parseOrigin(scheme + "://" + host)
	if !ok || p.scheme == "ws" || p.scheme == "wss" {
		return originPattern{}, false
	}
	if p.subdomains {
		top := p.host[strings.LastIndexByte(p.host, '.')+1:]
		ok = consistsOf(top[:1], letters) // the end of a name, not of an address
		p.host = "." + p.host
	}
	return p, ok
}

func (p originPattern) matches(o origin) bool {
	switch {
	case o.scheme != p.scheme, o.port != p.port && !p.anyPort:
		return false
	case p.subdomains:
		return strings.HasSuffix(o.host, p.host)
	default:
		return o.host == p.host
	}
}
