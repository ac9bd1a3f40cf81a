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

	mu      sync.Mutex // guards what follows; a leaf
	conns   []*Conn    // by descriptor
	workers []*Worker  // that have not passed on
}

// A Worker is a goroutine that runs handlers: the leader, or one that helps it or has been it.
type Worker struct {
	poller *Poller
	poll   func(fd uintptr) bool // takes events, made once
	got    int                   // events

	mu     sync.Mutex // guards what follows; the poller's may be taken under it, in no other order
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
	p.start(&Worker{leads: true})
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

// start has a worker run.
func (p *Poller) start(w *Worker) {
	w.poller = p
	w.poll = w.take
	p.mu.Lock()
	p.workers = append(p.workers, w)
	p.mu.Unlock()
	go w.run()
}

// run runs the handlers of what is ready, and leads on as long as nobody else does.
func (w *Worker) run() {
	defer w.PassOn() // also where a handler has ended the goroutine
	for {
		for c := w.next(); c != nil; c = w.next() {
			c.handler.Ready(w)
		}
		if !w.leading() || !w.wait() {
			return
		}
	}
}

// next takes the connection whose handler is to run now; nil: there is none.
func (w *Worker) next() *Conn {
	w.mu.Lock()
	w.now = nil
	if len(w.ready) > 0 {
		w.now, w.ready[0] = w.ready[0], nil
		w.ready = w.ready[1:]
		w.count++
	}
	c := w.now
	w.mu.Unlock()
	if c != nil && !w.poller.guarded.Load() && w.poller.guarded.CompareAndSwap(false, true) {
		go w.poller.guard()
	}
	return c
}

func (w *Worker) leading() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.leads
}

// wait waits for events, and finds out what is ready. It returns false when the poller is closed.
func (w *Worker) wait() bool {
	p := w.poller
	err := p.raw.Read(w.poll)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.leads = err == nil; !w.leads {
		return false
	}
	p.mu.Lock()
	w.ready = p.found[:0]
	for _, e := range p.events[:w.got] {
		if c := p.conns[e.Fd]; c != nil && c.event(e.Events) {
			w.ready = append(w.ready, c)
		}
	}
	helped := len(w.ready) > share && len(p.workers) < p.most
	p.mu.Unlock()
	if helped {
		half := len(w.ready) / 2
		p.start(&Worker{ready: slices.Clone(w.ready[half:])})
		clear(w.ready[half:])
		w.ready = w.ready[:half]
	}
	return true
}

// take takes events from the kernel. It returns false when there are none, and is called again when there are.
func (w *Worker) take(fd uintptr) bool {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, fd, uintptr(unsafe.Pointer(&w.poller.events[0])),
		maxEvents, 0, 0, 0)
	if w.got = int(n); errno != 0 {
		w.got = 0
	}
	return w.got > 0
}

// Guarded says that the worker has not passed on: whatever its handler does, it is over or Overdue within two
// milliseconds. It is false for a nil Worker.
func (w *Worker) Guarded() bool {
	if w == nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.passed
}

// PassOn lets another goroutine run what else is ready, and lead if this one does: the handler that calls it is going
// to wait. It does nothing for a nil Worker.
func (w *Worker) PassOn() {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.passOn()
}

// passOn runs with mu held.
func (w *Worker) passOn() {
	if w.passed {
		return
	}
	w.passed = true
	p := w.poller
	p.mu.Lock()
	p.workers = slices.DeleteFunc(p.workers, func(other *Worker) bool { return other == w })
	p.mu.Unlock()
	if w.leads || len(w.ready) > 0 {
		p.start(&Worker{ready: w.ready, leads: w.leads})
	}
	w.ready, w.leads = nil, false // they are the other one's now
}

// guard finds the handlers that take long, and has the others go on without them. It ends when nothing happens.
func (p *Poller) guard() {
	for idle := 0; idle < idleLooks || !p.unguard(); idle++ {
		time.Sleep(patience)
		if p.closed.Load() {
			return
		}
		for _, w := range p.running() {
			overdue, moves := w.look()
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
	for _, w := range p.running() {
		if w.relies() {
			return !p.guarded.CompareAndSwap(false, true)
		}
	}
	return true
}

func (p *Poller) running() []*Worker {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.workers)
}

// look passes on if a handler has run since the last look, and returns its connection then, once. It says whether
// another one has begun.
func (w *Worker) look() (overdue *Conn, moves bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.count != w.seen {
		w.seen = w.count
		return nil, true
	}
	if w.now == nil || w.passed {
		return nil, false
	}
	w.passOn()
	return w.now, false
}

// relies says that a handler runs which the guard has not found to take long.
func (w *Worker) relies() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now != nil && !w.passed
}
