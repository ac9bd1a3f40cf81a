package wire

import (
	"net"
	"os"
)

// An Eager writes what a socket takes without waiting. It belongs to one goroutine at a time.
type Eager struct {
	p   []byte
	n   int
	err error
	try func(fd uintptr) bool // tryWrite, so that a write allocates nothing
}

// Write writes as much of p to s as it takes at once, which may be nothing.
func (e *Eager) Write(s *Socket, p []byte) (n int, err error) {
	if s.raw == nil {
		return 0, nil
	}
	if e.try == nil {
		e.try = e.tryWrite
	}
	e.p, e.n, e.err = p, 0, nil
	err = s.raw.Write(e.try)
	if err == nil && e.err != nil { // as the Conn itself would say it
		err = &net.OpError{Op: "write", Net: s.LocalAddr().Network(), Source: s.LocalAddr(), Addr: s.RemoteAddr(),
			Err: os.NewSyscallError("write", e.err)}
	}
	e.p = nil
	return e.n, err
}

// tryWrite is run on the descriptor of a socket, and never asks to wait until that is writable.
func (e *Eager) tryWrite(fd uintptr) bool {
	e.n, e.err = writeOnce(fd, e.p)
	return true
}
