// Package rawpeer is a client for the tests of the server that puts any bytes on the wire: frames that are right and
// frames that are wrong, in pieces or in one write. It shares nothing with the library.
package rawpeer

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
)

// Opening is an opening handshake for the session "mallory" in the room "r", by a query that tests read.
const Opening = "GET /?room=r&id=mallory HTTP/1.1\r\nHost: server\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"

// A Peer is a client. It waits for as long as the deadlines of Conn let it, which are the test's to set.
type Peer struct {
	T    testing.TB // whose failures are those of the peer
	Conn net.Conn
	In   *bufio.Reader // of Conn
}

// New returns a peer at the end of a connection that the test closes.
func New(t testing.TB, conn net.Conn) *Peer {
	return &Peer{T: t, Conn: conn, In: bufio.NewReader(conn)}
}

// Dial connects a peer over TCP until the end of the test.
func Dial(t testing.TB, addr string) *Peer {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return New(t, conn)
}

// Write sends bytes in one write. It may be called from any goroutine.
func (p *Peer) Write(data []byte) {
	p.T.Helper()
	if _, err := p.Conn.Write(data); err != nil {
		p.T.Errorf("peer writes: %v", err)
	}
}

// Open sends an Opening, and ends the test unless it is answered with 101.
func (p *Peer) Open() {
	p.T.Helper()
	p.Write([]byte(Opening))
	if status := p.Status(); status != http.StatusSwitchingProtocols {
		p.T.Fatalf("upgrade: status %d", status)
	}
}

// Status reads the answer to an HTTP request, and returns its status; 0 if there is none.
func (p *Peer) Status() int {
	p.T.Helper()
	response, err := http.ReadResponse(p.In, nil)
	if err != nil {
		p.T.Errorf("no response: %v", err)
		return 0
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	return response.StatusCode
}

// Next reads a frame; see Read.
func (p *Peer) Next() (Frame, error) { return Read(p.In) }

// Expect reads the next frame that is not a ping.
func (p *Peer) Expect(first byte, payload string) {
	p.T.Helper()
	want := Frame{first, payload}
	for {
		got, err := p.Next()
		if err == nil && got.First == Fin|OpPing {
			continue
		}
		if err != nil || got != want {
			p.T.Errorf("peer read %v (%v), want %v", got, err, want)
		}
		return
	}
}

// ExpectClose reads until the close frame, compares its code, and then expects the end of the stream rather than a
// reset.
func (p *Peer) ExpectClose(code int) {
	p.T.Helper()
	for {
		got, err := p.Next()
		if err != nil {
			p.T.Errorf("no close frame: %v", err)
			return
		}
		if got.First != Fin|OpClose {
			continue
		}
		if got.Code() != code {
			p.T.Errorf("close frame %q, want %d", got.Payload, code)
		}
		p.ExpectEnd()
		return
	}
}

// ExpectEnd wants the end of the stream: no more bytes, no reset.
func (p *Peer) ExpectEnd() {
	p.T.Helper()
	if rest, err := io.ReadAll(p.In); err != nil || len(rest) > 0 {
		p.T.Errorf("no clean end of the stream: %.100q, %v", rest, err)
	}
}
