//go:build !linux || nopoll || 386 || s390x

package poll

import (
	"errors"
	"net"
)

// A Conn is nothing that there is on this system.
type Conn struct{ net.Conn }

// A Poller is nothing that there is on this system.
type Poller struct{}

// A Worker is nothing that there is on this system.
type Worker struct{}

// New returns an error: connections wait by themselves.
func New() (*Poller, error) { return nil, errors.ErrUnsupported }

// Close does nothing.
func (*Poller) Close() {}

// Adopt returns an error.
func (*Poller) Adopt(*net.TCPConn) (*Conn, error) { return nil, errors.ErrUnsupported }

// Handle does nothing.
func (*Conn) Handle(Handler) {}

// Park returns false.
func (*Conn) Park() bool { return false }

// TryRead reads nothing.
func (*Conn) TryRead([]byte) (int, error) { return 0, nil }

// TryWrite writes nothing.
func (*Conn) TryWrite([]byte) (int, error) { return 0, nil }

// Guarded returns false.
func (*Worker) Guarded() bool { return false }

// PassOn does nothing.
func (*Worker) PassOn() {}
