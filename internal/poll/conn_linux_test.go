//go:build !nopoll && !386 && !s390x

package poll_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// A story is told of a connection that waits by itself, and of one that has been adopted: they are to be alike.
func onBoth(t *testing.T, story func(t *testing.T, conn net.Conn, peer *net.TCPConn)) {
	t.Run("net", func(t *testing.T) {
		conn, peer := dial(t, "127.0.0.1:0")
		story(t, conn, peer)
	})
	t.Run("poll", func(t *testing.T) {
		conn, peer := newWorld(t).connect()
		story(t, conn, peer)
	})
}

// fill writes until nothing more goes out, with small buffers.
func fill(t *testing.T, conn net.Conn) {
	t.Helper()
	page := make([]byte, 64<<10)
	for {
		_ = conn.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
		if n, err := conn.Write(page); errors.Is(err, os.ErrDeadlineExceeded) && n == 0 {
			break
		} else if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
	}
	_ = conn.SetWriteDeadline(time.Time{})
}

// waits runs something that is to wait for what happens after it, and then returns what it says of that.
func waits(t *testing.T, do func() error, happens func()) error {
	t.Helper()
	result := make(chan error, 1)
	go func() { result <- do() }()
	select {
	case err := <-result:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	happens()
	return receive(t, "the end of a wait", result)
}

func readOf(conn net.Conn) func() error {
	return func() error {
		_, err := conn.Read(make([]byte, 1))
		return err
	}
}

func writeOf(conn net.Conn) func() error {
	return func() error {
		_, err := conn.Write(make([]byte, 1<<20))
		return err
	}
}

func TestConn_ReadDeadline(t *testing.T) {
	onBoth(t, func(t *testing.T, conn net.Conn, peer *net.TCPConn) {
		read := readOf(conn)
		testDeadline(t, conn.SetReadDeadline, read)
		send(t, peer, "x")
		_ = conn.SetReadDeadline(time.Unix(1, 0))
		if err := read(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("out of time, with something to read: %v", err)
		}
		_ = conn.SetReadDeadline(time.Time{})
		if err := read(); err != nil {
			t.Errorf("after that: %v", err)
		}
	})
}

func TestConn_WriteDeadline(t *testing.T) {
	onBoth(t, func(t *testing.T, conn net.Conn, peer *net.TCPConn) {
		fill(t, conn)
		testDeadline(t, conn.SetWriteDeadline, writeOf(conn))
	})
}

// testDeadline sets deadlines before something that waits, and during it.
func testDeadline(t *testing.T, set func(time.Time) error, do func() error) {
	t.Helper()
	exceeded := func(when string, err error) {
		t.Helper()
		var failed net.Error
		if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &failed) || !failed.Timeout() {
			t.Errorf("%s: %v", when, err)
		}
	}
	_ = set(time.Now())
	exceeded("passed before", do())
	start := time.Now()
	_ = set(start.Add(30 * time.Millisecond))
	exceeded("passes during", do())
	if took := time.Since(start); took < 30*time.Millisecond {
		t.Errorf("over after %v", took)
	}
	_ = set(time.Time{})
	exceeded("set during", waits(t, do, func() { _ = set(time.Now().Add(10 * time.Millisecond)) }))
	_ = set(time.Now().Add(time.Hour))
	exceeded("set to now during", waits(t, do, func() { _ = set(time.Now()) }))
	start = time.Now()
	_ = set(start.Add(patience))
	exceeded("moved ahead during", waits(t, do, func() { _ = set(start.Add(50 * time.Millisecond)) }))
	start = time.Now()
	_ = set(start.Add(400 * time.Millisecond))
	exceeded("put off during", waits(t, do, func() { _ = set(start.Add(600 * time.Millisecond)) }))
	if took := time.Since(start); took < 600*time.Millisecond {
		t.Errorf("put off, and over after %v", took)
	}
	_ = set(time.Time{})
}

func TestConn_CloseEndsWaiting(t *testing.T) {
	for name, of := range map[string]func(net.Conn) func() error{"Read": readOf, "Write": writeOf} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, conn net.Conn, _ *net.TCPConn) {
				fill(t, conn)
				err := waits(t, of(conn), func() { _ = conn.Close() })
				if !errors.Is(err, net.ErrClosed) {
					t.Errorf("closed while it waited: %v", err)
				}
				if err := of(conn)(); !errors.Is(err, net.ErrClosed) {
					t.Errorf("closed before: %v", err)
				}
				if err := conn.Close(); !errors.Is(err, net.ErrClosed) {
					t.Errorf("closed twice: %v", err)
				}
			})
		})
	}
}

func TestConn_PeerEndsWaiting(t *testing.T) {
	onBoth(t, func(t *testing.T, conn net.Conn, peer *net.TCPConn) {
		err := waits(t, readOf(conn), func() { _ = peer.CloseWrite() })
		if again := readOf(conn)(); !errors.Is(err, io.EOF) || !errors.Is(again, io.EOF) {
			t.Errorf("the peer has ended its half: %v, then %v", err, again)
		}
	})
}

// To read or write no bytes is no end, whether or not something has come.
func TestConn_NoBytes(t *testing.T) {
	onBoth(t, func(t *testing.T, conn net.Conn, peer *net.TCPConn) {
		none := func(when string) {
			t.Helper()
			if n, err := conn.Read(nil); n != 0 || err != nil {
				t.Errorf("%s: read %d bytes: %v", when, n, err)
			}
			if n, err := conn.Write(nil); n != 0 || err != nil {
				t.Errorf("%s: wrote %d bytes: %v", when, n, err)
			}
		}
		none("before anything has come")
		send(t, peer, "word")
		hear(t, conn, "w")
		none("with something to read")
		hear(t, conn, "ord")
	})
}

