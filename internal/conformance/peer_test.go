package conformance

import (
	"net"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/wspulse/server/internal/rawpeer"
)

// The names of rawpeer, shorter: the tables are full of them.
const (
	fin  = rawpeer.Fin
	rsv1 = rawpeer.RSV1
	rsv2 = rawpeer.RSV2
	rsv3 = rawpeer.RSV3

	opContinuation = rawpeer.OpContinuation
	opText         = rawpeer.OpText
	opBinary       = rawpeer.OpBinary
	opClose        = rawpeer.OpClose
	opPing         = rawpeer.OpPing
	opPong         = rawpeer.OpPong

	noStatus = rawpeer.NoStatus
)

type frame = rawpeer.Frame

func framed(first byte, payload string) frame { return frame{First: first, Payload: payload} }

func text(s string) frame   { return framed(fin|opText, s) }
func blob(s string) frame   { return framed(fin|opBinary, s) }
func ping(s string) frame   { return framed(fin|opPing, s) }
func pong(s string) frame   { return framed(fin|opPong, s) }
func begin(s string) frame  { return framed(opText, s) } // a text in fragments
func more(s string) frame   { return framed(opContinuation, s) }
func finish(s string) frame { return framed(fin|opContinuation, s) }

// bye is a close frame.
func bye(code int, reason string) frame { return rawpeer.Close(code, reason) }

// A sendable goes onto the wire.
type sendable interface{ AppendTo(p []byte) []byte }

// raw is bytes as they are.
type raw string

func (r raw) AppendTo(p []byte) []byte { return append(p, r...) }

// A peer is a client over TCP that sends what it likes.
type peer struct {
	rawpeer.Peer
	inflates bool // it has negotiated compression
}

func connect(t testing.TB, w *world) *peer {
	t.Helper()
	p := &peer{Peer: *rawpeer.Dial(t, w.listener.Addr().String())}
	p.extend()
	return p
}

// extend gives what the peer does next its time.
func (p *peer) extend() { _ = p.Conn.SetDeadline(time.Now().Add(patience)) }

// write sends parts in writes of chop bytes, or in one.
func (p *peer) write(chop int, parts ...sendable) {
	p.T.Helper()
	var data []byte
	for _, part := range parts {
		data = part.AppendTo(data)
	}
	if chop == 0 {
		chop = max(1, len(data))
	}
	for len(data) > 0 {
		n := min(chop, len(data))
		if _, err := p.Conn.Write(data[:n]); err != nil {
			p.T.Fatalf("the peer writes: %v", err)
		}
		data = data[n:]
	}
}

// next reads a frame. A message that is compressed, if it may be, is returned as if it were not.
func (p *peer) next() (frame, error) {
	got, err := p.Next()
	if err == nil && p.inflates && got.First&rsv1 != 0 {
		return inflated(got)
	}
	return got, err
}

// expect reads frames until it has read those that are wanted: messages in order and control frames in order.
func (p *peer) expect(wants []frame) {
	p.T.Helper()
	var messages, controls []frame
	for _, want := range wants {
		if want.IsControl() {
			controls = append(controls, want)
		} else {
			messages = append(messages, want)
		}
	}
	for len(messages)+len(controls) > 0 {
		got, err := p.next()
		if err != nil {
			p.T.Fatalf("the peer reads: %v; wants %v and %v", err, messages, controls)
		}
		queue := &messages
		if got.IsControl() {
			queue = &controls
		}
		if len(*queue) == 0 || (*queue)[0] != got {
			p.T.Fatalf("the peer read %v, wants %v and %v", got, messages, controls)
		}
		*queue = (*queue)[1:]
	}
}

// lastFrame reads the frame that ends the connection, and the end of the stream. Frames of may, in order, may come before.
func (p *peer) lastFrame(may []frame) frame {
	p.T.Helper()
	for {
		got, err := p.next()
		if err != nil {
			p.T.Fatalf("no close frame: %v", err)
		}
		if got.First == fin|opClose {
			p.ExpectEnd()
			return got
		}
		for len(may) > 0 && may[0] != got {
			may = may[1:]
		}
		if len(may) == 0 {
			p.T.Fatalf("the peer read %v, wants a close frame", got)
		}
		may = may[1:]
	}
}

// expectFailure wants a close frame with that code, whose reason is UTF-8 (RFC 6455, section 5.5.1), and the end.
func (p *peer) expectFailure(code int, may []frame) {
	p.T.Helper()
	got := p.lastFrame(may).Payload
	if len(got) < 2 || got[:2] != bye(code, "").Payload || !utf8.ValidString(got[2:]) || len(got) > 125 {
		p.T.Errorf("the payload of the close frame is %q, want the code %d", got, code)
	}
}

// expectClose wants a close frame with that code and nothing more, and the end.
func (p *peer) expectClose(code int, may []frame) {
	p.T.Helper()
	if got := p.lastFrame(may); got != bye(code, "") {
		p.T.Errorf("the close frame is %v, want the code %d and no reason", got, code)
	}
}

// hangUp ends the outbound half of the TCP connection.
func (p *peer) hangUp() {
	p.T.Helper()
	if err := p.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		p.T.Fatal(err)
	}
}

// expectHealth finds out whether the connection is in order, and that nothing has come that is not expected.
func (p *peer) expectHealth(opcode byte) {
	p.T.Helper()
	last := framed(fin|opcode, "still here?")
	p.write(0, text(last.Payload))
	p.expect([]frame{last})
	p.write(0, ping(last.Payload))
	p.expect([]frame{pong(last.Payload)})
	p.write(0, bye(1000, "that was all"))
	p.expectClose(1000, nil)
}
