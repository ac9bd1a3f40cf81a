package wstest

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A Listener is a net.Listener on a network in memory.
type Listener struct {
	conns  chan *Conn    // unbuffered, so that whoever dials knows whether it was accepted; never closed
	done   chan struct{} // closed by close
	close  func()
	dialed atomic.Uint32
}

// Listen returns a listener at 192.0.2.1:80, an address that exists in documentation only (RFC 5737).
func Listen() *Listener {
	l := &Listener{conns: make(chan *Conn), done: make(chan struct{})}
	l.close = sync.OnceFunc(func() { close(l.done) })
	return l
}

var listenAddr = netip.MustParseAddrPort("192.0.2.1:80")

// Dial connects from an address of its own, and waits until that is accepted. The faults are those of what is written
// to the returned Conn (up) and of what is read from it (down). The error after Close is ECONNREFUSED.
func (l *Listener) Dial(up, down Faults) (*Conn, error) {
	return l.dial(context.Background(), l.nextAddr(), up, down)
}

// DialContext is Dial without faults, for the fields of that name in an http.Transport and other dialers. It dials this
// listener whatever the address.
func (l *Listener) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	c, err := l.dial(ctx, l.nextAddr(), Faults{}, Faults{})
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (l *Listener) nextAddr() netip.AddrPort {
	const first, ports = 49152, 16384 // the ephemeral ones
	return netip.AddrPortFrom(netip.MustParseAddr("192.0.2.2"), uint16(first+l.dialed.Add(1)%ports))
}

func (l *Listener) dial(ctx context.Context, from netip.AddrPort, up, down Faults) (*Conn, error) {
	local, remote := net.TCPAddrFromAddrPort(from), l.Addr()
	near, far := newPipe(local, remote, up, down)
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	err := os.ErrDeadlineExceeded
	select {
	case l.conns <- far:
		return near, nil
	case <-l.done:
		err = syscall.ECONNREFUSED
	case <-ctx.Done():
		err = ctx.Err()
	case <-timeout.C:
	}
	return nil, &net.OpError{Op: "dial", Net: local.Network(), Source: local, Addr: remote, Err: err}
}

// Accept waits for the next call of Dial. The error after Close is net.ErrClosed.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, &net.OpError{Op: "accept", Net: l.Addr().Network(), Addr: l.Addr(), Err: net.ErrClosed}
	}
}

// Close ends Accept and Dial. Connections stay as they are.
func (l *Listener) Close() error {
	l.close()
	return nil
}

// Addr returns a *net.TCPAddr.
func (l *Listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(listenAddr) }

// A Conn is one end of a connection in memory, or of a socket behind [Wrap]. It behaves as a *net.TCPConn does
// (deadlines, CloseWrite, errors and what they wrap) with the [Faults] of each direction between its ends; only,
// closing it never resets, whether or not something is left unread. All methods may be called from any goroutine.
type Conn struct {
	// Set at construction, then read-only.
	link          *link
	in, out       *stream // of link
	local, remote net.Addr
	onClose       func() // nil for none

	// Guarded by link.mu.
	closed          bool
	readBy, writeBy time.Time
}

// newPipe returns the ends of a connection, near being that of whoever dials.
func newPipe(local, remote net.Addr, up, down Faults) (near, far *Conn) {
	l := newLink(up, down)
	near = &Conn{link: l, in: &l.down, out: &l.up, local: local, remote: remote}
	far = &Conn{link: l, in: &l.up, out: &l.down, local: remote, remote: local}
	return near, far
}

// Upstream sets the faults of what the end that dialled writes. It may be called at either end, at any time.
func (c *Conn) Upstream(f Faults) { c.link.set(&c.link.up, f) }

// Downstream sets the faults of what the end that dialled reads. It may be called at either end, at any time.
func (c *Conn) Downstream(f Faults) { c.link.set(&c.link.down, f) }

// Reset breaks the connection at once, whatever its faults: at both ends, reads and writes fail with ECONNRESET, and
// what has not been read is lost.
func (c *Conn) Reset() { c.link.fail() }

// Read reads what has come through, and waits for it until the read deadline. Errors: io.EOF; otherwise a *net.OpError
// with net.ErrClosed, os.ErrDeadlineExceeded or ECONNRESET.
func (c *Conn) Read(b []byte) (n int, err error) {
	l := c.link
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		now := time.Now()
		if err := c.broken(c.readBy, now); err != nil {
			return 0, c.wrap("read", err)
		}
		n, next := c.in.pull(b, now)
		if n > 0 || len(b) == 0 {
			l.moved.Broadcast()
			return n, nil
		}
		if c.in.finished != nil && c.in.drained() && !l.swallows(c.in) {
			if next = c.in.finishedAt; !next.After(now) {
				return 0, c.wrap("read", c.in.finished)
			}
		}
		l.wait(c.readBy, next)
	}
}

