package wspulse

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// ClientAddress returns a key for [WithConnectionLimit]: the address that a request comes from, without its port. An
// IPv6 address counts by its first 64 bits ("2001:db8::/64"), since a client has all that begin so; one that is a
// mapped IPv4 address counts as that.
//
// trusted are the addresses of your proxies. Where the peer of a connection is one of them, X-Forwarded-For or
// Forwarded (RFC 7239) is read from its end, where the nearest proxy has written, and the first address that is not
// trusted is the client's. An entry that is no address ("unknown", a name that hides it) ends that at the last address
// before it: that of the proxy which has written it. From any other peer both headers are what a client claims, and
// are not looked at.
//
// A proxy that writes one of the two passes on what a client has put into the other. So where a request has both, they
// must lead to the same key. If they don't, the key is that of the peer: whoever makes them differ shares the seats of
// the proxy's own address with all who do that. Where honest clients have both, have the proxy remove one (nginx:
// proxy_set_header Forwarded "").
//
// A RemoteAddr that is no address, as on a Unix socket, is returned as it is, whatever the headers say.
//
// Danger: whoever is trusted can claim any address. List the proxies and nobody else, not the whole of a network that
// has clients in it, and only proxies that write one of the headers.
//
// ClientAddress panics on a prefix that is not valid, or that is one of mapped IPv4 addresses.
func ClientAddress(trusted ...netip.Prefix) func(*http.Request) string {
	for _, prefix := range trusted {
		if !prefix.IsValid() || prefix.Addr().Is4In6() {
			panic(fmt.Sprintf("wspulse: ClientAddress: %v is not a prefix of IPv4 or of IPv6 addresses", prefix))
		}
	}
	proxies := proxies(slices.Clone(trusted))
	return func(r *http.Request) string {
		peer, ok := parseHop(r.RemoteAddr)
		if !ok {
			return r.RemoteAddr
		}
		key := addressKey(peer)
		if !proxies.contain(peer) {
			return key
		}
		bare, forwarded := r.Header["X-Forwarded-For"], r.Header["Forwarded"]
		byBare := addressKey(proxies.follow(peer, bare, func(entry string) string { return entry }))
		byForwarded := addressKey(proxies.follow(peer, forwarded, forwardedFor))
		switch {
		case len(forwarded) == 0 || byBare == byForwarded:
			return byBare
		case len(bare) == 0:
			return byForwarded
		default:
			return key
		}
	}
}

// addressKey returns what an address counts by.
func addressKey(a netip.Addr) string {
	if a.Is4() {
		return a.String()
	}
	return netip.PrefixFrom(a, 64).Masked().String()
}

// proxies are the addresses that are trusted.
type proxies []netip.Prefix

func (p proxies) contain(a netip.Addr) bool {
	return slices.ContainsFunc(p, func(prefix netip.Prefix) bool { return prefix.Contains(a) })
}

// follow goes from a peer that is trusted to the first address that is not, by lists of hops whose last one is the
// nearest. address takes the address from an entry, or returns what is none.
func (p proxies) follow(peer netip.Addr, lists []string, address func(entry string) string) netip.Addr {
	for _, list := range slices.Backward(lists) {
		for more := true; more; {
			var entry string
			list, entry, more = cutLast(list, ',')
			hop, ok := parseHop(address(entry))
			if !ok {
				return peer
			}
			if peer = hop; !p.contain(peer) {
				return peer
			}
		}
	}
	return peer
}

// cutLast returns what stands before and behind the last separator that is not between quotes. It reads from the end,
// so that what a client has put into the front of a list, an open quote say, changes nothing of what a proxy has
// appended.
func cutLast(list string, separator byte) (front, last string, found bool) {
	quoted := false
	for i := len(list) - 1; i >= 0; i-- {
		switch {
		case list[i] == separator && !quoted:
			return list[:i], list[i+1:], true
		case list[i] == '"':
			before := strings.TrimRight(list[:i], `\`)
			if (i-len(before))%2 == 0 { // or it is escaped
				quoted = !quoted
			}
			i = len(before)
		}
	}
	return "", list, false
}

// forwardedFor returns the node that is named by the one parameter "for" of an element of Forwarded (RFC 7239, section
// 4), without its quotes, or "".
func forwardedFor(element string) (node string) {
	for more := true; more; {
		var pair string
		element, pair, more = cutLast(element, ';')
		name, value, _ := strings.Cut(pair, "=")
		if !strings.EqualFold(strings.Trim(name, " \t"), "for") {
			continue
		}
		if node != "" {
			return "" // there are two
		}
		node = strings.Trim(value, " \t")
		if len(node) > 1 && node[0] == '"' && node[len(node)-1] == '"' {
			node = node[1 : len(node)-1]
		}
	}
	return node
}

// parseHop reads an address with or without a port, which may be hidden (RFC 7239, section 6.3). An IPv6 address stands
// in brackets if there is a port, and may do so anyway.
func parseHop(s string) (netip.Addr, bool) {
	host, port := strings.Trim(s, " \t"), "0"
	bracketed := strings.HasPrefix(host, "[")
	colon := strings.LastIndexByte(host, ':')
	if colon > strings.LastIndexByte(host, ']') && (bracketed || strings.Count(host, ":") == 1) {
		host, port = host[:colon], host[colon+1:]
	}
	if bracketed {
		var closed bool
		if host, closed = strings.CutSuffix(host[1:], "]"); !closed {
			return netip.Addr{}, false
		}
	}
	a, err := netip.ParseAddr(host)
	if err != nil || bracketed && a.Is4() || !consistsOf(port, letters+digits+"._-") {
		return netip.Addr{}, false
	}
	return a.Unmap().WithZone(""), true
}
