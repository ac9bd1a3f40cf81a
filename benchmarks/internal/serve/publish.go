package serve

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/wspulse/server/benchmarks/internal/clock"
	"github.com/wspulse/server/benchmarks/internal/control"
	"github.com/wspulse/server/benchmarks/internal/peers"
)

// stallTimeout is how long the closed loop waits for progress.
const stallTimeout = 15 * time.Second

// A room is what the publisher knows of one.
type room struct {
	name  string
	seq   uint32 // of the next message; owned by the publisher
	acked atomic.Uint32
	wake  chan struct{} // of capacity 1, never closed; something was acknowledged
}

func (r *room) acknowledge(upTo uint32) {
	if upTo > r.acked.Load() { // there is one reader of acks
		r.acked.Store(upTo)
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (s *server) publish(p control.Publish) (control.Published, error) {
	speakers := make([]peers.Speaker, len(s.rooms))
	before := make([]uint32, len(s.rooms))
	for i, r := range s.rooms {
		if p.Unicast {
			speakers[i] = s.peer.Unicaster(r.name, p.Size)
		} else {
			speakers[i] = s.peer.Speaker(r.name, p.Size)
		}
		before[i] = r.seq
	}
	result := control.Published{Start: clock.Now()}
	var err error
	switch {
	case p.Count > 0 && p.Window == 0:
		err = s.publishCount(speakers, p.Count)
	case p.Rate > 0:
		err = s.publishPaced(speakers, p)
	default:
		result.Stalled, err = s.publishClosed(speakers, p)
	}
	for i, r := range s.rooms {
		result.Counts = append(result.Counts, int(r.seq-before[i]))
	}
	return result, err
}

func (s *server) publishCount(speakers []peers.Speaker, count int) error {
	for range count {
		for i, r := range s.rooms {
			if err := speakers[i](r.seq, clock.Now()); err != nil {
				return err
			}
			r.seq++
		}
	}
	return nil
}

// publishPaced broadcasts on a fixed schedule. A message that the one before it delayed carries the time at which it was
// due, so that the delay is not lost.
func (s *server) publishPaced(speakers []peers.Speaker, p control.Publish) error {
	step := time.Duration(float64(time.Second) / p.Rate)
	due := clock.Now()
	end := due + int64(p.Duration)
	for ; due < end; due += int64(step) {
		at := due
		if wait := due - clock.Now(); wait > 0 {
			time.Sleep(time.Duration(wait))
			at = clock.Now() // the timer's lateness is not the peer's
		}
		for i, r := range s.rooms {
			if err := speakers[i](r.seq, at); err != nil {
				return err
			}
			r.seq++
		}
	}
	return nil
}

// publishClosed broadcasts as fast as the rooms can read, one goroutine for each room.
func (s *server) publishClosed(speakers []peers.Speaker, p control.Publish) (stalled bool, err error) {
	var (
		wg     sync.WaitGroup
		stalls atomic.Int32
		errs   = make([]error, len(s.rooms))
		end    = clock.Now() + int64(p.Duration)
	)
	for i, r := range s.rooms {
		wg.Go(func() {
			var ok bool
			if ok, errs[i] = r.publish(speakers[i], p, end); !ok {
				stalls.Add(1)
			}
		})
	}
	wg.Wait()
	for _, e := range errs {
		if e != nil {
			err = e
		}
	}
	return stalls.Load() > 0, err
}

// publish keeps a window of messages unacknowledged, until end or, if there is a count, so many messages. It is false
// when the room stopped acknowledging.
func (r *room) publish(speak peers.Speaker, p control.Publish, end int64) (bool, error) {
	last := r.seq + uint32(p.Count)
	stall := time.NewTimer(stallTimeout)
	defer stall.Stop()
	for {
		for r.seq-r.acked.Load() >= p.Window {
			stall.Reset(stallTimeout)
			select {
			case <-r.wake:
			case <-stall.C:
				return false, nil
			}
		}
		now := clock.Now()
		if p.Count > 0 && r.seq == last || p.Count == 0 && now >= end {
			return true, nil
		}
		if err := speak(r.seq, now); err != nil {
			return true, err
		}
		r.seq++
	}
}
