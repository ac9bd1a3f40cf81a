package wspulse

import (
	"cmp"
	"slices"

	"go.uber.org/zap"
)

// reclaim brings the bytes in all queues down to seven eighths of the budget. The largest queues pay, each its oldest
// frames, until they are as small as the next. Hub.
func (h *hub) reclaim() {
	over := h.queued.Load() - h.cfg.memoryBudget
	if h.cfg.memoryBudget == 0 || over <= 0 {
		return
	}
	type debtor struct {
		session *session
		bytes   int
	}
	var debtors []debtor
	for _, s := range h.sessions {
		if n := s.outbox.size(); n > 0 {
			debtors = append(debtors, debtor{s, n})
		}
	}
	if len(debtors) == 0 {
		return
	}
	slices.SortFunc(debtors, func(a, b debtor) int { return cmp.Compare(b.bytes, a.bytes) })
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
	h.limitReached(LimitMemoryBudget, "", "", zap.Int("framesDropped", dropped))
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
