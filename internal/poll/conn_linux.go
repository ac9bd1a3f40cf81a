//go:build !nopoll && !386 && !s390x

package poll

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// The states of a connection.
const (
	running uint32 = iota // somebody reads, or will at once
	again                 // the same, and more has come
	parked                // nobody reads; the Handler is told when something comes
)

// A Conn is a TCP connection whose descriptor is its own, outside the poller of the runtime. As a net.Conn it waits as
// any other does; TryRead and TryWrite never wait. One goroutine at a time reads it, and one writes it.
type Conn struct {
	poller  *Poller
	remote  netip.AddrPort
	handler Handler // set before the first Park, then read-only

	state   atomic.Uint32
	ended   atomic.Bool // the peer's end, or urgent data, has been seen: a short read may have left something
	drained bool        // the last read has left nothing; owned by who reads

	in, out half
	fd      int // -1: closed; guarded by the locks of both halves: either to use it, both to close it
}

// A half is one direction of a Conn.
type half struct {
	mu       sync.Mutex                    // held for a system call that does not wait
	deadline atomic.Int64                  // since epoch; 0: none
	wake     atomic.Pointer[chan struct{}] // of capacity 1; made by the first who waits
}

var epoch = time.Now()

// Handle says who is told when something has come. It comes before the first Park.
func (c *Conn) Handle(h Handler) { c.handler = h }

// Park gives up reading until something comes. It returns false if something has come meanwhile: the caller reads on.
// After true, somebody else may be reading already.
func (c *Conn) Park() bool {
	if c.state.CompareAndSwap(running, parked) {
		return true
	}
	c.state.Store(running)
	c.drained = false
	return false
}

// claim takes over the reading of a parked connection, or tells who reads that more has come.
func (c *Conn) claim() bool {
	for {
		switch c.state.Load() {
		case parked:
			if c.state.CompareAndSwap(parked, running) {
				c.drained = false
				return true
			}
		case running:
			if c.state.CompareAndSwap(running, again) {
				return false
			}
		default:
			return false
		}
	}
}

// rouse has a connection read though nothing may have come: by reading one learns that it is closed, or out of time.
func (c *Conn) rouse() {
	c.in.signal()
	if c.claim() {
		go c.handler.Ready(nil)
	}
}

// event takes in what the kernel says, and returns whether the handler is to be told.
func (c *Conn) event(events uint32) (ready bool) {
	if events&(syscall.EPOLLPRI|syscall.EPOLLRDHUP|syscall.EPOLLHUP|syscall.EPOLLERR) != 0 {
		c.ended.Store(true)
	}
	if events&(syscall.EPOLLOUT|syscall.EPOLLHUP|syscall.EPOLLERR) != 0 {
		c.out.signal()
	}
	if events&^syscall.EPOLLOUT == 0 {
		return false
	}
	c.in.signal()
	return c.claim()
}

// TryRead reads what is there, which may be nothing. Errors: those of Read.
func (c *Conn) TryRead(p []byte) (n int, err error) {
	switch {
	case c.in.expired():
		return 0, c.fail("read", os.ErrDeadlineExceeded)
	case c.drained:
		return 0, nil
	}
	n, err = c.in.call(c, syscall.SYS_RECVFROM, p, syscall.MSG_DONTWAIT)
	switch {
	case n > 0: // what is not there yet will be an event
		c.drained = n < len(p) && !c.ended.Load()
		return n, nil
	case err == nil:
		return 0, io.EOF
	case errors.Is(err, syscall.EAGAIN):
		c.drained = true
		return 0, nil
	}
	return 0, c.fail("read", err)
}

// TryWrite writes what the socket takes at once, which may be nothing. Errors: those of Write.
func (c *Conn) TryWrite(p []byte) (n int, err error) {
	if c.out.expired() {
		return 0, c.fail("write", os.ErrDeadlineExceeded)
	}
	n, err = c.out.call(c, syscall.SYS_SENDTO, p, syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL)
	if err == nil || errors.Is(err, syscall.EAGAIN) {
		return n, nil
	}
	return 0, c.fail("write", err)
}

// call makes a system call that never waits, and so need not be told to the scheduler.
func (h *half) call(c *Conn, number uintptr, p []byte, flags uintptr) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.fd < 0 {
		return 0, net.ErrClosed
	}
	n, _, errno := syscall.RawSyscall6(number, uintptr(c.fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))),
		uintptr(len(p)), flags, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (n int, err error) {
	if len(p) == 0 { // which the kernel would answer as it does the end
		return 0, nil
	}
	for {
		if n, err = c.TryRead(p); n > 0 || err != nil {
			return n, err
		}
		c.in.await()
		c.drained = false
	}
}

