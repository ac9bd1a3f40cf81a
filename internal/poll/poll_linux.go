//go:build !nopoll && !386 && !s390x

package poll

import (
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

const (
	maxEvents = 128              // that a leader takes from the kernel at once
	share     = 32               // of them that are worth a goroutine
	patience  = time.Millisecond // a handler takes up to twice as long before the lead passes on
	idleLooks = 20               // of the guard, without an event, after which it ends
	edge      = uint32(1) << 31  // EPOLLET, which is negative in package syscall
	interest  = edge | syscall.EPOLLIN | syscall.EPOLLPRI | syscall.EPOLLOUT | syscall.EPOLLRDHUP
	tableStep = 64 // descriptors by which the table grows
)

// A Poller waits for the connections that it has adopted.
type Poller struct {
	// Set at construction, then read-only.
	fd   int             // of an epoll
	file *os.File        // the same, in the poller of the runtime: to wait there costs no thread
	raw  syscall.RawConn // of file
	most int             // goroutines that read at once, unless they are late

	events  [maxEvents]syscall.EpollEvent // owned by the leader, as is
	found   [maxEvents]*Conn              // what is ready, of them
	guarded atomic.Bool                   // guard runs
	closed  atomic.Bool

	mu    sync.Mutex // guards what follows; a leaf
	conns []*Conn    // by descriptor
	turns []*Turn    // that run
	busy  int        // of them, those that have not passed on
}

// A Turn is a goroutine that runs handlers: the leader, or one that helps it or has been it.
type Turn struct {
	poller *Poller
	poll   func(fd uintptr) bool // takes events, made once
	got    int                   // events

	mu     sync.Mutex // guards what follows; the poller's may be taken under it
	ready  []*Conn    // whose handlers are to run
	now    *Conn      // whose handler runs; nil: none
	count  int        // handlers that have begun
	leads  bool       // waits for events when nothing is ready
	passed bool       // has passed all that on

	seen int // count, at the guard's last look; owned by the guard
}

// New returns a poller. Close it.
func New() (*Poller, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC) // no child of the program keeps it open
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	_ = syscall.SetNonblock(fd, true) // as os.NewFile needs it to wait in the runtime
	p := &Poller{fd: fd, file: os.NewFile(uintptr(fd), "epoll"), most: max(1, runtime.GOMAXPROCS(0)/2)}
	if err = p.file.SetReadDeadline(time.Time{}); err == nil { // or it cannot wait in the runtime
		p.raw, err = p.file.SyscallConn()
	}
	if err != nil {
		_ = p.file.Close()
		return nil, err
	}
	p.start(&Turn{leads: true})
	return p, nil
}

// Close ends the poller. The connections are closed before.
func (p *Poller) Close() {
	p.closed.Store(true)
	_ = p.file.Close()
}

// Adopt makes a Conn of a TCP connection, which is closed: its socket is the Conn's. An error leaves it as it is.
func (p *Poller) Adopt(tcp *net.TCPConn) (*Conn, error) {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil, err
	}
	c := &Conn{poller: p, fd: -1}
	if remote, ok := tcp.RemoteAddr().(*net.TCPAddr); ok {
		c.remote = remote.AddrPort()
	}
	var errno syscall.Errno
	err = raw.Control(func(fd uintptr) {
		var own uintptr
		if own, _, errno = syscall.RawSyscall(syscall.SYS_FCNTL, fd, syscall.F_DUPFD_CLOEXEC, 0); errno == 0 {
			c.fd = int(own)
		}
	})
	if err == nil && errno != 0 {
		err = os.NewSyscallError("fcntl", errno)
	}
	if err != nil {
		return nil, err
	}
	if err := p.add(c); err != nil {
		return nil, err
	}
	_ = tcp.Close() // or each segment would be an event there too
	return c, nil
}

// add lets the kernel tell of a connection.
func (p *Poller) add(c *Conn) error {
	p.mu.Lock()
	if n := c.fd + 1 - len(p.conns); n > 0 {
		p.conns = append(p.conns, make([]*Conn, n+tableStep)...)
	}
	p.conns[c.fd] = c
	p.mu.Unlock()
	event := syscall.EpollEvent{Events: interest, Fd: int32(c.fd)}
	if err := syscall.EpollCtl(p.fd, syscall.EPOLL_CTL_ADD, c.fd, &event); err != nil {
		p.forget(c, c.fd)
		_ = syscall.Close(c.fd)
		return os.NewSyscallError("epoll_ctl", err)
	}
	return nil
}

// forget is called before a descriptor is closed, which the kernel may give to another connection at once.
func (p *Poller) forget(c *Conn, fd int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns[fd] == c {
		p.conns[fd] = nil
	}
}

