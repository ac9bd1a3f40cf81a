package conformance

import (
	"fmt"
	"strings"
	"sync"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/internal/rawpeer"
)

// The largest payloads, made once. The unit of the text has 16 bytes.
var (
	largeText   = sync.OnceValue(func() string { return strings.Repeat("水の🌊waves!", messageSize/16) })
	largeBinary = sync.OnceValue(func() string { return strings.Repeat("\x00\xff\x01\xfe", messageSize/4) })
)

const (
	kib = 1 << 10
	mib = 1 << 20
)

// sizes has large messages, the largest of them in few forms.
func sizes() (cases []testCase) {
	for _, size := range []int{64 * kib, 256 * kib, mib, 4 * mib, messageSize} {
		words, bytes := text(largeText()[:size]), blob(largeBinary()[:size])
		forms := map[int][]frame{0: {words, bytes}, 64 * kib: {words}} // by the size of the frames; 0: whole
		switch {
		case size == messageSize:
			forms[0] = []frame{words}
			forms[64*kib] = []frame{bytes}
		case size > mib:
			forms[kib] = []frame{bytes}
		default:
			forms[64], forms[997], forms[kib] = []frame{words}, []frame{words}, []frame{words, bytes}
		}
		for each, messages := range forms {
			for _, m := range messages {
				name := fmt.Sprintf("%s of %d KiB", kind(m), size/kib)
				if each == 0 {
					cases = append(cases, echoes(name, m, send(m)))
				} else {
					cases = append(cases, echoes(fmt.Sprintf("%s in frames of %d bytes", name, each), m, send(fragments(m, each)...)))
				}
			}
		}
	}
	m := text(largeText()[:mib])
	return append(cases,
		echoes("text of 1024 KiB in writes of 997 bytes", m, send(m).in(997)),
		echoes("text of 1024 KiB in frames of 4096 bytes in writes of 997", m, send(fragments(m, 4096)...).in(997)),
		echoes("text of 64 KiB in writes of 64 bytes", text(m.Payload[:64*kib]), send(text(m.Payload[:64*kib])).in(64)),
		testCase{name: "four texts of 1024 KiB in one write", talk: one(send(m, m, m, m).get(m, m, m, m))},
		testCase{name: "pings between the frames of 1024 KiB", talk: one(send(joined(fragments(m, 300*kib)[:2], parts(ping("a")),
			fragments(m, 300*kib)[2:3], parts(ping("b")), fragments(m, 300*kib)[3:])...).get(pong("a"), pong("b"), m))})
}

// announced is the beginning of a frame of size bytes.
func announced(first byte, size int, payload string) raw {
	return raw(rawpeer.Header(first, 0x80, size)) + "\x00\x00\x00\x00" + raw(payload)
}

// largeMessages sets the limit of oversized.
var largeMessages = []wspulse.ServerOption{wspulse.WithMaxMessageSize(mib)}

func oversized() []testCase {
	full := blob(largeBinary()[:mib])
	pieces := fragments(full.Without(fin), 64*kib)
	pieces[len(pieces)-1] = more(full.Payload[mib-64*kib:])
	return []testCase{
		fails("announced", 1009, announced(fin|opBinary, mib+1, "")),
		fails("announced, as a text that is not UTF-8", 1009, announced(fin|opText, mib+1, "\xff")),
		fails("announced, and 256 KiB of it", 1009, announced(fin|opBinary, mib+1, full.Payload[:256*kib])),
		fails("announced by the first fragment", 1009, announced(opBinary, mib+1, "")),
		fails("announced by the second fragment", 1009, blob("a").Without(fin), announced(fin, mib, "")),
		fails("a byte more", 1009, blob(full.Payload+"a")),
		fails("a byte behind fragments of 64 KiB", 1009, joined(pieces, parts(finish("a")))...),
		echoes("nothing behind fragments of 64 KiB", full, send(joined(pieces, parts(finish("")))...)),
		echoes("as large as the limit", full, send(full)),
	}
}

// smallMessages sets the limit that a server has by default.
var smallMessages = []wspulse.ServerOption{wspulse.WithMaxMessageSize(512)}

func oversizedSmall() []testCase {
	return []testCase{
		echoes("512 bytes", text(xs(512)), send(text(xs(512)))),
		echoes("512 bytes in fragments", text(xs(512)), send(fragments(text(xs(512)), 100)...)),
		echoes("512 bytes in fragments around pongs", text(xs(512)), send(begin(xs(300)), pong(xs(125)), pong(xs(125)), finish(xs(212)))),
		{name: "512 bytes five times", talk: one(send(text(xs(512)), text(xs(512)), text(xs(512)), text(xs(512)), text(xs(512))).get(
			text(xs(512)), text(xs(512)), text(xs(512)), text(xs(512)), text(xs(512))))},
		fails("513 bytes", 1009, text(xs(513))),
		fails("513 bytes, binary", 1009, blob(xs(513))),
		{name: "513 bytes, byte by byte", talk: one(send(text(xs(513))).in(1)), fails: 1009},
		fails("513 bytes in two fragments", 1009, begin(xs(300)), finish(xs(213))),
		fails("513 bytes in fragments of one", 1009, fragments(text(xs(513)), 1)...),
		fails("513 bytes that are no text", 1009, text(strings.Repeat("\xff", 513))),
		fails("1 MiB", 1009, text(xs(mib))),
		fails("1 MiB in frames of 1 KiB", 1009, fragments(text(xs(mib)), kib)...),
		{name: "513 bytes after 512", talk: []exchange{send(text(xs(512))).get(text(xs(512))), send(text(xs(513)))}, fails: 1009},
		{name: "513 bytes in one write with a message", talk: one(send(text("Hello"), text(xs(513)))),
			may: []frame{text("Hello")}, fails: 1009},
	}
}
