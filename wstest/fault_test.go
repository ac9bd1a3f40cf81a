package wstest_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wspulse/server/wstest"
)

// A line is a connection in a bubble whose near end reads what the far one writes.
type line struct {
	t     *testing.T
	near  *wstest.Conn
	far   net.Conn
	start time.Time
}

// onLine runs a story in a bubble, on a connection in memory and on one that is wrapped.
func onLine(t *testing.T, down wstest.Faults, story func(l *line)) {
	t.Helper()
	for _, wrapped := range []bool{false, true} {
		t.Run(fmt.Sprintf("wrapped=%v", wrapped), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := memory(t, wstest.Faults{})
				if wrapped {
					near = wstest.Wrap(near, wstest.Faults{}, wstest.Faults{})
				}
				near.Downstream(down)
				defer far.Close()
				defer near.Reset()
				story(&line{t: t, near: near, far: far, start: time.Now()})
			})
		})
	}
}

// direct is onLine for what a second connection, on top of the first, would blur.
func direct(t *testing.T, down wstest.Faults, story func(l *line)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		near, far := memory(t, wstest.Faults{})
		near.Downstream(down)
		story(&line{t: t, near: near, far: far, start: time.Now()})
	})
}

func (l *line) write(data string) {
	l.t.Helper()
	if n, err := l.far.Write([]byte(data)); n != len(data) || err != nil {
		l.t.Errorf("wrote %d of %d bytes, %v", n, len(data), err)
	}
	synctest.Wait()
}

// expect reads until the end or for ten minutes, and compares what came when: "0s:hello 1s:EOF".
func (l *line) expect(want string) {
	l.t.Helper()
	var words []string
	buf := make([]byte, 1<<20)
	l.near.SetReadDeadline(l.start.Add(10 * time.Minute))
	for {
		n, err := l.near.Read(buf)
		if n > 0 {
			words = append(words, fmt.Sprintf("%v:%s", time.Since(l.start), buf[:n]))
			continue
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			words = append(words, fmt.Sprintf("%v:%s", time.Since(l.start), cause(err)))
		}
		break
	}
	if got := strings.Join(words, " "); got != want {
		l.t.Errorf("got %q, want %q", got, want)
	}
}

// expectError compares an error, and the time since the start.
func (l *line) expectError(got error, want string, at time.Duration) {
	l.t.Helper()
	if took := time.Since(l.start); cause(got) != want || took != at {
		l.t.Errorf("%v after %v, want %s after %v", got, took, want, at)
	}
}

// cause names an error.
func cause(err error) string {
	for name, known := range map[string]error{"EOF": io.EOF, "EPIPE": syscall.EPIPE, "ECONNRESET": syscall.ECONNRESET,
		"timeout": os.ErrDeadlineExceeded, "closed": net.ErrClosed} {
		if errors.Is(err, known) {
			return name
		}
	}
	return fmt.Sprint(err)
}

func TestFaults_None(t *testing.T) {
	onLine(t, wstest.Faults{}, func(l *line) {
		l.write("hello")
		l.far.Close()
		l.expect("0s:hello 0s:EOF")
	})
}

func TestFaults_Latency(t *testing.T) {
	onLine(t, wstest.Faults{Latency: 70 * time.Millisecond}, func(l *line) {
		l.write("one")
		time.Sleep(10 * time.Millisecond)
		l.write("two")
		time.Sleep(10 * time.Millisecond)
		l.far.Close()
		l.expect("70ms:one 80ms:two 90ms:EOF")
	})
}

func TestFaults_LatencyChangesAndOrderStays(t *testing.T) {
	onLine(t, wstest.Faults{Latency: time.Second}, func(l *line) {
		l.write("slow")
		l.near.Downstream(wstest.Faults{})
		l.write("fast")
		time.Sleep(3 * time.Second)
		l.near.Downstream(wstest.Faults{Latency: 2 * time.Second})
		l.write("slower")
		l.expect("3s:slowfast 5s:slower")
	})
}

