package wstest

import (
	"bytes"
	"io"
	"sync"
	"syscall"
	"time"
)

// A link is a connection: two streams, and the lock of both. Whatever waits waits for moved, and looks again.
type link struct {
	mu       sync.Mutex // guards what follows, and the fields of both ends that say so
	moved    sync.Cond  // of mu; told whenever something has changed
	up, down stream     // from the end that dialled, and to it
	reset    bool       // reading and writing fail, at both ends
	socket   bool       // a black hole does not swallow the end of a stream; see Wrap
}

func newLink(up, down Faults) *link {
	l := &link{}
	l.moved.L = &l.mu
	l.up.set(up)
	l.down.set(down)
	return l
}

// wait waits until something changes, or the first of these times that are set. It gives mu away meanwhile.
func (l *link) wait(times ...time.Time) {
	var first time.Time
	for _, t := range times {
		if first.IsZero() || !t.IsZero() && t.Before(first) {
			first = t
		}
	}
	if !first.IsZero() {
		defer time.AfterFunc(time.Until(first), l.wake).Stop()
	}
	l.moved.Wait()
}

func (l *link) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.moved.Broadcast()
}

// set changes the faults of one direction.
func (l *link) set(s *stream, f Faults) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.set(f)
	l.moved.Broadcast()
}

// fail resets the connection.
func (l *link) fail() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reset = true
	l.moved.Broadcast()
}

// cut ends both streams behind what has been written; err is what their readers get then. mu is held.
func (l *link) cut(err error) {
	now := time.Now()
	l.up.finish(now, err)
	l.down.finish(now, err)
	l.moved.Broadcast()
}

// swallows says whether nothing, not even its end, comes out of s. mu is held.
func (l *link) swallows(s *stream) bool { return s.faults.BlackHole && !l.socket }

// A stream is one direction of a link. All of it is guarded by link.mu.
type stream struct {
	faults Faults
	left   int64 // bytes until the connection breaks, and
	breaks error // what its readers get then
	toll   toll

	segments []segment // written, not read yet
	queued   int       // bytes in them
	writing  bool      // somebody is in Write

	finished   error     // what the reader gets when it has read all; nil while the writer may write
	finishedAt time.Time // when that gets through to the reader
	deafAt     time.Time // when the writer can know that the reader reads no more; zero while it does
}

// A segment is what one call of Write wrote.
type segment struct {
	data []byte
	due  time.Time // when it may be read, unless one before it may not
}

func (s *stream) set(f Faults) {
	left, reset := f.limit()
	s.faults, s.left, s.breaks, s.toll = f, left, io.EOF, toll{}
	if reset {
		s.breaks = syscall.ECONNRESET
	}
}

// push queues a copy of data, or of as much of it as goes through before the connection breaks.
func (s *stream) push(data []byte, now time.Time) (n int, broken bool) {
	n = int(min(int64(len(data)), s.left))
	s.segments = append(s.segments, segment{bytes.Clone(data[:n]), now.Add(s.faults.Latency)})
	s.queued += n
	s.left -= int64(n)
	return n, s.left == 0
}

// unpush takes back the last n bytes that were pushed.
func (s *stream) unpush(n int) {
	s.queued -= n
	s.left += int64(n)
	for n > 0 {
		last := &s.segments[len(s.segments)-1]
		k := min(n, len(last.data))
		last.data = last.data[:len(last.data)-k]
		if n -= k; len(last.data) == 0 {
			s.segments = s.segments[:len(s.segments)-1]
		}
	}
}

// pull copies what may be read into b. When that is nothing, next is when there will be something, if that is known.
func (s *stream) pull(b []byte, now time.Time) (n int, next time.Time) {
	if s.faults.BlackHole {
		return 0, time.Time{}
	}
	for len(s.segments) > 0 && n < len(b) {
		first := &s.segments[0]
		if first.due.After(now) {
			return n, first.due
		}
		allowed, again := s.toll.allow(s.faults.Throttle, min(len(b)-n, len(first.data)), now)
		if allowed == 0 {
			return n, again
		}
		n += copy(b[n:], first.data[:allowed])
		s.toll.passed += allowed
		s.queued -= allowed
		if first.data = first.data[allowed:]; len(first.data) == 0 {
			s.segments = s.segments[1:]
		}
	}
	return n, time.Time{}
}

// drained says whether nothing is left that could still be read.
func (s *stream) drained() bool { return len(s.segments) == 0 || s.faults.BlackHole }

// finish ends what the writer writes; at is when the reader can know. Only the first call counts.
func (s *stream) finish(at time.Time, err error) {
	if s.finished == nil {
		s.finished, s.finishedAt = err, at
	}
}
