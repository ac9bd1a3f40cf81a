package wstest_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/wspulse/server/wstest"
)

// slack bounds what takes no time, and is reached only by a failure.
const slack = 20 * time.Second

// networks are the kinds of connection that have to behave alike. The real thing is among them, to show what that
// means.
var networks = map[string]func(t *testing.T) (near, far net.Conn){
	"memory":     func(t *testing.T) (near, far net.Conn) { return memory(t, wstest.Faults{}) },
	"unbuffered": func(t *testing.T) (near, far net.Conn) { return memory(t, unbuffered) },
	"tcp":        tcp,
	"wrapped tcp": func(t *testing.T) (near, far net.Conn) {
		near, far = tcp(t)
		wrapped := wstest.Wrap(near, wstest.Faults{}, wstest.Faults{})
		t.Cleanup(wrapped.Reset)
		return wrapped, far
	},
	"wrapped memory": func(t *testing.T) (near, far net.Conn) {
		near, far = memory(t, wstest.Faults{})
		wrapped := wstest.Wrap(near, wstest.Faults{}, wstest.Faults{})
		t.Cleanup(wrapped.Reset)
		return wrapped, far
	},
}

var unbuffered = wstest.Faults{Window: wstest.Unbuffered}

func memory(t *testing.T, f wstest.Faults) (near, far *wstest.Conn) {
	t.Helper()
	l := wstest.Listen()
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			t.Error(err)
		}
		accepted <- c
	}()
	near, err := l.Dial(f, f)
	if err != nil {
		t.Fatal(err)
	}
	return near, (<-accepted).(*wstest.Conn)
}

func tcp(t *testing.T) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}

// onAllNetworks runs a story on all of them, and with near and far exchanged.
func onAllNetworks(t *testing.T, story func(t *testing.T, near, far net.Conn)) {
	for name, connect := range networks {
		for _, side := range []string{"dialled", "accepted"} {
			t.Run(name+"/"+side, func(t *testing.T) {
				near, far := connect(t)
				deadline := time.AfterFunc(slack, func() { near.Close(); far.Close() })
				defer deadline.Stop()
				if side == "accepted" {
					near, far = far, near
				}
				story(t, near, far)
			})
		}
	}
}

func expectError(t *testing.T, what string, got error, want ...error) {
	t.Helper()
	for _, err := range want {
		if errors.Is(got, err) {
			return
		}
	}
	t.Errorf("%s: %v, want %v", what, got, want)
}

func TestConn_CarriesBytesBothWays(t *testing.T) {
	onAllNetworks(t, func(t *testing.T, near, far net.Conn) {
		data := make([]byte, 1<<20)
		for i := range data {
			data[i] = byte(i * i >> 7)
		}
		var work sync.WaitGroup
		for _, c := range []net.Conn{near, far} {
			work.Go(func() {
				if n, err := c.Write(data); n != len(data) || err != nil {
					t.Errorf("Write: %d, %v", n, err)
				}
			})
			work.Go(func() {
				got := make([]byte, len(data))
				if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, data) {
					t.Errorf("what was read is not what was written, %v", err)
				}
			})
		}
		work.Wait()
	})
}

func TestConn_NothingIsWrittenAndRead(t *testing.T) {
	onAllNetworks(t, func(t *testing.T, near, _ net.Conn) {
		if n, err := near.Write(nil); n != 0 || err != nil {
			t.Errorf("Write: %d, %v", n, err)
		}
		if n, err := near.Read(nil); n != 0 || err != nil {
			t.Errorf("Read: %d, %v", n, err)
		}
	})
}

// The bytes of a call stay together.
func TestConn_ConcurrentWrites(t *testing.T) {
	onAllNetworks(t, func(t *testing.T, near, far net.Conn) {
		const size, writers = 10_000, 8
		for i := range writers {
			go near.Write(bytes.Repeat([]byte{byte(i)}, size))
		}
		got := make([]byte, size)
		for range writers {
			if _, err := io.ReadFull(far, got); err != nil || !bytes.Equal(got, bytes.Repeat(got[:1], size)) {
				t.Fatalf("interleaved, %v", err)
			}
		}
	})
}

func TestConn_ReadDeadline(t *testing.T) {
	onAllNetworks(t, func(t *testing.T, near, far net.Conn) {
		buf := make([]byte, 1)
		for name, deadline := range map[string]time.Duration{"passed": -time.Hour, "to come": 10 * time.Millisecond} {
			near.SetReadDeadline(time.Now().Add(deadline))
			n, err := near.Read(buf)
			var timeout net.Error
			if n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
				t.Errorf("%s: %d, %v", name, n, err)
			}
		}
		near.SetReadDeadline(time.Time{})
		go far.Write([]byte("x"))
		if n, err := near.Read(buf); n != 1 || err != nil {
			t.Errorf("after it was taken away: %d, %v", n, err)
		}
		waiting := inBackground(func() error { _, err := near.Read(buf); return err })
		near.SetReadDeadline(time.Now())
		expectError(t, "a call that waits", <-waiting, os.ErrDeadlineExceeded)
	})
}

// inBackground returns what f returns.
func inBackground(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return done
}

