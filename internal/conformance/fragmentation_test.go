package conformance

import (
	"fmt"
	"strings"
)

// fragments cuts a message into frames of size bytes; the last may be shorter.
func fragments(m frame, size int) (parts []sendable) {
	first, rest := m.Without(fin).First, m.Payload
	for ; len(rest) > size; first = opContinuation {
		parts = append(parts, framed(first, rest[:size]))
		rest = rest[size:]
	}
	return append(parts, framed(fin|first, rest))
}

// empties returns n empty frames in the middle of a message.
func empties(n int) (parts []sendable) {
	for range n {
		parts = append(parts, more(""))
	}
	return parts
}

// joined puts parts in a row.
func joined(lists ...[]sendable) (parts []sendable) {
	for _, list := range lists {
		parts = append(parts, list...)
	}
	return parts
}

func parts(p ...sendable) []sendable { return p }

func fragmentation() []testCase {
	return append(append(fragmentedMessages(), emptyFrames()...), brokenFragments()...)
}

func fragmentedMessages() (cases []testCase) {
	for _, m := range []frame{text(strings.Repeat("水の🌊waves!", 8)), blob(strings.Repeat("\xff\x00", 64))} {
		for _, size := range []int{1, 2, 3, 7, 64, 127} {
			name := fmt.Sprintf("%s of 128 bytes in frames of %d", kind(m), size)
			cases = append(cases, echoes(name, m, send(fragments(m, size)...)),
				echoes(name+", byte by byte", m, send(fragments(m, size)...).in(1)))
		}
	}
	for _, size := range []int{125, 126, 65535, 65536} {
		m := blob(xs(3*size + 1))
		cases = append(cases, echoes(fmt.Sprintf("three frames of %d bytes and one of 1", size), m, send(fragments(m, size)...)))
	}
	hello := text("Hello")
	return append(cases,
		testCase{name: "frames one at a time", talk: []exchange{send(begin("H")), send(more("ell")), send(finish("o")).get(hello)}},
		testCase{name: "two messages in a row", talk: one(
			send(begin("a"), finish("b"), begin("c"), finish("d")).get(text("ab"), text("cd")))},
		testCase{name: "whole, in fragments, whole", talk: one(
			send(hello, begin("a"), finish("b"), hello).get(hello, text("ab"), hello))},
		testCase{name: "pong between fragments", talk: one(send(begin("Hel"), pong("a"), finish("lo")).get(hello))},
		answered("close frame between fragments", 1000, begin("Hel"), bye(1000, "")),
		answered("close frame between fragments, then the rest", 1000, begin("Hel"), bye(1000, ""), finish("lo")),
		testCase{name: "end of the stream between fragments", talk: one(send(begin("Hel"), more("l"))), hangsUp: true})
}

// emptyFrames has fragments without payload. The server takes 64 of them in one message, since any number could keep it
// busy for nothing (RFC 6455, section 10.4).
func emptyFrames() []testCase {
	echo := func(name, want string, p ...sendable) testCase { return echoes(name, text(want), send(p...)) }
	return []testCase{
		echo("empty frame first", "Hello", begin(""), finish("Hello")),
		echo("empty frame in the middle", "Hello", begin("Hel"), more(""), finish("lo")),
		echo("empty frame last", "Hello", begin("Hello"), finish("")),
		echo("two empty frames", "", begin(""), finish("")),
		echo("three empty frames", "", begin(""), more(""), finish("")),
		echo("payload between empty frames", "Hello", begin(""), more("Hello"), finish("")),
		echoes("empty frames of a binary message", blob(""), send(blob("").Without(fin), finish(""))),
		echo("64 empty frames", "ab", joined(parts(begin("a")), empties(64), parts(finish("b")))...),
		echo("64 empty frames with the first", "b", joined(parts(begin("")), empties(63), parts(finish("b")))...),
		echo("64 empty frames with the last", "a", joined(parts(begin("a")), empties(63), parts(finish("")))...),
		echo("64 empty frames among others", "abc",
			joined(parts(begin("a")), empties(32), parts(more("b")), empties(32), parts(finish("c")))...),
		{name: "64 empty frames in each of two messages", talk: one(send(joined(parts(begin("a")), empties(64), parts(finish("b")),
			parts(begin("c")), empties(64), parts(finish("d")))...).get(text("ab"), text("cd")))},
		fails("65 empty frames", 1008, joined(parts(begin("a")), empties(65))...),
		fails("65 empty frames with the first", 1008, joined(parts(begin("")), empties(64))...),
		fails("65 empty frames with the last", 1008, joined(parts(begin("a")), empties(64), parts(finish("")))...),
		fails("65 empty frames among others", 1008, joined(parts(begin("a")), empties(32), parts(more("b")), empties(33))...),
		fails("10,000 empty frames", 1008, joined(parts(begin("a")), empties(10000))...),
		{name: "65 empty frames with pings between them", talk: one(send(
			joined(parts(begin("a"), ping("1")), empties(32), parts(ping("2")), empties(33))...)),
			may: []frame{pong("1"), pong("2")}, fails: 1008},
	}
}

func brokenFragments() []testCase {
	hello := text("Hello")
	after := func(name string, first frame, parts ...sendable) testCase {
		return testCase{name: name, talk: []exchange{send(first).get(first), send(parts...)}, fails: 1002}
	}
	cases := []testCase{
		fails("continuation at first", 1002, more("Hel"), finish("lo")),
		fails("last continuation at first", 1002, finish("Hello")),
		fails("empty continuation at first", 1002, more("")),
		fails("empty last continuation at first", 1002, finish("")),
		fails("continuation behind a pong", 1002, pong(""), finish("Hello")),
		after("continuation after a message", hello, more("Hello")),
		after("last continuation after a message", hello, finish("Hello")),
		{name: "continuation after a message in fragments", talk: []exchange{
			send(begin("Hel"), finish("lo")).get(hello), send(finish("!"))}, fails: 1002},
		{name: "continuation in one write with a message", talk: one(send(hello, more("!"))), may: []frame{hello}, fails: 1002},
		fails("text within a text", 1002, begin("Hel"), hello),
		fails("text within a binary message", 1002, blob("Hel").Without(fin), hello),
		fails("binary message within a text", 1002, begin("Hel"), blob("lo")),
		fails("binary message within a binary message", 1002, blob("Hel").Without(fin), blob("lo")),
		fails("first fragment within a message", 1002, begin("Hel"), begin("lo"), finish("!")),
		fails("empty text within a message", 1002, begin(""), text("")),
		fails("text after three fragments", 1002, begin("H"), more("e"), more("l"), hello),
		fails("text behind a ping within a message", 1002, begin("Hel"), pong(""), hello),
		{name: "text within a text, byte by byte", talk: one(send(begin("Hel"), hello).in(1)), fails: 1002},
	}
	for name, f := range map[string]frame{
		"ping": ping("Hel"), "pong": pong("Hel"), "close frame": bye(1000, "Hel"), "empty ping": ping(""),
	} {
		f = f.Without(fin)
		cases = append(cases,
			fails("fragmented "+name, 1002, f, finish("lo")),
			fails("fragmented "+name+" without its rest", 1002, f),
			fails("fragmented "+name+" within a message", 1002, begin("Hel"), f, finish("lo")),
			after("fragmented "+name+" after a message", hello, f, finish("lo")))
	}
	return cases
}
