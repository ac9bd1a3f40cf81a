package wire

import (
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// Socket is the net.Conn under a link. One goroutine reads it and one writes it, and any may look at what the kernel
// knows of it; Part, Drain and Abort are the ways to end it. Nobody but the Socket sets the deadline of writing: see
// Cut.
type Socket struct {
	net.Conn

	// Set at construction, then read-only.
	kernel syscall.RawConn // of the Conn, or of the one below it; nil where the kernel can't be asked
	plain  bool            // what is written to kernel is what is written to Conn

	watch *watch // of writes that wait, from the first one on; owned by the writer

	mu    sync.Mutex // guards what follows; a leaf
	cutAt time.Time  // when writing ends; zero: not yet known
}

// NewSocket returns the socket of a connection.
func NewSocket(conn net.Conn) Socket {
	kernel, plain := kernelOf(conn)
	return Socket{Conn: conn, kernel: kernel, plain: plain}
}

// kernelOf returns how to ask the kernel about a connection, or about the one that it is a layer upon, such as TLS.
func kernelOf(conn net.Conn) (kernel syscall.RawConn, plain bool) {
	_, plain = conn.(*net.TCPConn)
	for {
		layer, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		conn = layer.NetConn()
	}
	if c, ok := conn.(syscall.Conn); ok {
		if kernel, err := c.SyscallConn(); err == nil {
			return kernel, plain
		}
	}
	return nil, false
}

// Cut makes writing fail from at on, also a write that is under way then, with an error that is os.ErrDeadlineExceeded.
// Only the earliest of all cuts counts. A Conn that has no deadlines is closed.
func (s *Socket) Cut(at time.Time) {
	s.mu.Lock()
	var err error
	if s.cutAt.IsZero() || at.Before(s.cutAt) {
		s.cutAt = at
		err = s.Conn.SetWriteDeadline(at)
	}
	s.mu.Unlock()
	if err != nil {
		s.Abort()
	}
}

// Part writes a last frame by deadline, ends the outbound half of the connection, discards what still comes in until
// the peer ends its half or the deadline passes, and closes. A peer that is still sending then reads the frame rather
// than a reset.
func (s *Socket) Part(f *Frame, deadline time.Time) {
	defer s.Conn.Close()
	if s.Conn.SetReadDeadline(deadline) != nil {
		return
	}
	s.Cut(deadline)
	if _, err := s.Conn.Write(f.Bytes); err != nil {
		return
	}
	s.drain()
}

// Drain is Part after the last frame has been written.
func (s *Socket) Drain(deadline time.Time) {
	defer s.Conn.Close()
	if s.Conn.SetReadDeadline(deadline) == nil {
		s.Cut(deadline)
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
