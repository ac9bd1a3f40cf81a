package wspulse

import "time"

// A rate is a token bucket: so many messages a second, and a burst of as many as it holds.
type rate struct {
	perSecond float64
	burst     float64
}

// A meter is the state of a rate for one link.
type meter struct {
	used  float64   // tokens
	at    time.Time // when that was so
	spare float64   // tokens for what waited while a callback ran; they lapse when nothing has come for spareTime
}

// spareTime is longer than any pause between messages that waited, once somebody reads them.
const spareTime = time.Second

// refill gives back the tokens of the time that has passed, and returns those that were more than there was room for.
func (m *meter) refill(r rate, now time.Time) (over float64) {
	m.used -= now.Sub(m.at).Seconds() * r.perSecond
	m.at = now
	over = max(0, -m.used)
	m.used = max(0, m.used)
	return over
}

// credit lets the peer send at once what it was due to send while a callback of that duration ran, beyond its burst.
func (m *meter) credit(r rate, now time.Time, d time.Duration) {
	m.spare += min(m.refill(r, now), d.Seconds()*r.perSecond)
}

// wait returns how long it takes until there is a token, where none is left.
func (m *meter) wait(r rate) time.Duration {
	return time.Duration((m.used+1-r.burst)/r.perSecond*float64(time.Second)) + 1
}

// take says whether there is a token left.
func (m *meter) take(r rate, now time.Time) bool {
	if now.Sub(m.at) > spareTime {
		m.spare = 0
	}
	m.refill(r, now)
	switch {
	case m.used+1 <= r.burst:
		m.used++
	case m.spare >= 1:
		m.spare--
	default:
		return false
	}
	return true
}
