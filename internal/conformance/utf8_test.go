package conformance

import (
	"fmt"
	"strings"
)

// runes are texts at the bounds of UTF-8 (RFC 3629, section 4).
var runes = map[string]string{
	"U+0000":                    "\x00",
	"U+007F":                    "\x7f",
	"U+0080":                    "\xc2\x80",
	"U+07FF":                    "\xdf\xbf",
	"U+0800":                    "\xe0\xa0\x80",
	"U+D7FF, before surrogates": "\xed\x9f\xbf",
	"U+E000, after surrogates":  "\xee\x80\x80",
	"U+FDD0, a noncharacter":    "\xef\xb7\x90",
	"U+FEFF, byte order mark":   "\xef\xbb\xbf",
	"U+FFFD, replacement":       "\xef\xbf\xbd",
	"U+FFFE, a noncharacter":    "\xef\xbf\xbe",
	"U+FFFF, a noncharacter":    "\xef\xbf\xbf",
	"U+10000":                   "\xf0\x90\x80\x80",
	"U+1FFFE, a noncharacter":   "\xf0\x9f\xbf\xbe",
	"U+FFFFF, a noncharacter":   "\xf3\xbf\xbf\xbf",
	"U+10FFFE, a noncharacter":  "\xf4\x8f\xbf\xbe",
	"U+10FFFF":                  "\xf4\x8f\xbf\xbf",
	"Greek":                     "κόσμε",
	"all lengths":               "aß水🌊",
}

// noText is what is not UTF-8, each by its first error.
var noText = map[string]string{
	"lone continuation, lowest":    "\x80",
	"lone continuation, highest":   "\xbf",
	"six continuations":            "\x80\x81\x82\x83\x84\x85",
	"continuation behind a rune":   "\xc3\xa9\xa9",
	"2 bytes, the second missing":  "\xc3",
	"3 bytes, the third missing":   "\xe6\xb0",
	"3 bytes, two missing":         "\xe6",
	"4 bytes, the fourth missing":  "\xf0\x9f\x8c",
	"4 bytes, two missing":         "\xf0\x9f",
	"4 bytes, three missing":       "\xf0",
	"2 bytes, cut by a letter":     "\xc3a",
	"3 bytes, cut by a letter":     "\xe6\xb0a",
	"4 bytes, cut by a letter":     "\xf0\x9f\x8ca",
	"3 bytes, cut by another rune": "\xe6\xc3\xa9",
	"slash in 2 bytes":             "\xc0\xaf",
	"slash in 3 bytes":             "\xe0\x80\xaf",
	"slash in 4 bytes":             "\xf0\x80\x80\xaf",
	"U+0000 in 2 bytes":            "\xc0\x80",
	"U+007F in 2 bytes":            "\xc1\xbf",
	"U+07FF in 3 bytes":            "\xe0\x9f\xbf",
	"U+FFFF in 4 bytes":            "\xf0\x8f\xbf\xbf",
	"U+D800, a surrogate":          "\xed\xa0\x80",
	"U+DB7F, a surrogate":          "\xed\xad\xbf",
	"U+DBFF, a surrogate":          "\xed\xaf\xbf",
	"U+DC00, a surrogate":          "\xed\xb0\x80",
	"U+DFFF, a surrogate":          "\xed\xbf\xbf",
	"U+10000 as two surrogates":    "\xed\xa0\x80\xed\xb0\x80",
	"U+110000":                     "\xf4\x90\x80\x80",
	"U+13FFFF":                     "\xf4\xbf\xbf\xbf",
	"U+140000":                     "\xf5\x80\x80\x80",
	"5 bytes":                      "\xf8\x88\x80\x80\x80",
	"6 bytes":                      "\xfc\x84\x80\x80\x80\x80",
	"FE":                           "\xfe",
	"FF":                           "\xff",
	"FE FE FF FF":                  "\xfe\xfe\xff\xff",
	"Latin-1":                      "caf\xe9 au lait",
	"UTF-16":                       "\xff\xfea\x00b\x00",
}

// validText has each text whole, cut behind each byte, and among others.
func validText() (cases []testCase) {
	for name, s := range runes {
		among := text("a" + s + "b")
		cases = append(cases,
			echoes(name, text(s), send(text(s))),
			echoes(name+", byte by byte", among, send(among).in(1)),
			echoes(name+", a frame for each byte", among, send(fragments(among, 1)...)),
			testCase{name: name + ", as the reason of a close frame", talk: one(send(bye(1000, s))), closes: 1000})
		for i := 1; i < len(s) && len(s) <= 4; i++ {
			cases = append(cases, echoes(fmt.Sprintf("%s, cut behind byte %d", name, i), text(s), send(begin(s[:i]), finish(s[i:]))))
		}
	}
	wave := text(strings.Repeat("🌊", 20000))
	return append(cases,
		echoes("20,000 runes", wave, send(wave)),
		echoes("20,000 runes, in writes of 997", wave, send(wave).in(997)),
		echoes("20,000 runes, in frames of 997", wave, send(fragments(wave, 997)...)),
		echoes("rune cut by a ping", text("水"), send(begin("\xe6\xb0"), pong("\xb0"), finish("\xb4"))),
		echoes("rune cut by empty frames", text("水"), send(begin("\xe6"), more(""), more("\xb0"), more(""), finish("\xb4"))))
}

// invalidText has each of noText, and what may be anything.
func invalidText() (cases []testCase) {
	for name, s := range noText {
		among := "a水" + s
		message := blob(s)
		cases = append(cases,
			fails(name, 1007, text(s)),
			fails(name+", after a text", 1007, text(among)),
			fails(name+", a frame for each byte", 1007, fragments(text(among), 1)...),
			fails(name+", the last frame empty", 1007, begin(s), finish("")),
			fails(name+", as the reason of a close frame", 1007, bye(1000, s)),
			echoes(name+", binary", message, send(message)))
		if len(s) > 1 {
			cases = append(cases, fails(name+", cut behind the first byte", 1007, begin(s[:1]), finish(s[1:])))
		}
	}
	binary := blob("\xff\xfe水\xed\xa0\x80")
	return append(cases,
		echoes("binary message in fragments", binary, send(fragments(binary, 1)...)),
		testCase{name: "after good traffic", talk: []exchange{send(text("水")).get(text("水")), send(text("\xff"))}, fails: 1007},
		testCase{name: "byte by byte", talk: one(send(text("水\xff")).in(1)), fails: 1007},
		fails("in the last of 65,537 bytes", 1007, text(xs(65536)+"\xff")),
		fails("rune cut by the end of a message, its rest in the next", 1007, text("\xe6\xb0"), text("\xb4")))
}

// failFast has texts that are known to be invalid before they have come whole. The server says so at once where a message has
// several frames, or a frame that is larger than its buffer. RFC 6455, section 8.1 would let it wait.
func failFast() (cases []testCase) {
	for name, s := range map[string]string{
		"FF": "\xff", "surrogate": "\xed\xa0", "over U+10FFFF": "\xf4\x90", "over four bytes": "\xf8", "overlong": "\xe0\x80",
		"lone continuation": "\x80", "rune cut by a letter": "\xe6a",
	} {
		large := text("水" + s + xs(9000)).AppendTo(nil)
		cases = append(cases,
			fails(name+", in the first of several frames", 1007, begin("水"+s)),
			fails(name+", in the second of several frames", 1007, begin("水"), more(s)),
			fails(name+", cut between two of several frames", 1007, begin("水"+s[:1]), more(s[1:]+"a")),
			fails(name+", at the beginning of a large frame", 1007, raw(large[:50])))
	}
	return cases
}
