package wire

import "strings"

// An extension is one that a client offers (RFC 6455, section 9.1).
type extension struct {
	name   string
	params [maxParams]param // the first ones
	n      int              // how many there are
}

// maxParams is how many parameters permessage-deflate has at the most (RFC 7692, section 7.1).
const maxParams = 4

// A param has no value where that is empty: an empty value is no token.
type param struct{ key, value string }

// eachExtension takes the values of Sec-WebSocket-Extensions apart until visit returns false, and says whether they
// keep to the grammar so far. It keeps nothing: the list is as long as the client likes.
func eachExtension(headers []string, visit func(extension) bool) (ok bool) {
	for _, header := range headers {
		s := scanner{rest: header}
		for {
			s.skip(" \t,") // RFC 9110, section 5.6.1: a list may have empty elements
			if s.rest == "" {
				break
			}
			e, ok := s.extension()
			if !ok || s.rest != "" && !strings.HasPrefix(s.rest, ",") {
				return false
			}
			if !visit(e) {
				return true
			}
		}
	}
	return true
}

// A scanner takes tokens from the front of a header's value.
type scanner struct{ rest string }

func (s *scanner) skip(cutset string) { s.rest = strings.TrimLeft(s.rest, cutset) }

// extension takes an extension and the space after it.
func (s *scanner) extension() (e extension, ok bool) {
	if e.name, ok = s.token(); !ok {
		return e, false
	}
	for s.take(';') {
		var p param
		if p.key, ok = s.token(); !ok {
			return e, false
		}
		if s.take('=') {
			if p.value, ok = s.value(); !ok {
				return e, false
			}
		}
		if e.n < maxParams {
			e.params[e.n] = p
		}
		e.n++
	}
	return e, true
}

// take takes c and the space around it, if it comes next.
func (s *scanner) take(c byte) bool {
	s.skip(" \t")
	if s.rest == "" || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	s.skip(" \t")
	return true
}

// token takes a token (RFC 9110, section 5.6.2).
func (s *scanner) token() (string, bool) {
	n := 0
	for n < len(s.rest) && tokenByte(s.rest[n]) {
		n++
	}
	token := s.rest[:n]
	s.rest = s.rest[n:]
	return token, n > 0
}

// value takes a token, bare or between quotes.
func (s *scanner) value() (string, bool) {
	if !strings.HasPrefix(s.rest, `"`) {
		return s.token()
	}
	s.rest = s.rest[1:]
	token, ok := s.token()
	if !ok || !strings.HasPrefix(s.rest, `"`) {
		return "", false
	}
	s.rest = s.rest[1:]
	return token, true
}

// IsToken says whether s is a token.
func IsToken(s string) bool {
	scan := scanner{rest: s}
	_, ok := scan.token()
	return ok && scan.rest == ""
}

func tokenByte(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' ||
		strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}
