package wspulse

import "time"

// ping pings the links whose turn it is.
func (h *hub) ping(now time.Time) {
	for h.beats.Len() > 0 {
		l := h.beats.Front().Value.(*link)
		if left := l.nextPing.Sub(now); left > 0 {
			h.beatTimer.Reset(left)
			return
		}
		l.nextPing = now.Add(h.cfg.pingPeriod)
		h.beats.MoveToBack(l.beat)
		l.owed.Add(1)
		l.session.outbox.signal(l, pingFrame).start()
	}
}