// An end hears as late of the other's closing as of its bytes.
func TestFaults_LatencyOfClose(t *testing.T) {
	direct(t, wstest.Faults{}, func(l *line) {
		l.near.Upstream(wstest.Faults{Latency: time.Second})
		l.near.Close()
		l.write("in time")
		_, err := l.far.Read(make([]byte, 1))
		l.expectError(err, "EOF", time.Second)
		_, err = l.far.Write([]byte("too late"))
		l.expectError(err, "EPIPE", time.Second)
	})
	direct(t, wstest.Faults{}, func(l *line) {
		l.near.Upstream(wstest.Faults{Latency: time.Second})
		l.near.Close()
		_, err := l.far.Write(make([]byte, 1<<20))
		l.expectError(err, "EPIPE", time.Second)
	})
}

func TestFaults_Throttle(t *testing.T) {
	onLine(t, wstest.Faults{Throttle: wstest.Rate{Bytes: 3, Every: 2 * time.Second}}, func(l *line) {
		l.write("abcd")
		l.write("efghi")
		l.far.Close()
		l.expect("0s:abc 2s:def 4s:ghi 4s:EOF")
	})
	onLine(t, wstest.Faults{Throttle: wstest.Rate{Bytes: 5}, Latency: 10 * time.Second}, func(l *line) {
		l.write("hello world")
		l.expect("10s:hello 11s: worl 12s:d")
	})
}

func TestFaults_ThrottleChanges(t *testing.T) {
	onLine(t, wstest.Faults{Throttle: wstest.Rate{Bytes: 1, Every: time.Hour}}, func(l *line) {
		l.write("abcdef")
		time.AfterFunc(time.Minute, func() {
			l.near.Downstream(wstest.Faults{Throttle: wstest.Rate{Bytes: 2, Every: time.Hour}})
		})
		time.AfterFunc(2*time.Minute, func() { l.near.Downstream(wstest.Faults{}) })
		l.expect("0s:a 1m0s:bc 2m0s:def")
	})
}

// A slow reader with little room holds the writer up for as long as it reads.
func TestFaults_Window(t *testing.T) {
	direct(t, wstest.Faults{Window: 10, Throttle: wstest.Rate{Bytes: 5}}, func(l *line) {
		read := make(chan int64)
		go func() {
			n, _ := io.Copy(io.Discard, l.near)
			read <- n
		}()
		l.write(strings.Repeat("x", 10))
		if took := time.Since(l.start); took != 0 {
			t.Errorf("what fits took %v", took)
		}
		l.write(strings.Repeat("x", 20))
		if took := time.Since(l.start); took != 3*time.Second { // 5 bytes at once, and 10 may be left
			t.Errorf("took %v", took)
		}
		l.far.Close()
		if n := <-read; n != 30 {
			t.Errorf("%d bytes read", n)
		}
	})
}

// A write that fails says how many bytes are on their way or have been read, and no others are.
func TestFaults_WindowAndUnfinishedWrites(t *testing.T) {
	for window, first := range map[int]int{wstest.Unbuffered: 0, 1: 1, 10: 10} {
		for reads := range 20 {
			direct(t, wstest.Faults{Window: window}, func(l *line) {
				go io.ReadFull(l.near, make([]byte, reads))
				l.far.SetWriteDeadline(time.Now().Add(time.Second))
				n, err := l.far.Write(make([]byte, 40))
				l.expectError(err, "timeout", time.Second)
				if n != first+reads {
					t.Errorf("window %d: wrote %d bytes, want %d", window, n, first+reads)
				}
				l.far.Close()
				if rest, _ := io.Copy(io.Discard, l.near); int(rest) != n-reads {
					t.Errorf("window %d: %d of %d bytes written were read", window, reads+int(rest), n)
				}
			})
		}
	}
}

