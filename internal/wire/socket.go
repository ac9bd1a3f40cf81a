package wire

import (
	"io"
	"net"
	"syscall"
	"time"
)

// Socket is the net.Conn under a link. One goroutine reads it and one writes it; CloseAfter, Drain and Abort are the ways to end it.
type Socket struct {
	net.Conn
	raw syscall.RawConn // for an Eager; nil where there is none
}

// NewSocket returns the socket of a connection.
func NewSocket(conn net.Conn) Socket {
	s := Socket{Conn: conn}
	if tcp, ok := conn.(*net.TCPConn); ok && canWriteOnce {
		s.raw, _ = tcp.SyscallConn()
	}
	return s
}

// CloseAfter writes a last frame by deadline, ends the outbound half of the connection, discards what still comes in until the
// peer ends its half or the deadline passes, and closes. A peer that is still sending then reads the frame rather than a
// reset.
func (s *Socket) CloseAfter(f *Frame, deadline time.Time) {
	defer s.Conn.Close()
	if s.Conn.SetDeadline(deadline) != nil {
		return
	}
	if _, err := s.Conn.Write(f.Bytes); err != nil {
		return
	}
	s.drain()
}

// Drain is CloseAfter after the last frame has been written.
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
