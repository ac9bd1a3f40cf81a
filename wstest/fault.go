package wstest

import (
	"math"
	"time"
)

// Faults are what one direction of a connection does to the bytes written into it. The zero value is a healthy network
// without delay. They add up: with Latency and Throttle, bytes are first delayed and then held back.
type Faults struct {
	// Latency is the time from Write to Read. A change concerns what is written from then on; the order stays.
	Latency time.Duration

	// Throttle lets so many bytes through in each interval: a slow line, or a reader that takes its time.
	Throttle Rate

	// Window is how many bytes may be on their way, written and not read, before Write waits. Default 64 KiB; a reader
	// with little room has a small one. [Unbuffered] makes Write wait until all that it wrote has been read.
	Window int

	// BlackHole swallows everything, the end of the stream too. Write succeeds until the window is full, Read gets
	// nothing, and each waits for its deadline. What was swallowed arrives when the fault is taken away. In one
	// direction only it is a one-way loss.
	BlackHole bool

	// CutAfter closes the whole connection after so many more bytes of this direction, counted from when the faults are
	// set. The write that reaches beyond is cut short. Both ends read what was written before, then io.EOF; their
	// writes fail with EPIPE. 0 means never.
	CutAfter int64

	// ResetAfter is CutAfter with ECONNRESET in the place of io.EOF and of EPIPE.
	ResetAfter int64
}

// A Rate is a number of bytes in each interval. They pass at once at its beginning, when that many are waiting: for a
// smooth flow the interval has to be short. 0 bytes mean no limit.
type Rate struct {
	Bytes int
	Every time.Duration // default one second
}

// Unbuffered is a [Faults.Window] without room: a write takes as long as its reader, as with [net.Pipe].
const Unbuffered = -1

const defaultWindow = 64 << 10

// window returns the number of bytes that may be on their way.
func (f *Faults) window() int {
	switch {
	case f.Window == 0:
		return defaultWindow
	case f.Window < 0:
		return 0
	}
	return f.Window
}

// limit returns after how many bytes the connection breaks, if ever, and whether by a reset.
func (f *Faults) limit() (bytes int64, reset bool) {
	bytes = math.MaxInt64
	if f.CutAfter > 0 {
		bytes = f.CutAfter
	}
	if f.ResetAfter > 0 && f.ResetAfter < bytes {
		return f.ResetAfter, true
	}
	return bytes, false
}

// A toll counts what has passed in an interval of a Rate.
type toll struct {
	since  time.Time
	passed int
}

// allow returns how many of n bytes may pass now. When that is none, next is when some may.
func (t *toll) allow(r Rate, n int, now time.Time) (allowed int, next time.Time) {
	if r.Bytes <= 0 {
		return n, time.Time{}
	}
	every := r.Every
	if every <= 0 {
		every = time.Second
	}
	if now.Sub(t.since) >= every {
		t.since, t.passed = now, 0
	}
	return min(n, r.Bytes-t.passed), t.since.Add(every)
}
