package wire_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wspulse/server/internal/wire"
)

const wait = 10 * time.Second

// overPipe runs a story in a bubble, with a socket over a pipe and the other end of that.
func overPipe(t *testing.T, story func(t *testing.T, s *wire.Socket, peer net.Conn)) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := net.Pipe()
		defer time.Sleep(2 * time.Hour) // until whoever reads has seen the end
		defer conn.Close()
		story(t, socketOver(conn), peer)
	})
}

// read reads n bytes in each period, from half a period on.
func read(peer net.Conn, n int, period time.Duration) {
	for time.Sleep(period / 2); ; time.Sleep(period) {
		if _, err := io.ReadFull(peer, make([]byte, n)); err != nil {
			return
		}
	}
}

// isCut checks that a write that began at start was cut so much later.
func isCut(t *testing.T, name string, err error, start time.Time, after time.Duration) {
	t.Helper()
	if took := time.Since(start); !errors.Is(err, os.ErrDeadlineExceeded) || took != after {
		t.Errorf("%s: %v after %v, want a cut after %v", name, err, took, after)
	}
}

// A peer that takes what the floor asks for gets everything, however long that takes.
func TestWriteAll_SlowPeer(t *testing.T) {
	const size = 1 << 20
	for name, tc := range map[string]struct {
		n      int
		period time.Duration
	}{"8 KiB each wait": {8 << 10, wait}, "the floor": {4 << 10, wait}, "many small reads": {10, wait / 1000}} {
		overPipe(t, func(t *testing.T, s *wire.Socket, peer net.Conn) {
			go read(peer, tc.n, tc.period)
			start := time.Now()
			n, err := s.WriteAll(make([]byte, size), wait)
			reads := (size + tc.n - 1) / tc.n
			want := time.Duration(reads)*tc.period - tc.period/2
			if took := time.Since(start); err != nil || n != size || took != want {
				t.Errorf("%s: %d bytes written in %v, want %v: %v", name, n, took, want, err)
			}
		})
	}
}

func TestWriteAll_CutsAPeerThatTakesLittle(t *testing.T) {
	for name, tc := range map[string]struct {
		size, n int
		period  time.Duration
	}{
		"nothing":             {1, 1, time.Hour},
		"a byte each wait":    {1 << 20, 1, wait},
		"the same, of a few":  {100, 1, wait},
		"less than the floor": {1 << 20, 400, wait / 10},
	} {
		overPipe(t, func(t *testing.T, s *wire.Socket, peer net.Conn) {
			go read(peer, tc.n, tc.period)
			start := time.Now()
			_, err := s.WriteAll(make([]byte, tc.size), wait)
			isCut(t, name, err, start, wait)
		})
	}
}

// A peer that stops is cut at the second look, and what it has taken is told.
func TestWriteAll_CutsAPeerThatStops(t *testing.T) {
	overPipe(t, func(t *testing.T, s *wire.Socket, peer net.Conn) {
		go func() { _, _ = io.ReadFull(peer, make([]byte, 100_000)) }()
		start := time.Now()
		n, err := s.WriteAll(make([]byte, 1<<20), wait)
		isCut(t, "stopped", err, start, 2*wait)
		if n != 100_000 {
			t.Errorf("%d bytes written, want 100000", n)
		}
	})
}

// What a write had to wait for is not held against the next one, however long there is none.
func TestWriteAll_AgainAndAgain(t *testing.T) {
	overPipe(t, func(t *testing.T, s *wire.Socket, peer net.Conn) {
		go read(peer, 2<<10, wait/4)
		for range 20 {
			if n, err := s.WriteAll(make([]byte, 32<<10), wait); n != 32<<10 || err != nil {
				t.Fatalf("%d bytes written: %v", n, err)
			}
			time.Sleep(3 * wait)
		}
	})
}

// Of all that may end writing the earliest does, and stays.
func TestCut_TheEarliestWins(t *testing.T) {
	const s = time.Second
	for name, tc := range map[string]struct {
		cuts []time.Duration // one each second, from the start of the write on
		want time.Duration
	}{
		"later than the stall timer": {[]time.Duration{wait + s}, wait},
		"earlier":                    {[]time.Duration{wait - s}, wait - s},
		"at once":                    {[]time.Duration{0}, 0},
		"in the past":                {[]time.Duration{wait, -s}, s},
		"earlier and earlier":        {[]time.Duration{wait, 5 * s, 4 * s}, 4 * s},
		"later and later":            {[]time.Duration{4 * s, 5 * s, wait}, 4 * s},
	} {
		overPipe(t, func(t *testing.T, socket *wire.Socket, _ net.Conn) {
			start := time.Now()
			go func() {
				for _, at := range tc.cuts {
					socket.Cut(start.Add(at))
					time.Sleep(s)
				}
			}()
			_, err := socket.WriteAll(make([]byte, 1<<20), wait)
			isCut(t, name, err, start, tc.want)
			socket.Cut(start.Add(time.Hour))
			start = time.Now()
			_, err = socket.WriteAll([]byte("more"), wait)
			isCut(t, name+", the next write", err, start, 0)
		})
	}
}

