package wspulse

import (
	"testing"
	"testing/synctest"
	"time"
)

// The wall clock may be set: it is looked at every minute, and what it says counts.
func TestExpiries_TheClockJumps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, s := newExpiries(), &session{}
		defer e.timer.Stop()
		at := time.Now().Add(10 * time.Hour)
		e.set(s, at)
		armed := time.Now()
		<-e.timer.C
		if took := time.Since(armed); took != expiryCheck {
			t.Errorf("looked after %v", took)
		}
		for _, test := range []struct {
			now time.Time
			due bool
		}{{at.Add(-time.Nanosecond), false}, {at, true}, {at.Add(-24 * time.Hour), false}, {at.Add(24 * time.Hour), true}} {
			if _, due := e.due(test.now); due != test.due {
				t.Errorf("%v: due %t", test.now, due)
			}
		}
		e.set(s, time.Time{})
		if _, due := e.due(at.Add(time.Hour)); due || len(e.of)+len(e.heap) > 0 {
			t.Error("it has none any more")
		}
	})
}

// Of many times that change, each is kept to.
func TestExpiries_Order(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newExpiries()
		defer e.timer.Stop()
		start := time.Now()
		sessions := make([]*session, 100)
		for i := range sessions {
			sessions[i] = &session{}
			e.set(sessions[i], start.Add(time.Duration(i*37%100)*time.Second))
		}
		for i, s := range sessions {
			switch i % 3 {
			case 0:
				e.set(s, start.Add(time.Duration(i)*time.Second))
			case 1:
				e.set(s, time.Time{})
			}
		}
		last, n := time.Time{}, 0
		for {
			s, ok := e.due(start.Add(time.Hour))
			if !ok {
				break
			}
			at := e.of[s].at
			if at.Before(last) {
				t.Errorf("%v after %v", at, last)
			}
			last = at
			n++
			e.set(s, time.Time{})
		}
		if n != 67 {
			t.Errorf("%d were due", n)
		}
	})
}
