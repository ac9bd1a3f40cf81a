// Package load is the process that plays the clients: WebSocket by hand on raw sockets, a few goroutines that each wait on
// an epoll set, nothing allocated for a message. It checks the number and the order of all messages.
package load

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/wspulse/server/benchmarks/internal/clock"
	"github.com/wspulse/server/benchmarks/internal/control"
	"github.com/wspulse/server/benchmarks/internal/histogram"
	"github.com/wspulse/server/benchmarks/internal/peers"
)

// Run answers the driver's requests on r and w until r ends.
func Run(r io.Reader, w io.Writer) error {
	l := &load{}
	return control.Serve(r, w, l.handle)
}

type load struct {
	// Set by setup, then read-only.
	cfg     control.LoadSetup
	dialect peers.Dialect
	server  *unix.SockaddrInet4
	acks    net.Conn
	rooms   []*room
	workers []*worker

	sent     atomic.Int64 // by "send"
	reported atomic.Int64 // messages that the server says it has received
	pending  atomic.Int64 // connections that are not up yet
	failure  atomic.Pointer[error]
	merge    sync.Mutex // of what the workers have counted
}

// A room counts the members that have passed each milestone. Members are never more than the window of the publisher
// apart, which is less than the ring.
type room struct {
	index   uint32
	readers int32
	passed  [milestones]atomic.Int32
}

const milestones = 16

func (l *load) handle(op string, args json.RawMessage) (any, error) {
	if (l.workers == nil) != (op == "setup") {
		return nil, fmt.Errorf("%s: out of order", op)
	}
	switch op {
	case "setup":
		return control.With(args, l.setup)
	case "connect":
		return control.With(args, l.connect)
	case "reset":
		return control.With(args, l.reset)
	case "await":
		return control.With(args, l.await)
	case "echo":
		return control.With(args, l.echo)
	case "send":
		return control.With(args, l.send)
	case "heartbeats":
		return control.With(args, l.heartbeats)
	case "drop":
		return control.With(args, l.drop)
	}
	return nil, errors.New("unknown operation")
}

type none = struct{}

func (l *load) setup(cfg control.LoadSetup) (none, error) {
	entry, err := peers.Find(cfg.Peer)
	if err != nil {
		return none{}, err
	}
	l.cfg, l.dialect = cfg, entry.Dialect
	addr, err := net.ResolveTCPAddr("tcp4", cfg.Server.Addr)
	if err != nil {
		return none{}, err
	}
	l.server = &unix.SockaddrInet4{Port: addr.Port, Addr: [4]byte(addr.IP.To4())}
	if l.acks, err = net.Dial("tcp", cfg.Server.Acks); err != nil {
		return none{}, err
	}
	go l.readReports()
	for i := range cfg.Rooms {
		l.rooms = append(l.rooms, &room{index: uint32(i)})
	}
	for range cfg.Workers {
		w, err := newWorker(l)
		if err != nil {
			return none{}, err
		}
		l.workers = append(l.workers, w)
	}
	for i := range cfg.Conns {
		c := &conn{id: i, room: l.rooms[i%len(l.rooms)], mute: i >= cfg.Conns-cfg.Mute, fd: -1}
		if !c.mute {
			c.room.readers++
		}
		w := l.workers[i%len(l.workers)]
		w.conns = append(w.conns, c)
	}
	for _, w := range l.workers {
		go w.run()
	}
	return none{}, nil
}

// readReports reads how many messages the server has received.
func (l *load) readReports() {
	var buf [8]byte
	for {
		if _, err := io.ReadFull(l.acks, buf[:]); err != nil {
			return
		}
		l.reported.Store(int64(binary.LittleEndian.Uint64(buf[:])))
	}
}

func (l *load) fail(err error) { l.failure.CompareAndSwap(nil, &err) }

