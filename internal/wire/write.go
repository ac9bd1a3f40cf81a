package wire

import (
	"sync"
	"time"
)

const (
	lumpRate    = 16 << 10         // bytes a second that a peer is given time for which has taken many at once
	maxLump     = 6                // waits that it is given at the most
	minProgress = 4 << 10          // bytes that the peer of a WriteAll has to take in each wait
	minWait     = time.Millisecond // of a write that tells that the peer has taken bytes
)

// WriteAll writes p, however long that takes, as long as the peer takes bytes: it is cut once fewer than 4 KiB were
// taken within wait. That is a floor of throughput, of 4 KiB/wait. On Linux, taken is what the peer's TCP has
// acknowledged, whoever wrote it and when; elsewhere, and over anything but TCP, what the Conn has accepted of p. The
// peer's TCP may take bytes in lumps, of a sixteenth to a half of its receive buffer, while its application reads
// slowly but steadily.
//
// An error leaves p half written, and the socket is of no more use. That of a cut is os.ErrDeadlineExceeded, whether
// the cut was for lack of progress or Cut's. WriteAll belongs to the one writer, waits for no deadline of its own where
// p goes out at once, and keeps nothing of p.
func (s *Socket) WriteAll(p []byte, wait time.Duration) (n int, err error) {
	defer func() { s.torn = s.torn || err != nil }()
	if n, err = s.TryWrite(p); err != nil || n == len(p) {
		return n, err
	}
	w := s.startStallTimer(wait)
	m, err := w.write(p[n:])
	if !w.end() {
		s.stall = nil
	}
	return n + m, err
}

// A stallTimer sees to it that a write does not wait for a peer that takes nothing. A socket uses one again and again.
type stallTimer struct {
	// Set at construction, then read-only.
	socket *Socket
	timer  *time.Timer

	kernel bool // knows what was taken; set before a write, then read-only

	mu      sync.Mutex // guards what follows; its holder may take the socket's
	on      bool       // there is a write
	wait    time.Duration
	checkAt time.Time // what was taken then
}

// startStallTimer returns a stall timer that runs.
func (s *Socket) startStallTimer(wait time.Duration) *stallTimer {
	if s.stall == nil {
		w := &stallTimer{socket: s}
		w.timer = time.AfterFunc(wait, w.check)
		s.stall = w
	}
	s.stall.begin(wait)
	return s.stall
}

func (w *stallTimer) begin(wait time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.on, w.wait = true, wait
	_, w.kernel = w.socket.Taken()
	taken, ago := w.look()
	if ago >= maxLump*wait {
		taken = 0 // nobody knows when they were
	}
	w.arm(taken)
}

// look returns how many bytes were taken since the last look at the socket, and how long ago that was.
func (w *stallTimer) look() (taken uint64, ago time.Duration) {
	all := w.socket.accepted.Load()
	if w.kernel {
		all, _ = w.socket.Taken()
	}
	now := time.Now().UnixNano()
	taken, ago = all-w.socket.taken, time.Duration(now-w.socket.lookedAt)
	w.socket.taken, w.socket.lookedAt = all, now
	return taken, ago
}

// arm gives the peer its wait, or longer if it has just taken that many bytes at once: a proxy takes nothing more
// before it has passed on a good part of what it holds.
func (w *stallTimer) arm(taken uint64) {
	wait := w.wait
	if w.kernel {
		lump := time.Duration(min(taken, 1<<30)) * time.Second / lumpRate
		wait = max(wait, min(lump, maxLump*wait))
	}
	w.checkAt = time.Now().Add(wait)
	w.timer.Reset(wait)
}

// end stops the timer. It says whether there may be another one: not if the timer has fired, since its check may be
// late.
func (w *stallTimer) end() (again bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.on = false
	return w.timer.Stop()
}

// check cuts the write unless there was progress since the last check.
func (w *stallTimer) check() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.on {
		return
	}
	now := time.Now()
	taken, _ := w.look()
	if taken < minProgress && !w.excused(now) {
		w.socket.Cut(now)
		return
	}
	w.arm(taken)
}

// excused says that it is not the peer's fault that there was no progress: it has taken all that was there to take, or
// this process did not run.
func (w *stallTimer) excused(now time.Time) bool {
	if w.kernel {
		if pending, known := w.socket.Pending(); known && pending == 0 {
			return true
		}
	}
	return now.Sub(w.checkAt) > w.wait/2
}

// write writes p to the Conn, in pieces that show progress unless the kernel shows it.
func (w *stallTimer) write(p []byte) (n int, err error) {
	if w.kernel {
		return w.socket.Conn.Write(p)
	}
	for n < len(p) && err == nil {
		var m int
		start := time.Now()
		m, err = w.socket.Conn.Write(p[n:min(n+minProgress, len(p))])
		n += m
		w.socket.accepted.Add(uint64(m))
		if time.Since(start) >= minWait {
			w.socket.waited.Add(uint64(m))
		}
	}
	return n, err
}
