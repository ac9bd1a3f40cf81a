package wspulse

import (
	"cmp"
	"slices"
	"time"

	"go.uber.org/zap"
)

// reclaim brings the bytes of all outboxes down to seven eighths of the budget. The largest pay, each with its oldest
// frames, until they are as small as the next. A message of which a part has been written can't be dropped. Hub.
func (h *hub) reclaim() {
	over := h.queued.Load() - h.cfg.memoryBudget
	if h.cfg.memoryBudget == 0 || over <= 0 || time.Now().Before(h.reclaimAt) {
		return
	}
	debtors := h.debtors()
	if len(debtors) == 0 {
		return
	}
	level, excess := 0, int(over+h.cfg.memoryBudget/8)
	for n, sum := 1, 0; n <= len(debtors); n++ { // the n largest come down to one level
		sum += debtors[n-1].bytes
		if level = max(0, (sum-excess)/n); n == len(debtors) || level >= debtors[n].bytes {
			break
		}
	}
	dropped := 0
	for _, d := range debtors {
		if d.bytes <= level {
			break
		}
		n := d.session.outbox.shrink(level)
		d.session.dropped(n)
		dropped += n
	}
	if h.queued.Load() > h.cfg.memoryBudget {
		h.expireLargest(debtors)
	}
	if dropped == 0 { // there are only messages that are being written
		h.reclaimAt = time.Now().Add(reclaimPeriod)
	}
	h.limitReached(LimitMemoryBudget, "", "", zap.Int("framesDropped", dropped))
}

// expireLargest ends suspended sessions whose peers have not acknowledged what is kept for them, the largest first,
// until the budget holds.
func (h *hub) expireLargest(debtors []debtor) {
	for _, d := range debtors {
		if h.queued.Load() <= h.cfg.memoryBudget {
			return
		}
		if s := d.session; s.credential != nil && s.link == nil {
			h.end(s, endMemory, s.dropErr)
		}
	}
}

// reclaimPeriod is how long the hub looks for no more to reclaim where it has found nothing.
const reclaimPeriod = 10 * time.Millisecond

// A debtor is a session whose outbox holds something.
type debtor struct {
	session *session
	bytes   int
}

// debtors returns the sessions that hold something, those that hold most first.
func (h *hub) debtors() (debtors []debtor) {
	for _, s := range h.sessions {
		if n := s.outbox.size(); n > 0 {
			debtors = append(debtors, debtor{s, n})
		}
	}
	slices.SortFunc(debtors, func(a, b debtor) int { return cmp.Compare(b.bytes, a.bytes) })
	return debtors
}

// overBudget asks the hub to reclaim, if need be.
func (h *hub) overBudget() {
	if h.cfg.memoryBudget == 0 || h.queued.Load() <= h.cfg.memoryBudget {
		return
	}
	select {
	case h.reclaims <- struct{}{}:
	default: // it has been asked already
	}
}
