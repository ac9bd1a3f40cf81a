package conformance

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"github.com/wspulse/server/internal/rawpeer"
)

// xs is a payload.
func xs(n int) string { return strings.Repeat("x", n) }

// kind names a message.
func kind(m frame) string {
	if m.First&opBinary != 0 {
		return "binary"
	}
	return "text"
}

// echoes is the case of a message that comes in some form, and is answered by itself.
func echoes(name string, m frame, x exchange) testCase {
	return testCase{name: name, binary: m.First&opBinary != 0, talk: one(x.get(m))}
}

// fails is the case of something that ends the connection with a code.
func fails(name string, code int, parts ...sendable) testCase {
	return testCase{name: name, talk: one(send(parts...)), fails: code}
}

// longForm is a frame whose length is in the form of that many bytes, and says size. The payload follows as it is, since the
// masking key is zero.
func longForm(first byte, bytes int, size uint64, payload string) raw {
	p := []byte{first, 0x80 | 126}
	if bytes == 2 {
		p = binary.BigEndian.AppendUint16(p, uint16(size))
	} else {
		p[1]++
		p = binary.BigEndian.AppendUint64(p, size)
	}
	return raw(append(p, 0, 0, 0, 0)) + raw(payload)
}

func lengths() (cases []testCase) {
	for _, size := range []int{0, 1, 125, 126, 127, 128, 65535, 65536} {
		chops := []int{0, 1, 7}
		if size > 1000 {
			chops = []int{0, 997, 4096}
		}
		for _, m := range []frame{text(xs(size)), blob(strings.Repeat("\xfe", size))} {
			for _, chop := range chops {
				name := fmt.Sprintf("%s of %d bytes, whole", kind(m), size)
				if chop > 0 {
					name = fmt.Sprintf("%s of %d bytes, in writes of %d", kind(m), size, chop)
				}
				cases = append(cases, echoes(name, m, send(m).in(chop)))
			}
		}
	}
	var hundred []sendable
	var answers []frame
	for i := range 100 {
		m := text(xs(i))
		hundred, answers = append(hundred, m), append(answers, m)
	}
	cases = append(cases,
		testCase{name: "a hundred messages in one write", talk: one(send(hundred...).get(answers...))},
		testCase{name: "a hundred messages in writes of 997", talk: one(send(hundred...).get(answers...).in(997))},
		testCase{name: "a hundred messages byte by byte", talk: one(send(hundred...).get(answers...).in(1))})
	return append(append(cases, longForms()...), overflows()...)
}

// longForms has lengths that are not in their shortest form.
func longForms() (cases []testCase) {
	for _, size := range []int{0, 1, 125, 126, 65535} {
		payload := xs(size)
		for _, first := range []byte{fin | opText, fin | opBinary, opText} {
			name := fmt.Sprintf("%#x with %d bytes, length in ", first, size)
			if size < 126 {
				cases = append(cases, fails(name+"2", 1002, longForm(first, 2, uint64(size), payload)))
			}
			cases = append(cases, fails(name+"8", 1002, longForm(first, 8, uint64(size), payload)))
		}
	}
	for _, first := range []byte{opPing, opPong, opClose} {
		cases = append(cases, fails(fmt.Sprintf("opcode %d, length in 2", first), 1002, longForm(fin|first, 2, 4, "\x03\xe8ab")),
			fails(fmt.Sprintf("opcode %d, length in 8", first), 1002, longForm(fin|first, 8, 4, "\x03\xe8ab")))
	}
	cases = append(cases, fails("continuation, length in 2", 1002, begin("a"), longForm(fin, 2, 1, "b")),
		fails("continuation, length in 8", 1002, begin("a"), longForm(fin, 8, 1, "b")))
	return cases
}

// overflows has lengths that no message has. The highest bit must be 0 (RFC 6455, section 5.2).
func overflows() (cases []testCase) {
	for name, size := range map[string]uint64{"2^63": 1 << 63, "2^63+5": 1<<63 | 5, "2^64-1": math.MaxUint64} {
		cases = append(cases, fails("text of "+name+" bytes", 1002, longForm(fin|opText, 8, size, "Hello")),
			fails("binary of "+name+" bytes", 1002, longForm(fin|opBinary, 8, size, "Hello")),
			fails("continuation of "+name+" bytes", 1002, begin("a"), longForm(fin, 8, size, "Hello")))
	}
	for name, size := range map[string]uint64{"2^40": 1 << 40, "2^62": 1 << 62, "2^63-1": math.MaxInt64} {
		cases = append(cases, fails("text of "+name+" bytes", 1009, longForm(fin|opText, 8, size, "Hello")),
			fails("first fragment of "+name+" bytes", 1009, longForm(opBinary, 8, size, "Hello")),
			fails("continuation of "+name+" bytes", 1009, begin("a"), longForm(fin, 8, size, "Hello")))
	}
	return cases
}

