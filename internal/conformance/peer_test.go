package conformance

import (
	"bufio"
	"bytes"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"
	"unicode/utf8"
)

// The first byte of a frame (RFC 6455, section 5.2).
const (
	fin  = 0x80
	rsv1 = 0x40
	rsv2 = 0x20
	rsv3 = 0x10

	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA
)

const noStatus = 1005 // stands for a close frame without a code (RFC 6455, section 7.4.1)

// A frame is a first byte and a payload. A client sends it masked, with its length in the shortest form.
type frame struct {
	first   byte
	payload string
}

func text(s string) frame   { return frame{fin | opText, s} }
func blob(s string) frame   { return frame{fin | opBinary, s} }
func ping(s string) frame   { return frame{fin | opPing, s} }
func pong(s string) frame   { return frame{fin | opPong, s} }
func begin(s string) frame  { return frame{opText, s} } // a text in fragments
func more(s string) frame   { return frame{opContinuation, s} }
func finish(s string) frame { return frame{fin | opContinuation, s} }

// bye is a close frame.
func bye(code int, reason string) frame {
	if code == noStatus {
		return frame{fin | opClose, ""}
	}
	return frame{fin | opClose, string(binary.BigEndian.AppendUint16(nil, uint16(code))) + reason}
}

// with adds bits to the first byte.
func (f frame) with(bits byte) frame { return frame{f.first | bits, f.payload} }

// without takes bits from the first byte.
func (f frame) without(bits byte) frame { return frame{f.first &^ bits, f.payload} }

func (f frame) control() bool { return f.first&opClose != 0 }

// String cuts a long payload.
func (f frame) String() string {
	return fmt.Sprintf("%#x %.100q (%d bytes)", f.first, f.payload, len(f.payload))
}

// A sendable goes onto the wire.
type sendable interface{ appendTo(p []byte) []byte }

// raw is bytes as they are.
type raw string

func (r raw) appendTo(p []byte) []byte { return append(p, r...) }

// The masking key of RFC 6455, section 5.7, and a page of it.
var (
	maskKey  = []byte{0x37, 0xfa, 0x21, 0x3d}
	maskPage = bytes.Repeat(maskKey, 4096)
)

func (f frame) appendTo(p []byte) []byte {
	p = append(p, header(f.first, 0x80, len(f.payload))...)
	p = append(p, maskKey...)
	start := len(p)
	p = append(p, f.payload...)
	for rest := p[start:]; len(rest) > 0; {
		rest = rest[subtle.XORBytes(rest, rest, maskPage):]
	}
	return p
}

// header returns the first byte and the length of a frame (RFC 6455, section 5.2).
func header(first, maskBit byte, size int) []byte {
	switch {
	case size < 126:
		return []byte{first, maskBit | byte(size)}
	case size < 1<<16:
		return binary.BigEndian.AppendUint16([]byte{first, maskBit | 126}, uint16(size))
	default:
		return binary.BigEndian.AppendUint64([]byte{first, maskBit | 127}, uint64(size))
	}
}

// A peer is a client over TCP that sends what it likes.
type peer struct {
	t    testing.TB
	conn *net.TCPConn
	in   *bufio.Reader

	inflates bool // it has negotiated compression
}

