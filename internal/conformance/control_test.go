package conformance

import "fmt"

// control has the cases of pings and pongs. Fragmented ones are among those of fragmentation.
func control() []testCase {
	hello := text("Hello")
	anyBytes := "\x00\xff\xfe\xfd\xfc\xfb\x00\xc0\x80" // which need not be UTF-8
	var inARow []sendable
	var answers []frame
	for i := range 10 {
		f := ping(fmt.Sprint("ping ", i))
		inARow, answers = append(inARow, f), append(answers, pong(f.Payload))
	}
	var each []exchange
	for size := range 126 {
		each = append(each, send(ping(xs(size))).get(pong(xs(size))))
	}
	var flood []sendable
	var some []frame
	for i := range 1000 {
		f := ping(fmt.Sprint(i))
		flood, some = append(flood, f), append(some, pong(f.Payload))
	}
	cases := []testCase{
		{name: "ping of any bytes", talk: one(send(ping(anyBytes)).get(pong(anyBytes)))},
		{name: "ping of each length in turn", talk: each},
		{name: "ten pings in a row", talk: one(send(inARow...).get(answers...))},
		{name: "ten pings in a row, byte by byte", talk: one(send(inARow...).get(answers...).in(1))},
		// Section 5.5.3 lets a server answer the latest ones.
		{name: "a thousand pings and a close frame", talk: one(send(append(flood, bye(1000, ""))...)), may: some, closes: 1000},
		{name: "pong of any bytes", talk: one(send(pong(anyBytes)))},
		{name: "ten pongs in a row", talk: one(send(pong("0"), pong("1"), pong("2"), pong("3"), pong("4"), pong("5"), pong("6"),
			pong("7"), pong("8"), pong("9")))},
		{name: "pong, then ping", talk: one(send(pong("a"), ping("b")).get(pong("b")))},
		{name: "ping and a message in one write", talk: one(send(ping("a"), hello).get(pong("a"), hello))},
		{name: "message and a ping in one write", talk: one(send(hello, ping("a")).get(pong("a"), hello))},
		{name: "ping between two fragments", talk: one(send(begin("Hel"), ping("a"), finish("lo")).get(pong("a"), hello))},
		{name: "ping between two fragments, answered before the second", talk: []exchange{
			send(begin("Hel"), ping("a")).get(pong("a")), send(finish("lo")).get(hello)}},
		{name: "ping of 125 bytes between fragments, byte by byte", talk: one(
			send(begin("H"), ping(xs(125)), more("ell"), pong(xs(125)), finish("o")).get(pong(xs(125)), hello).in(1))},
		{name: "three pings between each two fragments", talk: one(send(begin("H"), ping("1"), ping("2"), ping("3"),
			more("ell"), ping("4"), ping("5"), ping("6"), finish("o")).get(
			pong("1"), pong("2"), pong("3"), pong("4"), pong("5"), pong("6"), hello))},
		{name: "ping behind ping of 126 bytes", talk: one(send(ping(xs(126)), ping("a"))), fails: 1002},
	}
	for _, size := range []int{0, 1, 124, 125} {
		f := ping(xs(size))
		cases = append(cases,
			testCase{name: fmt.Sprintf("ping of %d bytes", size), talk: one(send(f).get(pong(f.Payload)))},
			testCase{name: fmt.Sprintf("ping of %d bytes, byte by byte", size), talk: one(send(f).get(pong(f.Payload)).in(1))},
			testCase{name: fmt.Sprintf("pong of %d bytes", size), talk: one(send(pong(f.Payload)))})
	}
	for _, size := range []int{126, 127, 65535, 65536} {
		cases = append(cases,
			fails(fmt.Sprintf("ping of %d bytes", size), 1002, ping(xs(size))),
			fails(fmt.Sprintf("pong of %d bytes", size), 1002, pong(xs(size))))
	}
	return append(cases,
		testCase{name: "ping of 126 bytes, byte by byte", talk: one(send(ping(xs(126))).in(1)), fails: 1002},
		fails("ping of 126 bytes within a message", 1002, begin("Hel"), ping(xs(126)), finish("lo")))
}
