package wire

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/wspulse/server/internal/poll"
)

// Socket is the net.Conn under a link. One goroutine reads it and one writes it, and any may look at what the kernel
// knows of it; CloseAfter, Drain, Abort and Reset are the ways to end it. Nobody but the Socket sets the deadline of
// writing: see Cut.
type Socket struct {
	net.Conn

	// Set at construction, then read-only.
	polled *poll.Conn      // the Conn, if it can wait without a goroutine; else nil
	kernel syscall.RawConn // of the Conn, or of the one below it; nil where the kernel can't be asked
	plain  bool            // what is written to kernel is what is written to Conn

	torn     bool        // a write has failed, maybe in the middle of a frame; owned by the writer, as is
	stall    *stallTimer // of writes that wait, from the first one on
	taken    uint64      // bytes, when the stall timer last looked; under its lock, as is
	lookedAt int64       // when that was, in Unix nanoseconds

	// Counted if the kernel does not say what was taken.
	accepted atomic.Uint64 // bytes that Conn has accepted
	waited   atomic.Uint64 // those of them for which a write had to wait

	mu    sync.Mutex // guards what follows; a leaf
	cutAt int64      // when writing ends, in Unix nanoseconds; 0: not yet known
}

// NewSocket returns the socket of a connection.
func NewSocket(conn net.Conn) Socket {
	kernel, plain := kernelOf(conn)
	polled, _ := conn.(*poll.Conn)
	return Socket{Conn: conn, polled: polled, kernel: kernel, plain: plain}
}

// Polled says that somebody is told when there is something to read, by Handle, while nobody waits for it in Read: the
// socket is parked then, and TryRead is of use.
func (s *Socket) Polled() bool { return s.polled != nil }

// Handle says who is told when a socket that is polled has something to read.
func (s *Socket) Handle(h poll.Handler) { s.polled.Handle(h) }

// Park gives up reading until something comes; false: there may be something already. The socket is polled.
func (s *Socket) Park() bool { return s.polled.Park() }

// TryRead reads what is there, which may be nothing: always, unless the socket is polled.
func (s *Socket) TryRead(p []byte) (n int, err error) {
	if s.polled == nil {
		return 0, nil
	}
	return s.polled.TryRead(p)
}

// kernelOf returns how to ask the kernel about a connection, or about the one that it is a layer upon, such as TLS.
func kernelOf(conn net.Conn) (kernel syscall.RawConn, plain bool) {
	switch conn.(type) {
	case *net.TCPConn, *poll.Conn:
		plain = true
	}
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
	if t := at.UnixNano(); s.cutAt == 0 || t < s.cutAt {
		s.cutAt = t
		err = s.Conn.SetWriteDeadline(at)
	}
	s.mu.Unlock()
	if err != nil {
		s.Abort()
	}
}

// CloseAfter writes a last frame by deadline, discards what still comes in until the peer ends its half or the deadline
// passes, and closes. A peer that is still sending then reads the frame rather than a reset. Where a write has failed,
// maybe in the middle of a frame, there is no last one. The goroutine that writes.
func (s *Socket) CloseAfter(f *Frame, deadline time.Time) {
	defer s.Conn.Close()
	if s.torn {
		return
	}
	s.Cut(deadline)
	s.delayCut(time.Now().Add(lastMoment))
	if _, err := s.Conn.Write(f.Bytes); err == nil {
		s.Drain(deadline)
	}
}

// lastMoment is enough for a last frame that the kernel has room for. The turn of its writer may come later than the cut
// on a busy machine, and is given that much from then on.
const lastMoment = 100 * time.Millisecond

// delayCut has a write that begins now end at that time rather than earlier.
func (s *Socket) delayCut(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cutAt < at.UnixNano() {
		_ = s.Conn.SetWriteDeadline(at)
	}
}

// Drain is CloseAfter after the last frame has been written, but that it leaves the connection open. It says whether
// the peer has ended its half.
//
// It ends the outbound half at once unless the peer is still sending, and else when nothing has come for a moment: a
// proxy would take that for the end of both halves, and cut the peer.
func (s *Socket) Drain(deadline time.Time) (ended bool) {
	s.Cut(deadline)
	if unread, _ := s.Look(); unread {
		if ended, silent := s.discard(deadline, silence); ended || !silent {
			return ended
		}
	}
	s.CloseWrite()
	ended, _ = s.discard(deadline, 0)
	return ended
}

// silence is how long nothing comes from a peer that has stopped sending.
const silence = time.Second

// discard reads until the peer has ended its half, the deadline has passed, or nothing has come for so long, unless
// that is 0.
func (s *Socket) discard(deadline time.Time, silence time.Duration) (ended, silent bool) {
	for {
		until := deadline
		if soon := time.Now().Add(silence); silence > 0 && soon.Before(deadline) {
			until = soon
		}
		if s.Conn.SetReadDeadline(until) != nil {
			return false, false
		}
		n, err := io.Copy(io.Discard, s.Conn)
		switch {
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return true, false
		case !time.Now().Before(deadline):
			return false, false
		case n == 0:
			return false, true
		}
	}
}

// CloseWrite ends the outbound half of the connection, if it has halves. It does not wait: TLS would, for up to five
// seconds, where there is no room for its good-bye.
func (s *Socket) CloseWrite() {
	const roomy = 4 << 10 // bytes that wait, where there is room for some more
	if pending, _ := s.Pending(); pending > roomy && !s.plain {
		return
	}
	if half, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}

// Abort closes the connection at once. TLS would say good-bye first, for up to five seconds.
func (s *Socket) Abort() {
	if under, ok := s.Conn.(interface{ NetConn() net.Conn }); ok {
		_ = under.NetConn().Close()
	}
	_ = s.Conn.Close()
}

// Reset is Abort, but the peer gets nothing more of what it has not taken yet.
func (s *Socket) Reset() {
	conn := s.Conn
	if under, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = under.NetConn()
	}
	if lingering, ok := conn.(interface{ SetLinger(seconds int) error }); ok {
		_ = lingering.SetLinger(0)
	}
	s.Abort()
}
