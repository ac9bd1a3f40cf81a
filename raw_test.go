package wspulse_test

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// A rawPeer is a client that puts whatever it likes on the wire.
type rawPeer struct {
	t    *testing.T
	conn *net.TCPConn
	in   *bufio.Reader
}

const upgradeRequest = "GET /?room=r&id=mallory HTTP/1.1\r\nHost: server\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"

// connectRaw opens a TCP connection.
func connectRaw(t *testing.T, w *netWorld) *rawPeer {
	t.Helper()
	c, err := net.Dial("tcp", w.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(2 * patience))
	return &rawPeer{t: t, conn: c.(*net.TCPConn), in: bufio.NewReader(c)}
}

// dialRaw opens a WebSocket as "mallory".
func dialRaw(t *testing.T, w *netWorld) *rawPeer {
	t.Helper()
	p := connectRaw(t, w)
	p.write([]byte(upgradeRequest))
	if status := p.status(); status != http.StatusSwitchingProtocols {
		t.Fatalf("upgrade: status %d", status)
	}
	return p
}

func (p *rawPeer) write(data []byte) {
	p.t.Helper()
	if _, err := p.conn.Write(data); err != nil {
		p.t.Errorf("peer writes: %v", err)
	}
}

func (p *rawPeer) status() int {
	p.t.Helper()
	response, err := http.ReadResponse(p.in, nil)
	if err != nil {
		p.t.Errorf("no response: %v", err)
		return 0
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	return response.StatusCode
}

// The first byte of a frame (RFC 6455, section 5.2).
const (
	finText     = 0x81
	finBinary   = 0x82
	finClose    = 0x88
	finPing     = 0x89
	finPong     = 0x8A
	fragText    = 0x01
	fragPing    = 0x09
	continuing  = 0x00
	reservedBit = 0x40
)

// masked builds a frame as a client sends it.
func masked(first byte, payload string) []byte {
	header := []byte{first}
	switch n := len(payload); {
	case n < 126:
		header = append(header, 0x80|byte(n))
	case n < 1<<16:
		header = binary.BigEndian.AppendUint16(append(header, 0x80|126), uint16(n))
	default:
		header = binary.BigEndian.AppendUint64(append(header, 0x80|127), uint64(n))
	}
	key := []byte{1, 2, 3, 4}
	frame := append(header, key...)
	for i := range len(payload) {
		frame = append(frame, payload[i]^key[i%4])
	}
	return frame
}

func unmasked(first byte, payload string) []byte {
	return append([]byte{first, byte(len(payload))}, payload...)
}

// next reads a frame of less than 64 KiB.
func (p *rawPeer) next() (first byte, payload string, err error) {
	var header [2]byte
	if _, err = io.ReadFull(p.in, header[:]); err != nil {
		return 0, "", err
	}
	size := int(header[1])
	if size == 126 {
		var long [2]byte
		if _, err = io.ReadFull(p.in, long[:]); err != nil {
			return 0, "", err
		}
		size = int(binary.BigEndian.Uint16(long[:]))
	}
	data := make([]byte, size)
	_, err = io.ReadFull(p.in, data)
	return header[0], string(data), err
}

// expectFrame reads the next frame that is not a ping.
func (p *rawPeer) expectFrame(first byte, payload string) {
	p.t.Helper()
	for {
		gotFirst, got, err := p.next()
		if err == nil && gotFirst == finPing {
			continue
		}
		if err != nil || gotFirst != first || got != payload {
			p.t.Errorf("peer read %#x %.100q (%v), want %#x %q", gotFirst, got, err, first, payload)
		}
		return
	}
}

// expectClose reads until the close frame, compares its code, and then expects the end of the stream rather than a reset.
func (p *rawPeer) expectClose(code int) {
	p.t.Helper()
	for {
		first, payload, err := p.next()
		if err != nil {
			p.t.Errorf("no close frame: %v", err)
			return
		}
		if first != finClose {
			continue
		}
		if len(payload) < 2 || int(binary.BigEndian.Uint16([]byte(payload))) != code {
			p.t.Errorf("close frame %q, want %d", payload, code)
		}
		p.expectEnd()
		return
	}
}

func (p *rawPeer) expectEnd() {
	p.t.Helper()
	if rest, err := io.ReadAll(p.in); err != nil {
		p.t.Errorf("no clean end of the stream: %v after %q", err, rest)
	}
}
