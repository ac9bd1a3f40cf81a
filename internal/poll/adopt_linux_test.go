//go:build !nopoll && !386 && !s390x

package poll_test

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wspulse/server/internal/poll"
)

// Where there are no descriptors left Adopt fails, and the connection is of use as before.
func TestAdopt_DescriptorLimit(t *testing.T) {
	w := newWorld(t)
	e := w.echo()
	tcp, peer := dial(t, "127.0.0.1:0")
	restore := noDescriptors(t)
	c, err := w.poller.Adopt(tcp)
	restore()
	if !errors.Is(err, syscall.EMFILE) || c != nil {
		t.Fatalf("no descriptor is left: %v", err)
	}
	send(t, peer, "hello")
	hear(t, tcp, "hello")
	send(t, tcp, "hello")
	hear(t, peer, "hello")
	e.sync()
	c = w.adopt(tcp)
	w.read(c, nil)
	send(t, peer, "again")
	hear(t, peer, "again")
}

// Without a descriptor there is no poller.
func TestNew_DescriptorLimit(t *testing.T) {
	newWorld(t)
	restore := noDescriptors(t)
	p, err := poll.New()
	restore()
	if !errors.Is(err, syscall.EMFILE) || p != nil {
		t.Errorf("no descriptor is left: %v", err)
	}
}

// noDescriptors has the process open none until restore is called.
func noDescriptors(t *testing.T) (restore func()) {
	t.Helper()
	var before, none syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	free, err := syscall.Dup(0)
	if err != nil {
		t.Fatal(err)
	}
	_ = syscall.Close(free)
	none.Cur, none.Max = uint64(free), before.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAdopt_ClosedBefore(t *testing.T) {
	w := newWorld(t)
	tcp, _ := dial(t, "127.0.0.1:0")
	_ = tcp.Close()
	if c, err := w.poller.Adopt(tcp); !errors.Is(err, net.ErrClosed) || c != nil {
		t.Errorf("closed: %v", err)
	}
}

// TryRead and TryWrite wait for nothing, also where a program has looked at the socket in a way that has it block.
func TestAdopt_Blocking(t *testing.T) {
	w := newWorld(t)
	tcp, peer := dial(t, "127.0.0.1:0")
	file, err := tcp.File()
	if err != nil {
		t.Fatal(err)
	}
	_ = file.Fd()
	_ = file.Close()
	w.read(w.adopt(tcp), nil)
	send(t, peer, "hello")
	hear(t, peer, "hello")
}

// A poller that has been closed adopts nothing, and keeps nothing.
func TestAdopt_PollerClosed(t *testing.T) {
	w := newWorld(t)
	w.tearDown()
	tcp, peer := dial(t, "127.0.0.1:0")
	before := len(descriptors(t))
	if c, err := w.poller.Adopt(tcp); err == nil || c != nil {
		t.Error("adopted")
	}
	if n := len(descriptors(t)); n > before {
		t.Errorf("%d descriptors, %d before", n, before)
	}
	send(t, tcp, "hello")
	hear(t, peer, "hello")
}

// What had come before is read.
func TestAdopt_SomethingHasCome(t *testing.T) {
	w := newWorld(t)
	tcp, peer := dial(t, "127.0.0.1:0")
	send(t, peer, "early")
	_ = peer.CloseWrite()
	hear(t, tcp, "ear")
	hear(t, w.adopt(tcp), "ly")
}

// The socket lives on when the net.TCPConn that it came from is collected.
func TestAdopt_Finalizer(t *testing.T) {
	w := newWorld(t)
	collected := make(chan struct{})
	tcp, peer := dialCollected(t)
	runtime.AddCleanup(tcp, func(c chan struct{}) { close(c) }, collected)
	e := &echo{w.read(w.adopt(tcp), nil), peer} // and tcp is used no more
	eventually(t, "the net.TCPConn is collected", func() bool {
		return isCollected(collected)
	})
	runtime.GC() // what hung on it
	e.sync()
	other := w.echo() // which might get a descriptor that was closed twice
	e.sync()
	other.sync()
}

// dialCollected is dial, but that the test does not keep the first end.
func dialCollected(t *testing.T) (conn, peer *net.TCPConn) {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	peer, err = net.DialTCP("tcp", nil, l.Addr().(*net.TCPAddr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = peer.Close() })
	_ = peer.SetDeadline(time.Now().Add(2 * patience))
	if conn, err = l.AcceptTCP(); err != nil {
		t.Fatal(err)
	}
	return conn, peer
}

// No program that this one starts inherits a descriptor.
func TestAdopt_CloseOnExec(t *testing.T) {
	w := newWorld(t)
	e := w.echo()
	ours := 0
	for name, is := range descriptors(t) {
		fd, _ := strconv.Atoi(name)
		if strings.Contains(is, "eventpoll") || strings.HasPrefix(is, "socket:") {
			ours++
			flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0)
			if errno != 0 || flags&syscall.FD_CLOEXEC == 0 {
				t.Errorf("descriptor %s (%s) is inherited (%v)", name, is, errno)
			}
		}
	}
	if ours < 4 { // two ends of a connection, the poller's and the runtime's
		t.Errorf("only %d descriptors found", ours)
	}
	sleeper := exec.Command("sleep", strconv.Itoa(int(patience/time.Second)))
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = sleeper.Process.Kill()
		_ = sleeper.Wait()
	}()
	e.sync()
	_ = e.conn.Close()
	_ = e.peer.SetReadDeadline(time.Now().Add(patience / 2))
	if _, err := e.peer.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the peer sees no end while a program runs that was started meanwhile")
	}
}

// Control is given the descriptor while the connection is open; waiting for it is not offered.
func TestAdopt_SyscallConn(t *testing.T) {
	w := newWorld(t)
	e := w.echo()
	raw, err := e.conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var name syscall.Sockaddr
	if err := raw.Control(func(fd uintptr) { name, err = syscall.Getpeername(int(fd)) }); err != nil {
		t.Fatal(err)
	}
	if v4, ok := name.(*syscall.SockaddrInet4); !ok || v4.Port != e.peer.LocalAddr().(*net.TCPAddr).Port {
		t.Errorf("another's descriptor: %v (%v)", name, err)
	}
	done := func(uintptr) bool { return true }
	if err := errors.Join(raw.Read(done), raw.Write(done)); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Read and Write: %v", err)
	}
	_ = e.conn.Close()
	if err := raw.Control(func(uintptr) { t.Error("called") }); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

// Nothing keeps a connection that has been closed.
func TestAdopt_ClosedIsCollected(t *testing.T) {
	w := newWorld(t)
	other := w.echo() // before, or it would get the descriptor
	collected := make(chan struct{})
	tcp, peer := dialCollected(t)
	c, err := w.poller.Adopt(tcp)
	if err != nil {
		t.Fatal(err)
	}
	runtime.AddCleanup(c, func(c chan struct{}) { close(c) }, collected)
	r := w.read(c, nil)
	send(t, peer, "hello")
	hear(t, peer, "hello")
	_ = c.Close()
	if err := r.end(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	c, r, tcp = nil, nil, nil
	_, _, _ = c, r, tcp
	eventually(t, "the connection is collected", func() bool {
		other.sync()
		return isCollected(collected)
	})
}

// isCollected says, after a collection, whether a cleanup has closed a channel.
func isCollected(collected <-chan struct{}) bool {
	runtime.GC()
	select {
	case <-collected:
		return true
	default:
		return false
	}
}
