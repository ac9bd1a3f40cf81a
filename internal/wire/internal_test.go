package wire

import (
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// A check that comes when the write is over leaves the socket alone, also while the next write waits.
func TestStallTimer_LateCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := net.Pipe()
		defer peer.Close()
		s := NewSocket(conn)
		defer s.Close()
		w := s.startStallTimer(time.Second)
		time.Sleep(time.Second / 2)
		if !w.end() {
			t.Error("the timer is not to be used again")
		}
		w.check()
		if isCut(&s) {
			t.Error("cut for a write that was over")
		}
	})
}

func isCut(s *Socket) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cutAt != 0
}

// Time in which this process did not run is not held against the peer.
func TestStallTimer_ProcessIsPaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := net.Pipe()
		defer peer.Close()
		s := NewSocket(conn)
		defer s.Close()
		w := s.startStallTimer(time.Second)
		defer w.end()
		w.mu.Lock()
		w.checkAt = w.checkAt.Add(-time.Hour) // the timer has fired an hour late
		w.mu.Unlock()
		time.Sleep(time.Second)
		synctest.Wait()
		if isCut(&s) {
			t.Error("cut at the end of the pause")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if !isCut(&s) {
			t.Error("not cut after that")
		}
	})
}

// newReader returns a reader as a link has it.
func newReader(src io.Reader, early []byte, size int, limit int64, inflate bool) *Reader {
	r := NewReader(size)
	r.Reset(src, early, limit, inflate)
	return r
}
