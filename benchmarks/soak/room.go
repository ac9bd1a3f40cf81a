package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/wspulse/server/benchmarks/internal/histogram"
)

// Where the processors are idle for less than minIdle of an interval, or timers are late by more than a part of what sick
// peers may do to healthy ones, others on the machine may be why a frame came late.
const (
	minIdle  = 0.2
	lateness = 2 // the harm that is allowed, divided by this
)

// A watchman sleeps a little, again and again, and collects how much longer that took than it should: what the machine keeps
// a goroutine waiting that has nothing to do with the server.
type watchman struct {
	ages
	stop context.CancelFunc
	done sync.WaitGroup
}

func startWatchman() *watchman {
	const nap = 5 * time.Millisecond
	ctx, stop := context.WithCancel(context.Background())
	w := &watchman{stop: stop}
	w.done.Go(func() {
		for ctx.Err() == nil {
			began := time.Now()
			time.Sleep(nap)
			w.add(int64(time.Since(began) - nap))
		}
	})
	return w
}

func (w *watchman) leave() {
	w.stop()
	w.done.Wait()
}

// hasRoom says whether the machine had room in the interval of a line.
func (p plan) hasRoom(l line) bool { return l.idle >= minIdle && l.late <= p.harm/lateness }

// A spell is what healthy peers heard in a phase, in the intervals in which the machine had room.
type spell struct {
	ages        histogram.Histogram
	lines, room int // intervals in all, and those with room
}

func (s *spell) add(ages *histogram.Histogram, room bool) {
	s.lines++
	if room {
		s.room++
		s.ages.Merge(ages)
	}
}

// judged says whether the machine had room in at least half of the phase.
func (s *spell) judged() bool { return s.room > 0 && 2*s.room >= s.lines }

func (s *spell) String() string {
	if s.room == 0 {
		return fmt.Sprintf("none of %d intervals with room", s.lines)
	}
	text := fmt.Sprintf("%v (p50 %v)", round(s.ages.Quantile(0.99)), round(s.ages.Quantile(0.5)))
	if s.room < s.lines {
		text += fmt.Sprintf(" in the %d of %d intervals with room", s.room, s.lines)
	}
	return text
}
