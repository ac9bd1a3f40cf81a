package modeltest

import (
	"bytes"
	"slices"
	"strings"

	"github.com/wspulse/server/internal/rawpeer"
)

// The names of rawpeer, shorter: the tables are full of them.
const (
	finText     = rawpeer.Fin | rawpeer.OpText
	finBinary   = rawpeer.Fin | rawpeer.OpBinary
	finClose    = rawpeer.Fin | rawpeer.OpClose
	finPing     = rawpeer.Fin | rawpeer.OpPing
	finPong     = rawpeer.Fin | rawpeer.OpPong
	fragText    = rawpeer.OpText
	fragPing    = rawpeer.OpPing
	continuing  = rawpeer.OpContinuation
	reservedBit = rawpeer.RSV1
)

var masked, unmasked = rawpeer.Masked, rawpeer.Unmasked

// streamSeeds returns what clients may send after the opening handshake: one for each class of what is right and of
// what is wrong.
func streamSeeds() [][]byte {
	all := slices.Concat[[]byte]
	long := strings.Repeat("x", 200)
	return [][]byte{
		nil,
		// Messages.
		masked(finText, "hello"),
		masked(finBinary, "\x00\xff"),
		all(masked(finText, ""), masked(finBinary, "")),
		masked(finBinary, long),
		masked(finText, strings.Repeat("x", 512)),
		bytes.Repeat(masked(finText, "again"), 100),
		all(masked(fragText, "in "), masked(continuing, "three "), masked(0x80, "pieces")),
		all(masked(fragText, "with a "), masked(finPing, "ping"), masked(finPong, ""), masked(0x80, "inside")),
		all(masked(0x02, long), masked(continuing, ""), masked(0x80, long)),
		all(masked(fragText, long), masked(0x80, long), masked(fragText, "short"), masked(0x80, "er"),
			masked(fragText, "\xff"), masked(0x80, "")),
		masked(finText, "\x00\x7f\u0080\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff"),
		all(masked(fragText, "\xf0\x9f"), masked(continuing, "\x8c"), masked(0x80, "\x8a")),
		// Pings, pongs, closing.
		all(masked(finPing, ""), masked(finPing, strings.Repeat("x", 125)), masked(finPong, "unasked")),
		bytes.Repeat(masked(finPing, "flood"), 40),
		all(masked(finText, "bye"), masked(finClose, "")),
		masked(finClose, "\x03\xe8"),
		masked(finClose, "\x03\xe9going away"),
		masked(finClose, "\x0f\xa0"+strings.Repeat("x", 123)),
		all(masked(finClose, "\x03\xe8"), masked(finText, "after the end"), masked(finClose, "\x03\xe8")),
		all(masked(fragText, "cut off"), masked(finClose, "\x03\xf3")),
		// Faults in a header.
		masked(finText|reservedBit, "hello"),
		masked(0x83, ""),
		masked(0x8B, ""),
		unmasked(finText, "hello"),
		all(masked(finText, "good"), unmasked(finPing, "")),
		masked(fragPing, ""),
		masked(finPing, strings.Repeat("x", 126)),
		masked(0x80, "of nothing"),
		all(masked(fragText, "one"), masked(finText, "two")),
		{finText, 0x80 | 126, 0, 5, 1, 2, 3, 4, 'h', 'e', 'l', 'l', 'o'},
		{finBinary, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0, 200, 1, 2, 3, 4},
		{finBinary, 0x80 | 127, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4},
		{finBinary, 0x80 | 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4},
		// Faults in a payload, and of a message.
		masked(finText, strings.Repeat("x", 513)),
		all(masked(0x02, long), masked(continuing, long), masked(0x80, long)),
		bytes.Repeat(masked(continuing, ""), 2),
		all(masked(fragText, ""), bytes.Repeat(masked(continuing, ""), 70)),
		masked(finText, "\xff"),
		masked(finText, "\xed\xa0\x80"),
		masked(finText, "\xf0\x9f\x8c"),
		all(masked(fragText, "\xe6\xb0"), masked(0x80, "x")),
		masked(fragText, "\xc0\xaf"),
		masked(finClose, "\x03"),
		masked(finClose, "\x03\xed"),
		masked(finClose, "\x03\xe8\xff"),
		// What stops in the middle.
		masked(finText, strings.Repeat("x", 500))[:400],
		masked(finText, "\xff"+strings.Repeat("x", 500))[:400],
		masked(finText, "hello")[:1],
		masked(finText, "hello")[:5],
		masked(finText, long)[:3],
		masked(finText, long)[:100],
		masked(finText, "\xff"+long)[:50],
		masked(finText, strings.Repeat("x", 600))[:6],
		masked(fragText, "more to come"),
	}
}