// start has a turn run.
func (p *Poller) start(t *Turn) {
	t.poller = p
	t.poll = t.take
	p.mu.Lock()
	p.turns = append(p.turns, t)
	p.busy++
	p.mu.Unlock()
	go t.run()
}

// run runs the handlers of what is ready, and leads on as long as nobody else does.
func (t *Turn) run() {
	defer t.end()
	for {
		for c := t.next(); c != nil; c = t.next() {
			c.handler.Ready(t)
		}
		if !t.leading() || !t.wait() {
			return
		}
	}
}

// end is also for a turn whose goroutine a handler has ended.
func (t *Turn) end() {
	t.PassOn()
	p := t.poller
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turns = slices.DeleteFunc(p.turns, func(other *Turn) bool { return other == t })
}

// next takes the connection whose handler is to run now; nil: there is none.
func (t *Turn) next() *Conn {
	t.mu.Lock()
	t.now = nil
	if len(t.ready) > 0 {
		t.now, t.ready[0] = t.ready[0], nil
		t.ready = t.ready[1:]
		t.count++
	}
	c := t.now
	t.mu.Unlock()
	if c != nil && !t.poller.guarded.Load() && t.poller.guarded.CompareAndSwap(false, true) {
		go t.poller.guard()
	}
	return c
}

func (t *Turn) leading() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.leads
}

// wait waits for events, and finds out what is ready. It returns false when the poller is closed.
func (t *Turn) wait() bool {
	p := t.poller
	err := p.raw.Read(t.poll)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.leads = err == nil; !t.leads {
		return false
	}
	p.mu.Lock()
	t.ready = p.found[:0]
	for _, e := range p.events[:t.got] {
		if c := p.conns[e.Fd]; c != nil && c.event(e.Events) {
			t.ready = append(t.ready, c)
		}
	}
	helped := len(t.ready) > share && p.busy < p.most
	p.mu.Unlock()
	if helped {
		half := len(t.ready) / 2
		p.start(&Turn{ready: slices.Clone(t.ready[half:])})
		clear(t.ready[half:])
		t.ready = t.ready[:half]
	}
	return true
}

// take takes events from the kernel. It returns false when there are none, and is called again when there are.
func (t *Turn) take(fd uintptr) bool {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, fd, uintptr(unsafe.Pointer(&t.poller.events[0])),
		maxEvents, 0, 0, 0)
	if t.got = int(n); errno != 0 {
		t.got = 0
	}
	return t.got > 0
}

// Guarded says that the turn has not passed on: whatever its handler does, it is over or Overdue within two milliseconds.
// It is false for a nil Turn.
func (t *Turn) Guarded() bool {
	if t == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.passed
}

// PassOn lets another goroutine run what else is ready, and lead if this one does: the handler that calls it is going
// to wait. It does nothing for a nil Turn.
func (t *Turn) PassOn() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.passOn()
}

// passOn runs with mu held.
func (t *Turn) passOn() {
	if t.passed {
		return
	}
	t.passed = true
	t.poller.mu.Lock()
	t.poller.busy--
	t.poller.mu.Unlock()
	if t.leads || len(t.ready) > 0 {
		t.poller.start(&Turn{ready: slices.Clone(t.ready), leads: t.leads})
	}
	clear(t.ready)
	t.ready, t.leads = nil, false
}

// guard finds the handlers that take long, and has the others go on without them. It ends when nothing happens.
func (p *Poller) guard() {
	for idle := 0; idle < idleLooks || !p.unguard(); idle++ {
		time.Sleep(patience)
		if p.closed.Load() {
			return
		}
		for _, t := range p.running() {
			overdue, moves := t.look()
			if moves {
				idle = 0
			}
			if overdue != nil {
				overdue.handler.Overdue()
			}
		}
	}
}

// unguard ends the guard, unless a handler runs that relies on it.
func (p *Poller) unguard() bool {
	p.guarded.Store(false)
	for _, t := range p.running() {
		if t.relies() {
			return !p.guarded.CompareAndSwap(false, true)
		}
	}
	return true
}

func (p *Poller) running() []*Turn {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.turns)
}

// look passes on if a handler has run since the last look, and returns its connection then, once. It says whether
// another one has begun.
func (t *Turn) look() (overdue *Conn, moves bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count != t.seen {
		t.seen = t.count
		return nil, true
	}
	if t.now == nil || t.passed {
		return nil, false
	}
	t.passOn()
	return t.now, false
}

// relies says that a handler runs which the guard has not found to take long.
func (t *Turn) relies() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.now != nil && !t.passed
}