// Each of two writes says what has been read of its own.
func TestFaults_WindowAndTwoWriters(t *testing.T) {
	direct(t, unbuffered, func(l *line) {
		l.far.SetWriteDeadline(time.Now().Add(time.Second))
		var written [2]int
		var calls [2]<-chan error
		for i := range calls {
			calls[i] = inBackground(func() (err error) { written[i], err = l.far.Write(make([]byte, 100)); return err })
			synctest.Wait()
		}
		io.ReadFull(l.near, make([]byte, 30))
		l.expectError(<-calls[0], "timeout", time.Second)
		l.expectError(<-calls[1], "timeout", time.Second)
		if written != [2]int{30, 0} {
			t.Errorf("wrote %v bytes", written)
		}
	})
}

func TestFaults_BlackHole(t *testing.T) {
	direct(t, wstest.Faults{BlackHole: true, Window: 100}, func(l *line) {
		l.write(strings.Repeat("x", 60))
		l.far.SetWriteDeadline(time.Now().Add(5 * time.Second))
		n, err := l.far.Write(make([]byte, 60))
		l.expectError(err, "timeout", 5*time.Second)
		if n != 40 {
			t.Errorf("%d bytes fitted", n)
		}
		l.far.Close()
		l.near.SetReadDeadline(time.Now().Add(time.Second))
		_, err = l.near.Read(make([]byte, 1))
		l.expectError(err, "timeout", 6*time.Second)
		l.near.SetReadDeadline(time.Time{})
		time.AfterFunc(time.Second, func() { l.near.Downstream(wstest.Faults{}) })
		all, err := io.ReadAll(l.near)
		l.expectError(err, "<nil>", 7*time.Second)
		if len(all) != 100 {
			t.Errorf("%d bytes arrived in the end", len(all))
		}
	})
}

// An end that closes behind a black hole is not heard of.
func TestFaults_BlackHoleSwallowsClose(t *testing.T) {
	direct(t, wstest.Faults{Window: 10}, func(l *line) {
		l.near.Upstream(wstest.Faults{BlackHole: true})
		l.near.Close()
		l.write(strings.Repeat("x", 10))
		l.far.SetDeadline(time.Now().Add(time.Minute))
		_, err := l.far.Write([]byte("x"))
		l.expectError(err, "timeout", time.Minute)
		_, err = l.far.Read(make([]byte, 1))
		l.expectError(err, "timeout", time.Minute)
	})
}

func TestFaults_OneWayLoss(t *testing.T) {
	onLine(t, wstest.Faults{}, func(l *line) {
		l.near.Upstream(wstest.Faults{BlackHole: true})
		if _, err := l.near.Write([]byte("lost")); err != nil {
			t.Error(err)
		}
		l.write("found")
		l.far.SetReadDeadline(time.Now().Add(time.Second))
		_, err := l.far.Read(make([]byte, 1))
		l.expectError(err, "timeout", time.Second)
		l.far.Close()
		l.expect("1s:found 1s:EOF")
	})
}

func TestFaults_CutAndResetAfter(t *testing.T) {
	const text = "abcdefghij"
	for n := int64(1); n <= 12; n++ {
		for _, tc := range []struct {
			faults     wstest.Faults
			read, fail string
		}{
			{wstest.Faults{CutAfter: n}, "EOF", "EPIPE"},
			{wstest.Faults{ResetAfter: n}, "ECONNRESET", "ECONNRESET"},
			{wstest.Faults{CutAfter: n, ResetAfter: n + 1}, "EOF", "EPIPE"},
			{wstest.Faults{CutAfter: n + 1, ResetAfter: n}, "ECONNRESET", "ECONNRESET"},
			{wstest.Faults{CutAfter: n, Window: wstest.Unbuffered, Latency: time.Second}, "EOF", "EPIPE"},
		} {
			direct(t, tc.faults, func(l *line) {
				got := make(chan string, 1)
				go func() {
					var all strings.Builder
					_, err := io.Copy(&all, l.near)
					got <- all.String() + cause(err)
				}()
				want := strings.ReplaceAll((text + text)[:n]+tc.read, "EOF", "<nil>") // which io.Copy swallows
				total, err := l.far.Write([]byte(text))
				for err == nil {
					var k int
					k, err = l.far.Write([]byte(text))
					total += k
				}
				if cause(err) != tc.fail || int64(total) != n {
					t.Errorf("%+v: wrote %d bytes, %v", tc.faults, total, err)
				}
				if all := <-got; all != want {
					t.Errorf("%+v: read %q, want %q", tc.faults, all, want)
				}
				_, err = l.near.Write([]byte("x"))
				if cause(err) != tc.fail {
					t.Errorf("%+v: the other direction: %v", tc.faults, err)
				}
				_, err = l.far.Read(make([]byte, 1))
				if cause(err) != tc.read {
					t.Errorf("%+v: the other direction: %v", tc.faults, err)
				}
			})
		}
	}
}