func TestConn_WriteDeadline(t *testing.T) {
	onAllNetworks(t, func(t *testing.T, near, far net.Conn) {
		near.SetWriteDeadline(time.Now().Add(-time.Hour))
		n, err := near.Write([]byte("x"))
		if n != 0 {
			t.Errorf("passed: %d bytes", n)
		}
		expectError(t, "passed", err, os.ErrDeadlineExceeded)
		near.SetDeadline(time.Time{})
		write := inBackground(func() (err error) {
			n, err = near.Write(make([]byte, 32<<20)) // more than any buffer holds
			return err
		})
		near.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		expectError(t, "a call that waits", <-write, os.ErrDeadlineExceeded)
		near.Close()
		if got, _ := io.Copy(io.Discard, far); got != int64(n) {
			t.Errorf("Write says %d bytes, %d were read", n, got)
		}
	})
}

func TestConn_CloseWakesWhoeverWaits(t *testing.T) {
	onAllNetworks(t, func(t *testing.T, near, _ net.Conn) {
		read := inBackground(func() error { _, err := near.Read(make([]byte, 1)); return err })
		write := inBackground(func() error { _, err := near.Write(make([]byte, 32<<20)); return err })
		if err := near.Close(); err != nil {
			t.Error(err)
		}
		expectError(t, "Read", <-read, net.ErrClosed)
		expectError(t, "Write", <-write, net.ErrClosed)
		expectError(t, "SetDeadline", near.SetDeadline(time.Time{}), net.ErrClosed)
		expectError(t, "SetReadDeadline", near.SetReadDeadline(time.Time{}), net.ErrClosed)
		expectError(t, "SetWriteDeadline", near.SetWriteDeadline(time.Time{}), net.ErrClosed)
		expectError(t, "CloseWrite", near.(interface{ CloseWrite() error }).CloseWrite(), net.ErrClosed)
		expectError(t, "Close", near.Close(), net.ErrClosed)
	})
}

func TestConn_OtherEndCloses(t *testing.T) {
	onAllNetworks(t, func(t *testing.T, near, far net.Conn) {
		written := inBackground(func() error { _, err := far.Write([]byte("good-bye")); return err })
		got := make([]byte, len("good-bye"))
		if _, err := io.ReadFull(near, got); err != nil || string(got) != "good-bye" {
			t.Errorf("read %q, %v", got, err)
		}
		if err := <-written; err != nil {
			t.Error(err)
		}
		far.Close()
		if _, err := near.Read(got); err != io.EOF {
			t.Errorf("Read: %v", err)
		}
		var err error
		for start := time.Now(); err == nil && time.Since(start) < slack; { // the kernel has to hear of it first
			_, err = near.Write([]byte("x"))
		}
		expectError(t, "Write", err, syscall.EPIPE, syscall.ECONNRESET)
		if err := near.SetDeadline(time.Now()); err != nil {
			t.Errorf("SetDeadline: %v", err)
		}
	})
}

func TestConn_HalfClose(t *testing.T) {
	onAllNetworks(t, func(t *testing.T, near, far net.Conn) {
		go func() {
			near.Write([]byte("question"))
			near.(interface{ CloseWrite() error }).CloseWrite()
		}()
		if got, err := io.ReadAll(far); string(got) != "question" || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
		go func() {
			far.Write([]byte("answer"))
			far.Close()
		}()
		if got, err := io.ReadAll(near); string(got) != "answer" || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
		_, err := near.Write([]byte("x"))
		expectError(t, "Write", err, syscall.EPIPE)
	})
}

func TestConn_Addresses(t *testing.T) {
	onAllNetworks(t, func(t *testing.T, near, far net.Conn) {
		for _, c := range []net.Conn{near, far} {
			if _, _, err := net.SplitHostPort(c.RemoteAddr().String()); err != nil || c.RemoteAddr().Network() != "tcp" {
				t.Errorf("%s %s", c.RemoteAddr().Network(), c.RemoteAddr())
			}
		}
		if near.LocalAddr().String() != far.RemoteAddr().String() || near.RemoteAddr().String() != far.LocalAddr().String() {
			t.Errorf("%v-%v, %v-%v", near.LocalAddr(), near.RemoteAddr(), far.LocalAddr(), far.RemoteAddr())
		}
	})
}

func TestConn_ErrorsSayWhere(t *testing.T) {
	near, far := memory(t, wstest.Faults{})
	far.Close()
	_, err := near.Write([]byte("x"))
	want := "write tcp " + near.LocalAddr().String() + "->192.0.2.1:80: write: broken pipe"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestListener_Closed(t *testing.T) {
	l := wstest.Listen()
	accept := inBackground(func() error { _, err := l.Accept(); return err })
	l.Close()
	l.Close()
	expectError(t, "Accept", <-accept, net.ErrClosed)
	_, err := l.Dial(wstest.Faults{}, wstest.Faults{})
	expectError(t, "Dial", err, syscall.ECONNREFUSED)
	_, err = l.DialContext(t.Context(), "tcp", "192.0.2.1:80")
	expectError(t, "DialContext", err, syscall.ECONNREFUSED)
}
