package wire

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"time"
)

// Socket is the net.Conn under a gorilla connection. Reading and the opening handshake pass through. What gorilla writes
// of its own accord after that, a close frame for a peer that broke the protocol, is kept for the write pump instead:
// the one writer of the connection, which writes to Conn.
type Socket struct {
	net.Conn
	upgraded bool   // set by Upgraded, before anything reads
	refusal  []byte // owned by the reading goroutine
}

// Upgraded says that the opening handshake is over.
func (s *Socket) Upgraded() { s.upgraded = true }

// Write keeps p once the handshake is over.
func (s *Socket) Write(p []byte) (int, error) {
	if !s.upgraded {
		return s.Conn.Write(p)
	}
	s.refusal = append([]byte(nil), p...)
	return len(p), nil
}

// SetWriteDeadline does nothing once the handshake is over.
func (s *Socket) SetWriteDeadline(t time.Time) error {
	if !s.upgraded {
		return s.Conn.SetWriteDeadline(t)
	}
	return nil
}

// Refusal returns the close frame that gorilla meant to send, or nil. It belongs to the goroutine that reads.
func (s *Socket) Refusal() *Frame {
	if s.refusal == nil {
		return nil
	}
	return &Frame{Bytes: s.refusal}
}

// Part writes a last frame by deadline, ends the outbound half of the connection, discards what still comes in until the
// peer ends its half or the deadline passes, and closes. A peer that is still sending then reads the frame rather than a
// reset.
func (s *Socket) Part(f *Frame, deadline time.Time) {
	defer s.Conn.Close()
	if s.Conn.SetDeadline(deadline) != nil {
		return
	}
	if _, err := s.Conn.Write(f.Bytes); err != nil {
		return
	}
	s.drain()
}

// Drain is Part after the last frame has been written.
func (s *Socket) Drain(deadline time.Time) {
	defer s.Conn.Close()
	if s.Conn.SetDeadline(deadline) == nil {
		s.drain()
	}
}

func (s *Socket) drain() {
	if half, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	_, _ = io.Copy(io.Discard, s.Conn)
}

// Abort closes the connection at once. TLS would say good-bye first, for up to five seconds.
func (s *Socket) Abort() {
	if under, ok := s.Conn.(interface{ NetConn() net.Conn }); ok {
		_ = under.NetConn().Close()
	}
	_ = s.Conn.Close()
}

// Hijacker is a ResponseWriter whose hijacked connection is a Socket.
type Hijacker struct {
	http.ResponseWriter
	Socket *Socket
}

// Hijack takes over the connection, also from behind middleware whose ResponseWriter has an Unwrap method.
func (h *Hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.Socket.Conn = conn
	return h.Socket, rw, nil
}