func (l *load) failed() error {
	if err := l.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// each runs fn on all workers' goroutines and waits for it.
func (l *load) each(fn func(*worker)) {
	var wg sync.WaitGroup
	for _, w := range l.workers {
		wg.Add(1)
		w.do(func() { fn(w); wg.Done() })
	}
	wg.Wait()
}

const (
	pollStep     = time.Millisecond
	stallTimeout = 10 * time.Second       // without any progress
	lossyTimeout = 500 * time.Millisecond // the same, where what does not come may have been dropped
)

// poll waits until reached is true, and gives up when progress stands still or something failed.
func (l *load) poll(progress func() int64, reached func() bool) error {
	return l.pollFor(stallTimeout, progress, reached)
}

// pollFor is poll with another patience.
func (l *load) pollFor(timeout time.Duration, progress func() int64, reached func() bool) error {
	last, at := progress(), time.Now()
	for !reached() {
		if err := l.failed(); err != nil {
			return err
		}
		if now := progress(); now != last {
			last, at = now, time.Now()
		}
		if time.Since(at) > timeout {
			return errStalled
		}
		time.Sleep(pollStep)
	}
	return l.failed()
}

var errStalled = errors.New("no progress")

func (l *load) connect(none) (control.Connected, error) {
	l.pending.Store(int64(l.cfg.Conns))
	start := clock.Now()
	l.each(func(w *worker) { w.connectAll() })
	err := l.poll(l.pending.Load, func() bool { return l.pending.Load() == 0 })
	if err != nil {
		return control.Connected{}, fmt.Errorf("%d of %d connections are not up: %w", l.pending.Load(), l.cfg.Conns, err)
	}
	var (
		times histogram.Histogram
		last  int64
	)
	l.each(func(w *worker) { // one worker at a time would do; there are few
		w.load.merge.Lock()
		defer w.load.merge.Unlock()
		times.Merge(&w.connects)
		last = max(last, w.lastUp)
	})
	return control.Connected{Start: start, Elapsed: time.Duration(last - start), P50: times.Quantile(0.5), P99: times.Quantile(0.99)}, nil
}

func (l *load) reset(a control.Reset) (none, error) {
	l.each(func(w *worker) {
		w.tally = tally{deadline: a.Deadline}
		w.delivered.Store(0)
		w.pinged.Store(0)
	})
	return none{}, nil
}

func (l *load) delivered() (n int64) {
	for _, w := range l.workers {
		n += w.delivered.Load()
	}
	return n
}

func (l *load) await(a control.Await) (control.Delivered, error) {
	timeout := stallTimeout
	if l.cfg.Lossy {
		timeout = lossyTimeout
	}
	err := l.pollFor(timeout, l.delivered, func() bool { return l.delivered() >= a.Deliveries })
	if err != nil && !errors.Is(err, errStalled) {
		return control.Delivered{}, err
	}
	var all tally
	l.each(func(w *worker) {
		l.merge.Lock()
		defer l.merge.Unlock()
		all.delivered += w.tally.delivered
		all.inTime += w.tally.inTime
		all.lost += w.tally.lost
		all.misordered += w.tally.misordered
		all.last = max(all.last, w.tally.last)
		all.ages.Merge(&w.tally.ages)
	})
	return control.Delivered{
		Deliveries: all.delivered, Lost: max(all.lost, a.Deliveries-all.delivered), Misordered: all.misordered,
		InTime: all.inTime, Last: all.last,
		P50: all.ages.Quantile(0.5), P99: all.ages.Quantile(0.99), P999: all.ages.Quantile(0.999), Max: all.ages.Max(),
	}, nil
}

// heartbeats waits until the servers' pings have been answered so many times.
func (l *load) heartbeats(a control.Heartbeats) (control.Heartbeats, error) {
	pinged := func() (n int64) {
		for _, w := range l.workers {
			n += w.pinged.Load()
		}
		return n
	}
	err := l.poll(pinged, func() bool { return pinged() >= a.Count })
	return control.Heartbeats{Count: pinged()}, err
}

// drop resets all connections.
func (l *load) drop(none) (none, error) {
	l.each(func(w *worker) {
		for _, c := range w.conns {
			w.close(c)
		}
	})
	return none{}, nil
}