// What is counted begins when the faults are set.
func TestFaults_CutAfterWhileItLives(t *testing.T) {
	onLine(t, wstest.Faults{CutAfter: 1000}, func(l *line) {
		l.write("0123456789")
		l.near.Downstream(wstest.Faults{CutAfter: 3})
		l.far.Write([]byte("abcdef"))
		synctest.Wait()
		l.expect("0s:0123456789abc 0s:EOF")
	})
}

// What a failed write has taken back does not count.
func TestFaults_CutAfterUnfinishedWrite(t *testing.T) {
	direct(t, wstest.Faults{Window: wstest.Unbuffered, CutAfter: 10}, func(l *line) {
		l.far.SetWriteDeadline(time.Now().Add(time.Second))
		if n, _ := l.far.Write([]byte("lost")); n != 0 {
			t.Errorf("wrote %d bytes", n)
		}
		l.far.SetWriteDeadline(time.Time{})
		go func() {
			l.far.Write([]byte("01234567"))
			l.far.Write([]byte("89abc"))
		}()
		l.expect("1s:01234567 1s:89 1s:EOF")
	})
}

// A direction that had ended before the connection broke has ended well.
func TestFaults_ResetAfterHalfClose(t *testing.T) {
	direct(t, wstest.Faults{ResetAfter: 1}, func(l *line) {
		l.near.CloseWrite()
		l.write("x")
		_, err := l.far.Read(make([]byte, 1))
		l.expectError(err, "EOF", 0)
		l.expect("0s:x 0s:ECONNRESET")
	})
}

func TestReset_WakesBothEnds(t *testing.T) {
	for name, faults := range map[string]wstest.Faults{
		"plain": {}, "in a black hole": {BlackHole: true}, "slow": {Latency: time.Hour},
	} {
		direct(t, faults, func(l *line) {
			l.near.Upstream(faults)
			l.write("lost")
			var calls []<-chan error
			for _, c := range []net.Conn{l.near, l.far} {
				calls = append(calls, inBackground(func() error { _, err := c.Write(make([]byte, 1<<20)); return err }))
			}
			if name != "plain" { // where there is something to read
				calls = append(calls, inBackground(func() error { _, err := l.far.Read(make([]byte, 10)); return err }))
			}
			synctest.Wait()
			l.near.Reset()
			for _, call := range calls {
				l.expectError(<-call, "ECONNRESET", 0)
			}
			_, err := l.near.Read(make([]byte, 1))
			l.expectError(err, "ECONNRESET", 0)
		})
	}
}

// Whoever waits notices that the faults change.
func TestFaults_ChangeWakesWhoeverWaits(t *testing.T) {
	direct(t, wstest.Faults{Window: wstest.Unbuffered, BlackHole: true}, func(l *line) {
		write := inBackground(func() error { _, err := l.far.Write([]byte("hello")); return err })
		time.AfterFunc(time.Second, func() { l.near.Downstream(wstest.Faults{BlackHole: true}) })
		l.expectError(<-write, "<nil>", time.Second)
		time.AfterFunc(time.Second, func() { l.near.Downstream(wstest.Faults{}) })
		buf := make([]byte, 5)
		_, err := l.near.Read(buf)
		l.expectError(err, "<nil>", 2*time.Second)
	})
}