// Write says how much it has written when it is cut, and the peer gets as much.
func TestConn_WriteIsCut(t *testing.T) {
	onBoth(t, func(t *testing.T, conn net.Conn, peer *net.TCPConn) {
		data := make([]byte, 64<<20)
		_ = conn.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		n, err := conn.Write(data)
		if !errors.Is(err, os.ErrDeadlineExceeded) || n == 0 {
			t.Fatalf("wrote %d bytes: %v", n, err)
		}
		_ = conn.(interface{ CloseWrite() error }).CloseWrite()
		if got, err := io.Copy(io.Discard, peer); got != int64(n) || err != nil {
			t.Errorf("wrote %d bytes, peer read %d: %v", n, got, err)
		}
	})
}

// A peer that reads slowly gets all that one Write takes, in order.
func TestConn_PeerReadsSlowly(t *testing.T) {
	onBoth(t, func(t *testing.T, conn net.Conn, peer *net.TCPConn) {
		data := make([]byte, 16<<20) // more than both kernels hold
		_, _ = rand.NewChaCha8([32]byte{1}).Read(data)
		wrote := make(chan error, 1)
		go func() {
			_, err := conn.Write(data)
			wrote <- errors.Join(err, conn.Close())
		}()
		var got bytes.Buffer
		for size := 1; ; size = size%50_000 + 7 {
			if n, err := io.CopyN(&got, peer, int64(size)); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("after %d bytes: %v", got.Len()+int(n), err)
			}
		}
		if err := receive(t, "all is written", wrote); err != nil || !bytes.Equal(got.Bytes(), data) {
			t.Errorf("got %d bytes, or others: %v", got.Len(), err)
		}
	})
}

// Both directions at once, while deadlines are set that never pass.
func TestConn_BothWays(t *testing.T) {
	onBoth(t, func(t *testing.T, conn net.Conn, peer *net.TCPConn) {
		const size = 16 << 20
		var sides sync.WaitGroup
		sums := make([]hash.Hash, 4)
		copyOf := func(i int, to io.Writer, from io.Reader) {
			sums[i] = sha256.New()
			sides.Go(func() {
				p := make([]byte, 10_000)
				if n, err := io.CopyBuffer(onlyWriter{io.MultiWriter(to, sums[i])}, io.LimitReader(from, size), p); n != size {
					t.Errorf("copy %d: %d bytes: %v", i, n, err)
				}
			})
		}
		copyOf(0, conn, rand.NewChaCha8([32]byte{2}))
		copyOf(1, peer, rand.NewChaCha8([32]byte{3}))
		copyOf(2, io.Discard, peer)
		copyOf(3, io.Discard, conn)
		over := make(chan struct{})
		go func() {
			defer close(over)
			sides.Wait()
		}()
		for done := false; !done; {
			_ = conn.SetDeadline(time.Now().Add(patience))
			select {
			case <-over:
				done = true
			case <-time.After(100 * time.Microsecond):
			}
		}
		for i := range 2 {
			if !bytes.Equal(sums[i].Sum(nil), sums[i+2].Sum(nil)) {
				t.Errorf("what was read is not what was written, direction %d", i)
			}
		}
	})
}

type onlyWriter struct{ io.Writer }

func TestConn_CloseWrite(t *testing.T) {
	onBoth(t, func(t *testing.T, conn net.Conn, peer *net.TCPConn) {
		half := conn.(interface{ CloseWrite() error })
		if err := half.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if n, err := peer.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("peer read %d bytes: %v", n, err)
		}
		send(t, peer, "still here")
		hear(t, conn, "still here")
		if _, err := conn.Write([]byte("x")); err == nil {
			t.Error("written after the end")
		}
		_ = conn.Close()
		if err := half.CloseWrite(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("closed before: %v", err)
		}
	})
}

func TestConn_SetLinger(t *testing.T) {
	onBoth(t, func(t *testing.T, conn net.Conn, peer *net.TCPConn) {
		linger := conn.(interface{ SetLinger(seconds int) error })
		for _, seconds := range []int{5, 0} {
			if err := linger.SetLinger(seconds); err != nil {
				t.Fatal(err)
			}
		}
		_ = conn.Close()
		if _, err := peer.Read(make([]byte, 1)); !isReset(err) {
			t.Errorf("peer read %v, want a reset", err)
		}
	})
}

// The peer's reset ends a Read, and a Write, that wait.
func TestConn_ResetEndsWaiting(t *testing.T) {
	for name, of := range map[string]func(net.Conn) func() error{"Read": readOf, "Write": writeOf} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, conn net.Conn, peer *net.TCPConn) {
				fill(t, conn)
				err := waits(t, of(conn), func() {
					_ = peer.SetLinger(0)
					_ = peer.Close()
				})
				var failed *net.OpError
				if !isReset(err) || !errors.As(err, &failed) || failed.Op != strings.ToLower(name) {
					t.Errorf("reset: %v", err)
				}
			})
		})
	}
}

func TestConn_Addresses(t *testing.T) {
	w := newWorld(t)
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Logf("no %s here: %v", addr, err)
			continue
		}
		_ = l.Close()
		tcp, peer := dial(t, addr)
		c := w.adopt(tcp)
		if local := c.LocalAddr(); local.String() != peer.RemoteAddr().String() || local.Network() != "tcp" {
			t.Errorf("local %v, want %v", local, peer.RemoteAddr())
		}
		if remote := c.RemoteAddr(); remote.String() != peer.LocalAddr().String() || remote.Network() != "tcp" {
			t.Errorf("remote %v, want %v", remote, peer.LocalAddr())
		}
		_ = c.Close()
		if c.LocalAddr() == nil || c.RemoteAddr() == nil {
			t.Error("no address at all once it is closed")
		}
	}
}
