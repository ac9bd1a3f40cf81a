package load

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/wspulse/server/benchmarks/internal/clock"
	"github.com/wspulse/server/benchmarks/internal/histogram"
)

const (
	readSize  = 64 << 10 // bytes of one read
	maxEvents = 256
)

// A worker serves its connections on one goroutine. All fields are that goroutine's unless they say otherwise.
type worker struct {
	load     *load
	epoll    int
	wakeup   int         // an eventfd that interrupts the wait
	commands chan func() // from the control goroutine; never closed

	conns    []*conn // by place, which is what epoll gives back; fixed before run
	next     int     // of conns to be connected
	buf      []byte  // what a connection carried over, and one read
	acks     []byte  // to be written
	connects histogram.Histogram
	lastUp   int64

	tally     tally
	delivered atomic.Int64 // tally.delivered, for the control goroutine
	pinged    atomic.Int64 // tally.pings, for the control goroutine
	driver    driver
}

// tally is what has arrived since the last reset.
type tally struct {
	deadline                    int64 // of the deliveries in time, package clock
	inTime                      int64
	delivered, lost, misordered int64
	pings                       int64 // that were answered
	last                        int64
	ages                        histogram.Histogram
}

func newWorker(l *load) (*worker, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	wakeup, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	w := &worker{load: l, epoll: epoll, wakeup: wakeup, commands: make(chan func(), 1), buf: make([]byte, 2*readSize)}
	w.driver.init(l)
	return w, unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, wakeup, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: -1})
}

// do runs fn on the worker's goroutine, soon.
func (w *worker) do(fn func()) {
	w.commands <- fn
	_, _ = unix.Write(w.wakeup, binary.NativeEndian.AppendUint64(nil, 1))
}

func (w *worker) run() {
	events := make([]unix.EpollEvent, maxEvents)
	for {
		n, err := unix.EpollWait(w.epoll, events, w.driver.timeout())
		if err != nil && !errors.Is(err, unix.EINTR) {
			w.load.fail(fmt.Errorf("epoll: %w", err))
			return
		}
		for _, event := range events[:max(n, 0)] {
			if event.Fd < 0 {
				w.obey()
				continue
			}
			if c := w.conns[event.Fd]; c.fd >= 0 {
				w.ready(c)
			}
		}
		w.driver.step(w)
		w.publishProgress()
	}
}

// obey runs the commands that have come.
func (w *worker) obey() {
	var buf [8]byte
	_, _ = unix.Read(w.wakeup, buf[:])
	for {
		select {
		case fn := <-w.commands:
			fn()
			w.publishProgress()
		default:
			return
		}
	}
}

func (w *worker) publishProgress() {
	w.delivered.Store(w.tally.delivered)
	w.pinged.Store(w.tally.pings)
	if len(w.acks) > 0 {
		if _, err := w.load.acks.Write(w.acks); err != nil {
			w.load.fail(err)
		}
		w.acks = w.acks[:0]
	}
}

// ready goes on with a connection whose socket has something.
func (w *worker) ready(c *conn) {
	if c.state == connecting {
		if err := w.request(c); err != nil {
			w.lose(c, err)
		}
		return
	}
	carried := copy(w.buf, c.carry)
	n, err := unix.Read(c.fd, w.buf[carried:carried+readSize])
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return
	case err != nil:
		w.lose(c, err)
		return
	case n == 0:
		w.lose(c, errClosed)
		return
	}
	rest, err := w.consume(c, w.buf[:carried+n], clock.Now())
	if err != nil {
		w.lose(c, err)
		return
	}
	if len(rest) > readSize {
		w.lose(c, errors.New("a message is too large to be kept"))
		return
	}
	c.carry = append(c.carry[:0], rest...)
}

var errClosed = errors.New("the server closed the connection")

// lose closes a connection. That fails the run, since connections end when they are told to, unless it is one in which the
// server may end them.
func (w *worker) lose(c *conn, err error) {
	if !w.load.cfg.Lossy || c.state != open || !ended(err) {
		w.load.fail(fmt.Errorf("connection %d: %w", c.id, err))
	}
	w.close(c)
}

// ended says whether an error is that the server has ended the connection.
func ended(err error) bool {
	return errors.Is(err, errClosed) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE)
}
