package envelope

import (
	"bytes"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// replacement stands for what is not valid UTF-8.
const replacement = "\uFFFD"

// quotedLen returns the length of the JSON string for s, quotes included. It is len(s)+2 just when s needs no escape.
func quotedLen(s string) int {
	n := len(s) + len(`""`)
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			return n + escapeLen(s[i:])
		}
	}
	return n
}

// escapeLen returns by how much escaping makes s longer.
func escapeLen(s string) int {
	n := 0
	for len(s) > 0 {
		instead, size := escape(s)
		if instead != "" {
			n += len(instead) - size
		}
		s = s[size:]
	}
	return n
}

// appendQuoted appends s to dst as a JSON string of valid UTF-8, which is n bytes long.
func appendQuoted(dst []byte, s string, n int) []byte {
	dst = append(dst, '"')
	if n > len(s)+len(`""`) {
		for len(s) > 0 {
			instead, size := escape(s)
			if instead == "" {
				instead = s[:size]
			}
			dst = append(dst, instead...)
			s = s[size:]
		}
	}
	dst = append(dst, s...)
	return append(dst, '"')
}

// escape returns the size of the first character of s and what stands for it in a JSON string, "" for itself. What is
// not valid UTF-8 counts as one character for each byte.
func escape(s string) (instead string, size int) {
	if s[0] < utf8.RuneSelf {
		return escapes[s[0]], 1
	}
	r, size := utf8.DecodeRuneInString(s)
	if r == utf8.RuneError && size == 1 {
		return replacement, 1
	}
	return "", size
}

// escapes holds what stands for each ASCII byte in a JSON string, "" for itself.
var escapes = func() (t [utf8.RuneSelf]string) {
	const hex = "0123456789abcdef"
	for c := range byte(' ') {
		t[c] = `\u00` + string(hex[c>>4]) + string(hex[c&15])
	}
	t['\b'], t['\t'], t['\n'], t['\f'], t['\r'] = `\b`, `\t`, `\n`, `\f`, `\r`
	t['"'], t['\\'] = `\"`, `\\`
	return t
}()

// unquotePair returns the strings that a and b stand for, each the inside of a valid JSON string. The two share one
// allocation.
func unquotePair(a, b []byte) (string, string) {
	var sb strings.Builder
	sb.Grow(len(a) + len(b))
	writeUnquoted(&sb, a)
	n := sb.Len()
	writeUnquoted(&sb, b)
	s := sb.String()
	return s[:n], s[n:]
}

// writeUnquoted writes the string that raw, the inside of a valid JSON string, stands for. What is written is valid
// UTF-8, and no longer than raw if raw is.
func writeUnquoted(b *strings.Builder, raw []byte) {
	if bytes.IndexByte(raw, '\\') < 0 && utf8.Valid(raw) {
		b.Write(raw)
		return
	}
	for len(raw) > 0 {
		if raw[0] != '\\' {
			r, size := utf8.DecodeRune(raw)
			b.WriteRune(r)
			raw = raw[size:]
			continue
		}
		if raw[1] != 'u' {
			b.WriteByte(unescape(raw[1]))
			raw = raw[2:]
			continue
		}
		r := hexRune(raw)
		raw = raw[6:]
		if utf16.IsSurrogate(r) {
			// A pair is one rune. Half a pair is replaced, and what follows it stands for itself.
			if r = utf16.DecodeRune(r, hexRune(raw)); r != utf8.RuneError {
				raw = raw[6:]
			}
		}
		b.WriteRune(r)
	}
}

// unescape returns the byte that a backslash and c stand for.
func unescape(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}

// hexRune returns the value of the \uXXXX that raw begins with, or -1.
func hexRune(raw []byte) rune {
	if len(raw) < 6 || raw[0] != '\\' || raw[1] != 'u' {
		return -1
	}
	var r rune
	for _, c := range raw[2:6] {
		r = r<<4 | hexValue(c)
	}
	return r
}

// hexValue returns the value of the hexadecimal digit c, or -1.
func hexValue(c byte) rune {
	switch {
	case '0' <= c && c <= '9':
		return rune(c - '0')
	case 'a' <= c && c <= 'f':
		return rune(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return rune(c-'A') + 10
	}
	return -1
}
