package wstest

import (
	"errors"
	"io"
	"net"
	"syscall"
	"time"
)

// Wrap puts faults between a program and a connection that it has dialled, to a real server say: up are those of what
// is written to the returned Conn, down those of what is read from it. The window comes on top of what the connection
// buffers itself. A reset is passed on as one where conn is a *net.TCPConn, and as a close where it is not.
//
// The caller closes the returned Conn, which closes conn within ten seconds: what has been written goes out first. That
// much goes through a black hole too, so a peer that is to vanish without a word must not be closed.
func Wrap(conn net.Conn, up, down Faults) *Conn {
	near, far := newPipe(conn.LocalAddr(), conn.RemoteAddr(), up, down)
	near.link.socket = true
	near.onClose = func() { _ = conn.SetDeadline(time.Now().Add(patience)) }
	go far.carryUp(conn)
	go far.carryDown(conn)
	return near
}

// carryUp writes to conn what comes in, and closes it once it is of no more use.
func (c *Conn) carryUp(conn net.Conn) {
	readErr, writeErr := carry(conn, c)
	switch {
	case writeErr != nil:
		c.closeRead()
	case readErr == io.EOF: //nolint:errorlint // Conn does not wrap it
		closeWrite(conn)
	}
	c.waitUntilOver()
	if tcp, ok := conn.(*net.TCPConn); ok && errors.Is(readErr, syscall.ECONNRESET) {
		_ = tcp.SetLinger(0)
	}
	conn.Close()
}

// carryDown passes on what is read from conn.
func (c *Conn) carryDown(conn net.Conn) {
	readErr, writeErr := carry(c, conn)
	switch {
	case writeErr != nil: // nobody is there to read it
		_, _ = io.Copy(io.Discard, conn)
	case errors.Is(readErr, io.EOF):
		_ = c.CloseWrite()
	default:
		c.link.mu.Lock()
		defer c.link.mu.Unlock()
		c.link.cut(syscall.ECONNRESET)
	}
}

// carry copies until reading or writing fails.
func carry(dst, src net.Conn) (readErr, writeErr error) {
	buf := make([]byte, 4<<10)
	for {
		n, err := src.Read(buf)
		if n > 0 {
			if _, writeErr = dst.Write(buf[:n]); writeErr != nil {
				return nil, writeErr
			}
		}
		if err != nil {
			return err, nil
		}
	}
}

func closeWrite(conn net.Conn) {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}

// closeRead makes the writes of the other end fail.
func (c *Conn) closeRead() {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	c.in.deafAt = time.Now()
	c.link.moved.Broadcast()
}

// waitUntilOver waits until the other end is closed, or neither end can write.
func (c *Conn) waitUntilOver() {
	l := c.link
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.reset && l.down.deafAt.IsZero() && (l.up.finished == nil || l.down.finished == nil) {
		l.wait()
	}
}
