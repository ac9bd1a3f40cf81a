package wspulse

import (
	"cmp"
	"slices"
	"sort"
	"time"

	"go.uber.org/zap"
)

// reclaim brings the bytes of all outboxes down to seven eighths of the budget. The largest pay, each with its oldest
// frames, until they are as small as the next. What can't be dropped, such as a message of which a part has been
// written, others pay for, as far as the budget itself is exceeded. Hub.
func (h *hub) reclaim() {
	over := h.queued.Load() - h.cfg.memoryBudget
	if h.cfg.memoryBudget == 0 || over <= 0 || time.Now().Before(h.reclaimAt) {
		return
	}
	debtors := h.debtors()
	if len(debtors) == 0 {
		return
	}
	level := min(
		levelFor(debtors, int(over+h.cfg.memoryBudget/8), func(d debtor) int { return d.bytes }),
		levelFor(debtors, int(over), func(d debtor) int { return d.loose }),
	)
	dropped := 0
	for _, d := range debtors {
		if d.bytes <= level {
			break
		}
		n := d.session.outbox.shrink(level)
		d.session.dropped(n)
		d.session.mayLackPresence(n)
		dropped += n
	}
	if h.queued.Load() > h.cfg.memoryBudget {
		h.expireLargest()
	}
	if dropped == 0 { // there are only messages that are being written
		h.reclaimAt = time.Now().Add(reclaimPeriod)
	}
	h.limitReached(LimitMemoryBudget, "", "", zap.Int("framesDropped", dropped))
}

// expireLargest ends suspended sessions whose peers have not acknowledged what is kept for them, the largest first,
// until the budget holds.
func (h *hub) expireLargest() {
	for _, d := range h.debtors() {
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
	loose   int // of these: they may be dropped
}

// levelFor returns how many bytes each debtor may keep so that as many become free, of those that it may give: 0
// where there are not as many.
func levelFor(debtors []debtor, bytes int, mayGive func(debtor) int) (level int) {
	most := debtors[0].bytes
	return most - sort.Search(most, func(down int) bool {
		free := 0
		for _, d := range debtors {
			free += min(mayGive(d), max(0, d.bytes-most+down))
		}
		return free >= bytes
	})
}

// debtors returns the sessions that hold something, those that hold most first.
func (h *hub) debtors() (debtors []debtor) {
	for _, s := range h.sessions {
		if all, loose := s.outbox.size(); all > 0 {
			debtors = append(debtors, debtor{s, all, loose})
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