// upgradeSeeds returns what may come instead of an upgrade request: one for each class of what is right and of what is
// wrong.
func upgradeSeeds() []string {
	seeds := []string{
		rawpeer.Opening,
		rawpeer.Opening + string(masked(finText, `{"event":"early"}`)),
		rawpeer.Opening + string(masked(finClose, "\x03\xe8")),
		rawpeer.Opening + "GET / HTTP/1.1\r\nHost: server\r\n\r\n",
		rawpeer.Opening[:len(rawpeer.Opening)-2],
		strings.ReplaceAll(rawpeer.Opening, "\r", ""),
		strings.ToLower(rawpeer.Opening[:60]) + rawpeer.Opening[60:],
		"", "\r\n", "GET", "hello\r\n\r\n", "\x16\x03\x01\x02\x00\x01",
		"GET / HTTP/1.1\r\nHost: server\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: server\r\nContent-Length: 2\r\n\r\n{}",
		"POST / HTTP/1.1\r\nHost: server\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: server\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	}
	for _, change := range [][2]string{
		{"GET", "POST"}, {"GET", "HEAD"}, {"GET", "get"}, {"GET /", "GET http://server/"},
		{"GET /?room=r&id=mallory", "GET *"},
		{"GET /", "CONNECT server:80"}, {"?room", "?\x00"}, {"?room", "?%zz"},
		{"HTTP/1.1", "HTTP/1.0"}, {"HTTP/1.1", "HTTP/1.2"}, {"HTTP/1.1", "HTTP/2.0"}, {"HTTP/1.1", "HTTP/x"},
		{"Host: server\r\n", ""}, {"Host: server", "Host:"}, {"Host: server", "Host: server\r\nHost: server"},
		{"Host: server", "Host: a b"},
		{"Connection: Upgrade\r\n", ""}, {"Connection: Upgrade", "Connection: keep-alive, UPGRADE"},
		{"Connection: Upgrade", "Connection: upgraded"},
		{"Connection: Upgrade", "Connection: keep-alive\r\nConnection: ,upgrade ,"},
		{"Connection: Upgrade", "Connection: close, upgrade"},
		{"Upgrade: websocket\r\n", ""}, {"Upgrade: websocket", "Upgrade: h2c"},
		{"Upgrade: websocket", "upgrade:\tWebSocket\t"},
		{"Upgrade: websocket", "Upgrade: h2c,websocket"}, {"Upgrade: websocket", "Upgrade: websocket/13"},
		{"Upgrade: websocket", "Upgrade: web\r\n socket"},
		{"Version: 13\r\n", "Version: 8\r\n"}, {"Version: 13", "Version: 13, 8"},
		{"Version: 13", "Version: 13\r\nSec-WebSocket-Version: 13"},
		{"Sec-WebSocket-Version: 13\r\n", ""}, {"Version: 13", "Version: 013"},
		{"AAAAAAAAAAAAAAAAAAAAAA==", ""}, {"AAAAAAAAAAAAAAAAAAAAAA==", "AAAA"},
		{"AAAAAAAAAAAAAAAAAAAAAA==", "AAAAAAAAAAAAAAAAAAAAAAA="},
		{"AAAAAAAAAAAAAAAAAAAAAA==", "AAAAAAAAAAAAAAAAAAAAAB=="},
		{"AAAAAAAAAAAAAAAAAAAAAA==", "!!!!!!!!!!!!!!!!!!!!!!=="},
		{"Key: AAAAAAAAAAAAAAAAAAAAAA==",
			"Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="},
		{"Host: server", "Host: server\r\nContent-Length: 2"}, {"Host: server", "Host: server\r\nContent-Length: 0"},
		{"Host: server", "Host: server\r\nTransfer-Encoding: chunked"},
		{"Host: server", "Host: server\r\nContent-Length: -1"},
		{"Host: server", "Host: server\r\nExpect: 100-continue"}, {"Host: server", "Host: server\r\nExpect: nothing"},
		{"Host: server", "Host: server\r\nOrigin: null"},
		{"Host: server", "Host: server\r\nSec-WebSocket-Extensions: permessage-deflate; ="},
		{"Host: server", "Host: server\r\nSec-WebSocket-Protocol:  ,, chat"},
		{"Host: server", "Host: server\r\nnonsense"},
		{"Host: server", "Host: server\r\nX: \x00"}, {"Host: server", "Host: server\r\n: x"},
		{"Host: server", " Host: server"},
		{"Host: server", "Host: server\r\n" + strings.Repeat("X: y\r\n", 200) + "Y: z"},
		{"Host: server", "Host: server\r\nX: " + strings.Repeat(" ", 8000)},
	} {
		seeds = append(seeds, strings.Replace(rawpeer.Opening, change[0], change[1], 1))
	}
	return seeds
}
