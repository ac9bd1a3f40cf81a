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
	e.p = nil
	if err == nil && e.err != nil {
		err = s.writeError(e.err)
	}
	return e.n, err
}

// writeError gives an error the form that it has from the Conn itself.
func (s *Socket) writeError(err error) error {
	return &net.OpError{Op: "write", Net: s.LocalAddr().Network(), Source: s.LocalAddr(), Addr: s.RemoteAddr(),
		Err: os.NewSyscallError("write", err)}
}

// tryWrite is run on the descriptor of a socket, and never asks to wait until that is writable.
func (e *Eager) tryWrite(fd uintptr) bool {
	e.n, e.err = writeOnce(fd, e.p)
	return true
}