// CloseAfter keeps to a cut that came before.
func TestCut_HoldsForCloseAfter(t *testing.T) {
	overPipe(t, func(t *testing.T, s *wire.Socket, peer net.Conn) {
		start := time.Now()
		s.Cut(start.Add(time.Second))
		s.CloseAfter(wire.Close(1000, ""), start.Add(time.Minute))
		if took := time.Since(start); took != time.Second {
			t.Errorf("took %v, want a second", took)
		}
	})
}

// A last frame whose turn comes late is written all the same, if that takes no time.
func TestCut_LeavesALastMoment(t *testing.T) {
	overPipe(t, func(t *testing.T, s *wire.Socket, peer net.Conn) {
		s.Cut(time.Now().Add(-time.Second))
		last, got := wire.Close(1000, ""), make(chan []byte)
		go func() {
			p, _ := io.ReadAll(peer)
			got <- p
		}()
		s.CloseAfter(last, time.Now())
		if p := <-got; !bytes.Equal(p, last.Bytes) {
			t.Errorf("got %q", p)
		}
	})
}

// A Conn without deadlines.
type timeless struct{ net.Conn }

func (timeless) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }

func TestCut_ClosesAConnWithoutDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := net.Pipe()
		defer peer.Close()
		start := time.Now()
		_, err := socketOver(timeless{conn}).WriteAll([]byte("never read"), wait)
		if took := time.Since(start); !errors.Is(err, io.ErrClosedPipe) || took != wait {
			t.Errorf("after %v: %v", took, err)
		}
	})
}

// TLS takes a deadline in a write for its end, so there is none while the peer reads.
func TestWriteAll_TLS(t *testing.T) {
	overPipe(t, func(t *testing.T, s *wire.Socket, peer net.Conn) {
		server, client := tlsOver(t, s.Conn, peer)
		s = socketOver(server)
		go read(client, 8<<10, wait)
		for range 2 {
			time.Sleep(wait / 4) // the peer does not read just when it is looked at
			if n, err := s.WriteAll(make([]byte, 256<<10), wait); n != 256<<10 || err != nil {
				t.Fatalf("%d bytes written: %v", n, err)
			}
		}
		_ = client.SetReadDeadline(time.Now())
		synctest.Wait()
		start := time.Now()
		_, err := s.WriteAll(make([]byte, 256<<10), wait)
		isCut(t, "the peer stopped", err, start, wait)
		_ = client.Close()
	})
}

// What a peer reads comes as it was written. One that stops is given up when the kernels on both sides take no more,
// and its socket is of no more use.
func TestWriteAll_TCP(t *testing.T) {
	for _, secure := range []bool{false, true} {
		conn, peer := tcpPair(t)
		var s, client = socketOver(conn), net.Conn(peer)
		if secure {
			server, c := tlsOver(t, conn, peer)
			s, client = socketOver(server), c
		}
		want := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
		got := make(chan []byte, 1)
		go func() {
			all := make([]byte, len(want))
			n, _ := io.ReadFull(client, all)
			got <- all[:n]
		}()
		if n, err := s.WriteAll(want, patience); n != len(want) || err != nil {
			t.Fatalf("TLS %v: %d bytes of %d written: %v", secure, n, len(want), err)
		}
		if all := <-got; !bytes.Equal(all, want) {
			t.Errorf("TLS %v: %d bytes of %d have come", secure, len(all), len(want))
		}

		const short = 50 * time.Millisecond
		var start time.Time
		var err error
		for err == nil {
			start = time.Now()
			_, err = s.WriteAll(want, short)
		}
		if took := time.Since(start); !errors.Is(err, os.ErrDeadlineExceeded) || took < short {
			t.Errorf("TLS %v, a peer that does not read: %v after %v", secure, err, took)
		}
		if n, err := s.WriteAll(want, short); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("TLS %v, after that: %d bytes written: %v", secure, n, err)
		}
	}
}

// What a small write costs whose bytes go out at once.
func BenchmarkWriteAll(b *testing.B) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer listener.Close()
	peer, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer peer.Close()
	conn, err := listener.Accept()
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	go func() { _, _ = io.Copy(io.Discard, peer) }()
	s, word := socketOver(conn), make([]byte, 64)
	for name, write := range map[string]func() (int, error){
		"WriteAll": func() (int, error) { return s.WriteAll(word, wait) },
		"Conn":     func() (int, error) { return s.Conn.Write(word) },
		"deadline": func() (int, error) {
			_ = s.SetWriteDeadline(time.Now().Add(wait))
			return s.Conn.Write(word)
		},
	} {
		b.Run("by="+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := write(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