// Write implements net.Conn.
func (c *Conn) Write(p []byte) (n int, err error) {
	for {
		m, err := c.TryWrite(p[n:])
		if n += m; n == len(p) || err != nil {
			return n, err
		}
		if m == 0 {
			c.out.await()
		}
	}
}

// await returns when there may be something to do, the deadline included.
func (h *half) await() {
	wake := h.wake.Load()
	if wake == nil { // what has happened until now was not told
		made := make(chan struct{}, 1)
		h.wake.Store(&made)
		return
	}
	var expired <-chan time.Time
	if d := h.deadline.Load(); d != 0 {
		timer := time.NewTimer(time.Duration(d) - time.Since(epoch))
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case <-*wake:
	case <-expired:
	}
}

// signal ends an await.
func (h *half) signal() {
	if wake := h.wake.Load(); wake != nil {
		select {
		case *wake <- struct{}{}:
		default:
		}
	}
}

func (h *half) expired() bool {
	d := h.deadline.Load()
	return d != 0 && time.Duration(d) <= time.Since(epoch)
}

func (h *half) setDeadline(t time.Time) {
	d := int64(0)
	if !t.IsZero() {
		if d = int64(t.Sub(epoch)); d == 0 {
			d = 1
		}
	}
	h.deadline.Store(d)
	h.signal()
}

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	_ = c.SetWriteDeadline(t)
	return c.SetReadDeadline(t)
}

// SetReadDeadline implements net.Conn. A deadline that has passed has a parked connection read, which fails then; one
// that is yet to come does not end the parking.
func (c *Conn) SetReadDeadline(t time.Time) error {
	if c.in.setDeadline(t); c.in.expired() {
		c.rouse()
	}
	return nil
}

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.out.setDeadline(t)
	return nil
}

// Close implements net.Conn. A parked connection is read once more.
func (c *Conn) Close() error {
	c.in.mu.Lock()
	c.out.mu.Lock()
	fd := c.fd
	if c.fd = -1; fd >= 0 {
		c.poller.forget(c, fd)
		_ = syscall.Close(fd)
	}
	c.out.mu.Unlock()
	c.in.mu.Unlock()
	if fd < 0 {
		return net.ErrClosed
	}
	c.out.signal()
	c.rouse()
	return nil
}

// CloseWrite ends the outbound half.
func (c *Conn) CloseWrite() error {
	return c.control(func(fd int) error { return syscall.Shutdown(fd, syscall.SHUT_WR) })
}

// SetLinger is as that of net.TCPConn, for 0 or more seconds.
func (c *Conn) SetLinger(seconds int) error {
	linger := syscall.Linger{Onoff: 1, Linger: int32(seconds)}
	return c.control(func(fd int) error {
		return syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &linger)
	})
}

// LocalAddr implements net.Conn. It is empty once the connection is closed.
func (c *Conn) LocalAddr() net.Addr {
	addr := &net.TCPAddr{}
	_ = c.control(func(fd int) error {
		name, err := syscall.Getsockname(fd)
		switch a := name.(type) {
		case *syscall.SockaddrInet4:
			addr.IP, addr.Port = a.Addr[:], a.Port
		case *syscall.SockaddrInet6:
			addr.IP, addr.Port = a.Addr[:], a.Port
			if i, err := net.InterfaceByIndex(int(a.ZoneId)); err == nil {
				addr.Zone = i.Name
			}
		}
		return err
	})
	return addr
}

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

// control runs f on the descriptor, unless that is closed.
func (c *Conn) control(f func(fd int) error) error {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	if c.fd < 0 {
		return net.ErrClosed
	}
	return f(c.fd)
}

// fail gives an error the form that those of a net.Conn have.
func (c *Conn) fail(op string, err error) error {
	if errno, ok := err.(syscall.Errno); ok { //nolint:errorlint // as it comes from the kernel
		err = os.NewSyscallError(op, errno)
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

// SyscallConn implements syscall.Conn; of what that is for there is Control only.
func (c *Conn) SyscallConn() (syscall.RawConn, error) { return rawConn{c}, nil }

type rawConn struct{ *Conn }

func (r rawConn) Control(f func(fd uintptr)) error {
	return r.control(func(fd int) error { f(uintptr(fd)); return nil })
}
func (rawConn) Read(func(fd uintptr) bool) error  { return errors.ErrUnsupported }
func (rawConn) Write(func(fd uintptr) bool) error { return errors.ErrUnsupported }
