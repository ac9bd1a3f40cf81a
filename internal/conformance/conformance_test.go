package conformance

import (
	"fmt"
	"strings"
	"testing"

	wspulse "github.com/wspulse/server"
)

// A class is what the RFC says about one thing, as cases for a server of their own.
type class struct {
	name    string
	section string                 // of RFC 6455, unless it says of which
	options []wspulse.ServerOption // beside those of newWorld
	headers string                 // further lines of the ordinary opening request, each with its CRLF
	answers string                 // Sec-WebSocket-Extensions of the answer
	cases   []testCase
}

// classes returns all classes, in the order of the RFC.
func classes() []class {
	return []class{
		{name: "handshake, method and version", section: "4.2.1", cases: methods()},
		{name: "handshake, tokens", section: "4.2.1", cases: tokens()},
		{name: "handshake, key", section: "4.2.1", cases: keys()},
		{name: "handshake, extensions and subprotocols", section: "4.2.2, 9.1", cases: offers()},
		{name: "handshake, form of the request", section: "4.2.1", cases: requests()},
		{name: "frames behind the request", section: "4.2.2", cases: early()},
		{name: "framing and lengths", section: "5.2", cases: lengths()},
		{name: "masking", section: "5.1, 5.3", cases: masking()},
		{name: "reserved bits", section: "5.2", cases: reservedBits()},
		{name: "reserved bits, compression offered", section: "5.2, 9", headers: deflateOffer, cases: reservedBits()},
		{name: "reserved opcodes", section: "5.2", cases: reservedOpcodes()},
		{name: "fragmentation", section: "5.4", cases: fragmentation()},
		{name: "pings and pongs", section: "5.5.2, 5.5.3", cases: control()},
		{name: "close frames", section: "5.5.1, 7", cases: closing()},
		{name: "close codes", section: "7.4", cases: closeCodes()},
		{name: "UTF-8, valid", section: "8.1", cases: validText()},
		{name: "UTF-8, invalid", section: "8.1", cases: invalidText()},
		{name: "UTF-8, early failure", section: "8.1", cases: failFast()},
		{name: "sizes", section: "5.2, 5.4", cases: sizes()},
		{name: "sizes over the limit", section: "7.4.1, 10.4", options: largeMessages, cases: oversized()},
		{name: "sizes over the default limit", section: "7.4.1, 10.4", options: smallMessages, cases: oversizedSmall()},
		{name: "compression, offers", section: "RFC 7692, 7.1", options: compressing, cases: deflateOffers()},
		{name: "compression, messages", section: "RFC 7692, 6, 7.2", options: compressing, headers: deflateOffer, answers: deflateAnswer, cases: compressed()},
		{name: "compression, over the limit", section: "RFC 7692, 8", options: append(compressing, largeMessages...), headers: deflateOffer,
			answers: deflateAnswer, cases: bombs()},
	}
}

// A testCase is what a client does and what must come back. Unless the case says how the connection ends it must be in
// order afterwards, which the peer finds out by a message, a ping and a close frame.
type testCase struct {
	name    string
	opening *opening // nil: the ordinary request
	binary  bool     // the application answers with binary messages, rather than with texts
	talk    []exchange

	hangsUp bool    // the peer ends its half of the TCP connection; the server ends the other, without a word unless
	fails   int     // it ends the connection with this code, and may say why, or
	closes  int     // the peer has closed with this code, which the server repeats without a reason; 1005: none
	may     []frame // that may come before the end: answers to what came in one piece with its cause

	deviation string // from the RFC, with the section; "": none
}

// An exchange is what a peer sends, and what must come back before it goes on.
type exchange struct {
	sends []sendable
	chop  int     // bytes of each write; 0: one write
	wants []frame // messages in order and control frames in order, which may overtake messages
}

func send(parts ...sendable) exchange { return exchange{sends: parts} }

func (e exchange) get(wants ...frame) exchange {
	e.wants = wants
	return e
}

func (e exchange) in(chop int) exchange {
	e.chop = chop
	return e
}

// one returns the talk of a single exchange.
func one(e exchange) []exchange { return []exchange{e} }

func TestConformance(t *testing.T) {
	all := classes()
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, c)
			for _, tc := range c.cases {
				t.Run(tc.name, func(t *testing.T) {
					t.Parallel()
					tc.run(t, w)
				})
			}
		})
	}
	t.Log(summary(all))
}

func (c testCase) run(t *testing.T, w *world) {
	e := w.endpoint(c.binary)
	defer e.check(t, w)
	p := connect(t, w)
	o := c.opening
	if o == nil {
		o = w.ordinary(e)
	}
	if !p.open(o) {
		return
	}
	for _, x := range c.talk {
		p.write(x.chop, x.sends...)
		p.expect(x.wants)
	}
	if c.hangsUp {
		p.hangUp()
	}
	switch {
	case c.fails != 0:
		p.expectFailure(c.fails, c.may)
	case c.closes != 0:
		p.expectClose(c.closes, c.may)
	case c.hangsUp:
		p.ExpectEnd()
	default:
		p.expectHealth(e.opcode)
	}
}

// summary is a table of the classes, and the deviations.
func summary(all []class) string {
	var table, deviations strings.Builder
	cases, deviating := 0, 0
	for _, c := range all {
		n := 0
		for _, tc := range c.cases {
			if tc.deviation != "" {
				n++
				fmt.Fprintf(&deviations, "\n%s: %s: %s", c.name, tc.name, tc.deviation)
			}
		}
		fmt.Fprintf(&table, "\n%-40s %-19s %5d %10d", c.name, c.section, len(c.cases), n)
		cases, deviating = cases+len(c.cases), deviating+n
	}
	return fmt.Sprintf("\n%-40s %-19s %5s %10s%s\n%-40s %-19s %5d %10d\n%s",
		"class", "section", "cases", "deviations", table.String(), "all", "", cases, deviating, deviations.String())
}
