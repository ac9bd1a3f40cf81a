package conformance

import (
	"fmt"
	"strings"
)

// answered is the case of a close frame that is in order: the answer has its code and no reason.
func answered(name string, code int, parts ...sendable) testCase {
	return testCase{name: name, talk: one(send(parts...)), closes: code}
}

func closing() []testCase {
	hello := text("Hello")
	half := strings.Repeat("é", 61) // 122 bytes
	return append([]testCase{
		answered("empty", noStatus, bye(noStatus, "")),
		answered("code alone", 1000, bye(1000, "")),
		answered("reason", 1000, bye(1000, "good-bye")),
		answered("reason of 122 bytes", 1000, bye(1000, xs(122))),
		answered("reason of 123 bytes", 1000, bye(1000, xs(123))),
		answered("reason of 123 bytes, not ASCII", 1000, bye(1000, half+"x")),
		{name: "byte by byte", talk: one(send(bye(3000, "good-bye")).in(1)), closes: 3000},
		fails("reason of 124 bytes", 1002, bye(1000, xs(124))),
		fails("reason of 65,536 bytes", 1002, bye(1000, xs(65536))),
		fails("reason cut within a rune", 1007, bye(1000, half+"\xc3")),
		fails("payload of one byte, 0", 1002, framed(fin|opClose, "\x00")),
		fails("payload of one byte, 3", 1002, framed(fin|opClose, "\x03")),
		fails("payload of one byte, 255", 1002, framed(fin|opClose, "\xff")),
		{name: "after a message", talk: []exchange{send(hello).get(hello), send(bye(1000, ""))}, closes: 1000},
		{name: "after a ping", talk: []exchange{send(ping("a")).get(pong("a")), send(bye(1000, ""))}, closes: 1000},
		{name: "in one write with a message", talk: one(send(hello, bye(1000, ""))), may: []frame{hello}, closes: 1000},
		{name: "in one write with a ping", talk: one(send(ping("a"), bye(1000, ""))), may: []frame{pong("a")}, closes: 1000},
		{name: "within a message", talk: []exchange{
			send(begin("Hel"), ping("a")).get(pong("a")), send(bye(4000, "enough"))}, closes: 4000},
		answered("within a text that has half a rune", 1000, begin("\xe6\xb0"), bye(1000, "")),
		{name: "then the end of the stream", talk: one(send(bye(1000, ""))), hangsUp: true, closes: 1000},
		{name: "invalid, then the end of the stream", talk: one(send(bye(999, ""))), hangsUp: true, fails: 1002},
	}, append(afterClose(), withoutClose()...)...)
}

// afterClose has what comes behind a close frame, or behind what the server has failed the connection for. It is not looked at.
func afterClose() []testCase {
	return []testCase{
		answered("then a message", 1000, bye(1000, ""), text("too late")),
		answered("then a ping", 1000, bye(1000, ""), ping("too late")),
		answered("then a message and a ping, empty code", noStatus, bye(noStatus, ""), text("too late"), ping("too late")),
		answered("then another with the same code", 1000, bye(1000, ""), bye(1000, "")),
		answered("then another with another code", 3000, bye(3000, ""), bye(4000, "")),
		answered("then an invalid one", 1000, bye(1000, ""), bye(999, "")),
		answered("then a broken frame", 1000, bye(1000, ""), text("").With(rsv2)),
		answered("then what is no frame", 1000, bye(1000, ""), raw("GET / HTTP/1.1\r\n\r\n")),
		answered("then half a frame", 1000, bye(1000, ""), raw("\x81")),
		answered("then 1 MiB", 1000, bye(1000, ""), text(xs(1<<20))),
		fails("failure, then a message and a ping", 1002, text("").With(rsv1), text("too late"), ping("too late")),
		fails("failure, then a close frame", 1002, text("").With(rsv1), bye(1000, "")),
		fails("failure, then another", 1007, text("\xff"), framed(fin|3, "")),
		fails("failure, then 1 MiB", 1007, text("\xff"), text(xs(1<<20))),
	}
}

// withoutClose has streams that end without a close frame (RFC 6455, section 7.1.5).
func withoutClose() []testCase {
	hello := text("Hello")
	long := string(text(xs(300)).AppendTo(nil))
	ends := func(name string, x ...exchange) testCase { return testCase{name: name, talk: x, hangsUp: true} }
	return []testCase{
		ends("stream ends at once"),
		ends("stream ends after a message", send(hello).get(hello)),
		ends("stream ends in the first bytes", send(raw(long[:1]))),
		ends("stream ends in the length", send(raw(long[:3]))),
		ends("stream ends in the mask", send(raw(long[:6]))),
		ends("stream ends in the payload", send(raw(long[:100]))),
		ends("stream ends in a ping", send(raw(string(ping("Hello").AppendTo(nil))[:8]))),
		ends("stream ends in a close frame", send(raw(string(bye(1000, "").AppendTo(nil))[:7]))),
	}
}

// closeCodes has the codes that a peer may send (RFC 6455, section 7.4, and the registry of IANA that section 11.7 founds), and
// those that it must not.
func closeCodes() (cases []testCase) {
	for _, code := range []int{
		1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014,
		3000, 3001, 3500, 3999, 4000, 4001, 4500, 4999,
	} {
		cases = append(cases, answered(fmt.Sprintf("%d", code), code, bye(code, "")),
			answered(fmt.Sprintf("%d with a reason", code), code, bye(code, "good-bye")))
	}
	for _, code := range []int{
		0, 1, 100, 999, 1004, 1005, 1006, 1015, 1016, 1099, 1100, 1999, 2000, 2999,
		5000, 5001, 9999, 32768, 65535,
	} {
		wrong := framed(fin|opClose, string([]byte{byte(code >> 8), byte(code)})) // also of 1005
		cases = append(cases, fails(fmt.Sprintf("%d", code), 1002, wrong),
			fails(fmt.Sprintf("%d with a reason", code), 1002, framed(wrong.First, wrong.Payload+"good-bye")))
	}
	return cases
}
