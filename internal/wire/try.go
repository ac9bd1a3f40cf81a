package wire

import (
	"net"
	"os"
	"sync"
)

// TryWrite writes as much of p as the socket takes at once, which may be nothing: what is under a layer such as TLS,
// and what is no TCP, takes nothing. An error leaves the socket of no more use.
func (s *Socket) TryWrite(p []byte) (n int, err error) {
	switch {
	case s.polled != nil:
		return s.polled.TryWrite(p)
	case !s.plain || !canWriteOnce:
		return 0, nil
	}
	a := attempts.Get().(*attempt)
	a.p, a.n, a.err = p, 0, nil
	err = s.kernel.Write(a.run)
	if n = a.n; err == nil && a.err != nil {
		err = s.writeError(a.err)
	}
	a.p, a.err = nil, nil
	attempts.Put(a)
	return n, err
}

// writeError gives an error the form that it has from the Conn itself.
func (s *Socket) writeError(err error) error {
	return &net.OpError{Op: "write", Net: s.LocalAddr().Network(), Source: s.LocalAddr(), Addr: s.RemoteAddr(),
		Err: os.NewSyscallError("write", err)}
}

// An attempt is a write that does not wait.
type attempt struct {
	p   []byte
	n   int
	err error
	run func(fd uintptr) bool // write, so that an attempt allocates nothing
}

var attempts = sync.Pool{New: func() any {
	a := new(attempt)
	a.run = a.write
	return a
}}

// write is run on the descriptor of a socket, and never asks to wait until that is writable.
func (a *attempt) write(fd uintptr) bool {
	a.n, a.err = writeOnce(fd, a.p)
	return true
}

// Eager says that TryWrite writes what the socket takes at once.
func (s *Socket) Eager() bool { return s.plain && canWriteOnce }