// Write writes b, and waits until there is room in the window for what has not been read of it. After an error, n bytes
// of b are on their way or have been read. Errors: a *net.OpError with net.ErrClosed, os.ErrDeadlineExceeded, EPIPE or
// ECONNRESET.
func (c *Conn) Write(b []byte) (n int, err error) {
	l, s := c.link, c.out
	l.mu.Lock()
	defer l.mu.Unlock()
	for s.writing { // one after the other, so that the bytes of each stay together
		if err := c.unwritable(); err != nil {
			return 0, c.wrap("write", err)
		}
		l.wait(c.writeBy)
	}
	s.writing = true
	defer func() { s.writing = false; l.moved.Broadcast() }()
	if err := c.unwritable(); err != nil || len(b) == 0 {
		return 0, c.wrap("write", err)
	}
	n, broken := s.push(b, time.Now())
	l.moved.Broadcast()
	if broken {
		l.cut(s.breaks)
		if n < len(b) {
			err = c.wrap("write", c.unwritable())
		}
		return n, err
	}
	for s.queued > s.faults.window() {
		if err := c.unwritable(); err != nil {
			lost := min(n, s.queued-s.faults.window())
			s.unpush(lost)
			return n - lost, c.wrap("write", err)
		}
		l.wait(c.writeBy, c.deafAt())
	}
	return n, nil
}

// broken returns why neither reading nor writing works, apart from what the other end has done. mu is held.
func (c *Conn) broken(deadline, now time.Time) error {
	switch {
	case c.closed:
		return net.ErrClosed
	case c.link.reset:
		return syscall.ECONNRESET
	case !deadline.IsZero() && !now.Before(deadline):
		return os.ErrDeadlineExceeded
	}
	return nil
}

// unwritable returns why writing does not work. mu is held.
func (c *Conn) unwritable() error {
	now := time.Now()
	if err := c.broken(c.writeBy, now); err != nil {
		return err
	}
	deafAt := c.deafAt()
	switch ended := c.out.finished; {
	case errors.Is(ended, syscall.ECONNRESET):
		return ended
	case ended != nil, !deafAt.IsZero() && !deafAt.After(now):
		return syscall.EPIPE
	}
	return nil
}

// deafAt returns when this end learns that the other one reads no more; the zero time when it does not. mu is held.
func (c *Conn) deafAt() time.Time {
	if c.link.swallows(c.in) {
		return time.Time{}
	}
	return c.out.deafAt
}

// wrap gives an error the form that it has from a *net.TCPConn.
func (c *Conn) wrap(op string, err error) error {
	if err == nil || err == io.EOF { //nolint:errorlint // it is one of ours, never wrapped
		return err
	}
	if number, ok := err.(syscall.Errno); ok { //nolint:errorlint // likewise
		err = os.NewSyscallError(op, number)
	}
	return &net.OpError{Op: op, Net: c.local.Network(), Source: c.local, Addr: c.remote, Err: err}
}

// Close ends the reading and the writing. What has been written still arrives, and then the end of the stream; the
// writes of the other end fail with EPIPE once it can know. A second call returns net.ErrClosed.
func (c *Conn) Close() error {
	if !c.close() {
		return c.wrap("close", net.ErrClosed)
	}
	if c.onClose != nil {
		c.onClose()
	}
	return nil
}

func (c *Conn) close() (first bool) {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	if c.closed {
		return false
	}
	c.closed = true
	at := time.Now().Add(c.out.faults.Latency)
	c.out.finish(at, io.EOF)
	c.in.deafAt = at
	c.link.moved.Broadcast()
	return true
}

// CloseWrite ends the writing: the other end reads io.EOF behind what has been written. Reading goes on.
func (c *Conn) CloseWrite() error {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	if err := c.broken(time.Time{}, time.Time{}); err != nil {
		return c.wrap("close", err)
	}
	c.out.finish(time.Now().Add(c.out.faults.Latency), io.EOF)
	c.link.moved.Broadcast()
	return nil
}

// SetDeadline sets the deadline of reading and of writing; the zero time means none. It holds for calls that wait, too.
// The error after Close is net.ErrClosed.
func (c *Conn) SetDeadline(t time.Time) error {
	return c.setDeadlines(func() { c.readBy, c.writeBy = t, t })
}

// SetReadDeadline is SetDeadline for reading.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadlines(func() { c.readBy = t }) }

// SetWriteDeadline is SetDeadline for writing.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setDeadlines(func() { c.writeBy = t }) }

func (c *Conn) setDeadlines(set func()) error {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	if c.closed {
		return c.wrap("set", net.ErrClosed)
	}
	set()
	c.link.moved.Broadcast()
	return nil
}

// LocalAddr returns the address of this end.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the address of the other end.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }
