//go:build !nopoll && !386 && !s390x

package poll_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/wspulse/server/internal/poll"
)

// patience bounds every wait. It is long, since the machine may be busy, and reached only by a failure.
const patience = 20 * time.Second

// A world is a poller. Tearing it down checks that it leaves no goroutine and no descriptor.
type world struct {
	t      testing.TB
	poller *poll.Poller
	before int // descriptors before the poller was made
}

func newWorld(t testing.TB) *world {
	t.Helper()
	if l, err := net.Listen("tcp", "127.0.0.1:0"); err == nil { // the runtime opens descriptors of its own for the first one
		_ = l.Close()
	}
	w := &world{t: t, before: len(descriptors(t))}
	var err error
	if w.poller, err = poll.New(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.tearDown)
	return w
}

// tearDown runs after the connections have been closed.
func (w *world) tearDown() {
	w.poller.Close()
	eventually(w.t, "no goroutine of the poller is left", func() bool { return goroutines("internal/poll.(*") == 0 })
	eventually(w.t, "no descriptor is left", func() bool { return len(descriptors(w.t)) <= w.before })
}

// dial returns the two ends of a TCP connection on that address, which are closed at the end of the test.
func dial(t testing.TB, addr string) (conn, peer *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	_ = client.SetDeadline(time.Now().Add(2 * patience))
	return server.(*net.TCPConn), client.(*net.TCPConn)
}

// connect returns a connection that has been adopted, and its peer.
func (w *world) connect() (*poll.Conn, *net.TCPConn) {
	w.t.Helper()
	tcp, peer := dial(w.t, "127.0.0.1:0")
	return w.adopt(tcp), peer
}

func (w *world) adopt(tcp *net.TCPConn) *poll.Conn {
	w.t.Helper()
	c, err := w.poller.Adopt(tcp)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

// A reader is a Handler that gives what it reads to a function, and fails the test where two goroutines read.
type reader struct {
	t       testing.TB
	conn    *poll.Conn
	take    func(t *poll.Worker, p []byte)
	ended   chan error // of capacity 1: why reading has ended
	reading atomic.Bool
	told    atomic.Int64 // how often Ready was called
	overdue atomic.Int64 // how often Overdue was
}

// handle makes the Handler of a connection; without take what is read is sent back.
func (w *world) handle(c *poll.Conn, take func(t *poll.Worker, p []byte)) *reader {
	if take == nil {
		take = func(_ *poll.Worker, p []byte) { _, _ = c.Write(p) }
	}
	r := &reader{t: w.t, conn: c, take: take, ended: make(chan error, 1)}
	c.Handle(r)
	return r
}

// read is handle, and has the connection read from now on.
func (w *world) read(c *poll.Conn, take func(t *poll.Worker, p []byte)) *reader {
	r := w.handle(c, take)
	r.Ready(nil)
	return r
}

func (r *reader) Ready(t *poll.Worker) {
	r.told.Add(1)
	r.begin()
	r.readOn(t)
}

func (r *reader) Overdue() { r.overdue.Add(1) }

func (r *reader) begin() {
	if !r.reading.CompareAndSwap(false, true) {
		r.t.Error("two goroutines read")
	}
}

func (r *reader) readOn(t *poll.Worker) {
	p := make([]byte, 512)
	for {
		n, err := r.conn.TryRead(p)
		switch {
		case err != nil:
			r.ended <- err
			return
		case n > 0:
			r.take(t, p[:n])
		default:
			r.reading.Store(false)
			if r.conn.Park() {
				return
			}
			r.begin()
		}
	}
}

// end returns why reading has ended.
func (r *reader) end() error {
	r.t.Helper()
	return receive(r.t, "reading ends", r.ended)
}

// An echo is a connection that sends back what it reads, and its peer.
type echo struct {
	*reader
	peer *net.TCPConn
}

func (w *world) echo() *echo {
	w.t.Helper()
	c, peer := w.connect()
	return &echo{w.read(c, nil), peer}
}

// try sends a word, and wants it back.
func (e *echo) try(word string) error {
	if _, err := io.WriteString(e.peer, word); err != nil {
		return err
	}
	back := make([]byte, len(word))
	if _, err := io.ReadFull(e.peer, back); err != nil {
		return err
	}
	if string(back) != word {
		return errors.New("sent " + word + ", got " + string(back))
	}
	return nil
}

// sync is a try after which all events have been taken that were there before.
func (e *echo) sync() {
	e.t.Helper()
	if err := e.try("sync"); err != nil {
		e.t.Fatal(err)
	}
}

// receive waits for something on a channel.
func receive[T any](t testing.TB, what string, from <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(patience):
		t.Fatalf("not within %v: %s", patience, what)
	}
	return v
}

func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !condition(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s\n%s", patience, what, stacks())
		}
	}
}

func send(t testing.TB, peer net.Conn, word string) {
	t.Helper()
	if _, err := io.WriteString(peer, word); err != nil {
		t.Fatal(err)
	}
}

func hear(t testing.TB, peer net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(peer, got); err != nil || string(got) != want {
		t.Fatalf("read %q (%v), want %q", got, err, want)
	}
}

func stacks() string {
	p := make([]byte, 1<<20)
	return string(p[:runtime.Stack(p, true)])
}

// goroutines returns how many have a function of that name on their stacks.
func goroutines(name string) (n int) {
	for stack := range strings.SplitSeq(stacks(), "\n\n") {
		in := bufio.NewScanner(strings.NewReader(stack))
		for in.Scan() {
			if line := in.Text(); !strings.HasPrefix(line, "created by ") && strings.Contains(line, name) {
				n++
				break
			}
		}
	}
	return n
}

// descriptors returns those that the process has open, and what they are.
func descriptors(t testing.TB) map[string]string {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	open := make(map[string]string)
	for _, entry := range entries {
		if is, err := os.Readlink("/proc/self/fd/" + entry.Name()); err == nil { // the directory itself is closed
			open[entry.Name()] = is
		}
	}
	return open
}

func isReset(err error) bool { return errors.Is(err, syscall.ECONNRESET) }
