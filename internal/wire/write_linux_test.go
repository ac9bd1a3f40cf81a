package wire_test

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// networkPair returns both ends of a connection with segments and a receive buffer as on a network: over loopback a
// peer takes 64 KiB at a time. The kernel doubles what sendBuffer is.
func networkPair(t *testing.T, sendBuffer int) (conn, peer net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	network := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) {
			_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, 1400)
			_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 32<<10)
		})
	}}
	if peer, err = network.Dial("tcp", listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if conn, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		_ = peer.Close()
	})
	if err := conn.(*net.TCPConn).SetWriteBuffer(sendBuffer); err != nil {
		t.Fatal(err)
	}
	return conn, peer
}

// readSlowly reads n bytes in each period, and returns a channel for how many there were in the end.
func readSlowly(peer net.Conn, n int, period time.Duration) <-chan int {
	done := make(chan int, 1)
	go func() {
		all, tick, buf := 0, time.NewTicker(period), make([]byte, n)
		defer tick.Stop()
		for ; ; <-tick.C {
			n, err := io.ReadFull(peer, buf)
			all += n
			if err != nil {
				done <- all
				return
			}
		}
	}()
	return done
}

// What the peer's TCP takes counts as it is taken, also while a large send buffer makes that unseen by the write
// itself: the kernel wakes a writer when a third of the buffer is free.
func TestWriteAll_SendBufferDrains(t *testing.T) {
	const (
		wait = 400 * time.Millisecond
		size = 5 << 19
	)
	t.Parallel()
	conn, peer := networkPair(t, 1<<20)
	read := readSlowly(peer, 16<<10, 20*time.Millisecond)
	start := time.Now()
	if n, err := socketOver(conn).WriteAll(make([]byte, size), wait); n != size || err != nil {
		t.Errorf("%d bytes written: %v", n, err)
	}
	if took := time.Since(start); took < 2*wait {
		t.Errorf("all was written in %v, which shows nothing", took)
	}
	_ = conn.Close()
	if all := <-read; all != size {
		t.Errorf("%d bytes have come", all)
	}
}

// A peer that takes something in each wait, but less than the floor, is cut.
func TestWriteAll_TCPBelowTheFloor(t *testing.T) {
	const wait = 100 * time.Millisecond
	t.Parallel()
	conn, peer := networkPair(t, 16<<10)
	readSlowly(peer, 2<<10, wait)
	start := time.Now()
	if n, err := socketOver(conn).WriteAll(make([]byte, 1<<20), wait); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d bytes written in %v: %v", n, time.Since(start), err)
	}
}

// A proxy takes a lot at once, and then nothing until it has passed on a good part of that.
func TestWriteAll_PeerThatTakesLumps(t *testing.T) {
	const (
		wait = 100 * time.Millisecond
		size = 1 << 20
	)
	t.Parallel()
	conn, peer := networkPair(t, 16<<10)
	read := readSlowly(peer, 256<<10, 3*wait)
	if n, err := socketOver(conn).WriteAll(make([]byte, size), wait); n != size || err != nil {
		t.Errorf("%d bytes written: %v", n, err)
	}
	_ = conn.Close()
	if all := <-read; all != size {
		t.Errorf("%d bytes have come", all)
	}
}