// keyed is a frame of less than 126 bytes with that masking key.
func keyed(key [4]byte, f frame) raw {
	p := append([]byte{f.First, 0x80 | byte(len(f.Payload))}, key[:]...)
	for i := range len(f.Payload) {
		p = append(p, f.Payload[i]^key[i%4])
	}
	return raw(p)
}

// bare is a frame without a mask.
func bare(f frame) raw { return raw(rawpeer.Unmasked(f.First, f.Payload)) }

func masking() []testCase {
	hello := text("Hello")
	cases := []testCase{
		echoes("the RFC's own message", hello, send(raw("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"))),
		{name: "the RFC's own ping", talk: one(send(raw("\x89\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58")).get(pong("Hello")))},
		{name: "a key for each frame", talk: one(send(keyed([4]byte{1, 2, 3, 4}, begin("Hel")), keyed([4]byte{5, 6, 7, 8}, ping("a")),
			keyed([4]byte{9, 10, 11, 12}, finish("lo"))).get(hello, pong("a")))},
	}
	for _, key := range [][4]byte{{}, {0xff, 0xff, 0xff, 0xff}, {0, 0, 0, 1}, {1}, {0x80, 0, 0x80, 0}, {'H', 'e', 'l', 'l'}} {
		cases = append(cases, echoes(fmt.Sprintf("key %x", key), hello, send(keyed(key, hello))))
	}
	for size := range 18 { // of which the last mask is whole or not
		m := text(("abcdefghijklmnopqrstuvwxyz")[:size])
		cases = append(cases, echoes(fmt.Sprintf("%d bytes, in writes of 3", size), m, send(m).in(3)))
	}
	for name, f := range map[string]frame{
		"text": hello, "empty text": text(""), "binary": blob("Hello"), "long text": text(xs(126)), "longer text": text(xs(65536)),
		"first fragment": begin("Hel"), "ping": ping(""), "pong": pong("Hello"), "close": bye(1000, ""),
	} {
		cases = append(cases, fails("unmasked "+name, 1002, bare(f)))
	}
	return append(cases, fails("unmasked continuation", 1002, begin("Hel"), bare(finish("lo"))),
		fails("unmasked ping within a message", 1002, begin("Hel"), bare(ping(""))),
		testCase{name: "unmasked after good traffic", talk: []exchange{send(hello).get(hello), send(bare(hello))}, fails: 1002})
}

func reservedBits() (cases []testCase) {
	hello := text("Hello")
	for _, bits := range []byte{rsv1, rsv2, rsv3, rsv1 | rsv2, rsv1 | rsv3, rsv2 | rsv3, rsv1 | rsv2 | rsv3} {
		name := fmt.Sprintf("RSV %03b, ", bits>>4)
		cases = append(cases, fails(name+"text", 1002, hello.With(bits)), fails(name+"ping", 1002, ping("").With(bits)),
			fails(name+"continuation", 1002, begin("Hel"), finish("lo").With(bits)))
	}
	for _, bits := range []byte{rsv1, rsv2, rsv3} {
		name := fmt.Sprintf("RSV %03b, ", bits>>4)
		cases = append(cases,
			fails(name+"empty text", 1002, text("").With(bits)),
			fails(name+"binary", 1002, blob("Hello").With(bits)),
			fails(name+"first fragment", 1002, begin("Hel").With(bits)),
			fails(name+"middle fragment", 1002, begin("Hel"), more("l").With(bits)),
			fails(name+"pong", 1002, pong("").With(bits)),
			fails(name+"close", 1002, bye(1000, "").With(bits)),
			fails(name+"ping within a message", 1002, begin("Hel"), ping("").With(bits)),
			testCase{name: name + "byte by byte", talk: one(send(hello.With(bits)).in(1)), fails: 1002},
			testCase{name: name + "after good traffic", talk: []exchange{
				send(hello, ping("a")).get(hello, pong("a")), send(hello.With(bits))}, fails: 1002},
			testCase{name: name + "behind a message, before a ping", talk: one(send(hello, hello.With(bits), ping("a"))),
				may: []frame{hello}, fails: 1002})
	}
	return cases
}

func reservedOpcodes() (cases []testCase) {
	hello := text("Hello")
	for _, opcode := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		name := fmt.Sprintf("opcode %d, ", opcode)
		f := framed(fin|opcode, "Hello")
		cases = append(cases,
			fails(name+"empty", 1002, framed(fin|opcode, "")),
			fails(name+"with a payload", 1002, f),
			fails(name+"not final", 1002, framed(opcode, "Hel"), finish("lo")),
			fails(name+"within a message", 1002, begin("Hel"), f, finish("lo")),
			testCase{name: name + "after a message", talk: []exchange{send(hello).get(hello), send(f)}, fails: 1002},
			testCase{name: name + "behind a message, before a ping", talk: one(send(hello, f, ping("a"))),
				may: []frame{hello}, fails: 1002})
	}
	return cases
}