func connect(t testing.TB, w *world) *peer {
	t.Helper()
	c, err := net.Dial("tcp", w.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	p := &peer{t: t, conn: c.(*net.TCPConn), in: bufio.NewReader(c)}
	p.extend()
	return p
}

// extend gives what the peer does next its time.
func (p *peer) extend() { _ = p.conn.SetDeadline(time.Now().Add(patience)) }

// write sends parts in writes of chop bytes, or in one.
func (p *peer) write(chop int, parts ...sendable) {
	p.t.Helper()
	var data []byte
	for _, part := range parts {
		data = part.appendTo(data)
	}
	if chop == 0 {
		chop = max(1, len(data))
	}
	for len(data) > 0 {
		n := min(chop, len(data))
		if _, err := p.conn.Write(data[:n]); err != nil {
			p.t.Fatalf("the peer writes: %v", err)
		}
		data = data[n:]
	}
}

var errLong = errors.New("the length is not in the shortest form")

// next reads a frame. It must not be masked (RFC 6455, section 5.1), and its length must have the shortest form. A message that
// is compressed, if it may be, is returned as if it were not.
func (p *peer) next() (frame, error) {
	var start [10]byte
	if _, err := io.ReadFull(p.in, start[:2]); err != nil {
		return frame{}, err
	}
	size, length := uint64(start[1]), 0
	switch start[1] {
	case 126:
		length = 2
	case 127:
		length = 8
	}
	if length > 0 {
		if _, err := io.ReadFull(p.in, start[2:2+length]); err != nil {
			return frame{}, err
		}
		var wide [8]byte
		copy(wide[8-length:], start[2:])
		size = binary.BigEndian.Uint64(wide[:])
	}
	if size > messageSize || !bytes.Equal(header(start[0], 0, int(size)), start[:2+length]) {
		return frame{}, fmt.Errorf("%w: %x", errLong, start[:2+length])
	}
	payload := make([]byte, size)
	_, err := io.ReadFull(p.in, payload)
	got := frame{start[0], string(payload)}
	if err == nil && p.inflates && got.first&rsv1 != 0 {
		return got.inflated()
	}
	return got, err
}

// expect reads frames until it has read those that are wanted: messages in order and control frames in order.
func (p *peer) expect(wants []frame) {
	p.t.Helper()
	var messages, controls []frame
	for _, want := range wants {
		if want.control() {
			controls = append(controls, want)
		} else {
			messages = append(messages, want)
		}
	}
	for len(messages)+len(controls) > 0 {
		got, err := p.next()
		if err != nil {
			p.t.Fatalf("the peer reads: %v; wants %v and %v", err, messages, controls)
		}
		queue := &messages
		if got.control() {
			queue = &controls
		}
		if len(*queue) == 0 || (*queue)[0] != got {
			p.t.Fatalf("the peer read %v, wants %v and %v", got, messages, controls)
		}
		*queue = (*queue)[1:]
	}
}

// lastFrame reads the frame that ends the connection, and the end of the stream. Frames of may, in order, may come before.
func (p *peer) lastFrame(may []frame) frame {
	p.t.Helper()
	for {
		got, err := p.next()
		if err != nil {
			p.t.Fatalf("no close frame: %v", err)
		}
		if got.first == fin|opClose {
			p.expectEnd()
			return got
		}
		for len(may) > 0 && may[0] != got {
			may = may[1:]
		}
		if len(may) == 0 {
			p.t.Fatalf("the peer read %v, wants a close frame", got)
		}
		may = may[1:]
	}
}

// expectFailure wants a close frame with that code, whose reason is UTF-8 (RFC 6455, section 5.5.1), and the end.
func (p *peer) expectFailure(code int, may []frame) {
	p.t.Helper()
	got := p.lastFrame(may).payload
	if len(got) < 2 || got[:2] != bye(code, "").payload || !utf8.ValidString(got[2:]) || len(got) > 125 {
		p.t.Errorf("the payload of the close frame is %q, want the code %d", got, code)
	}
}

// expectClose wants a close frame with that code and nothing more, and the end.
func (p *peer) expectClose(code int, may []frame) {
	p.t.Helper()
	if got := p.lastFrame(may); got != bye(code, "") {
		p.t.Errorf("the close frame is %v, want the code %d and no reason", got, code)
	}
}

// expectEnd wants the end of the stream: no more bytes, no reset.
func (p *peer) expectEnd() {
	p.t.Helper()
	if rest, err := io.ReadAll(p.in); err != nil || len(rest) > 0 {
		p.t.Errorf("no clean end of the stream: %.100q, %v", rest, err)
	}
}

// hangUp ends the outbound half of the TCP connection.
func (p *peer) hangUp() {
	p.t.Helper()
	if err := p.conn.CloseWrite(); err != nil {
		p.t.Fatal(err)
	}
}

// expectHealth finds out whether the connection is in order, and that nothing has come that is not expected.
func (p *peer) expectHealth(opcode byte) {
	p.t.Helper()
	last := frame{fin | opcode, "still here?"}
	p.write(0, text(last.payload))
	p.expect([]frame{last})
	p.write(0, ping(last.payload))
	p.expect([]frame{pong(last.payload)})
	p.write(0, bye(1000, "that was all"))
	p.expectClose(1000, nil)
}
