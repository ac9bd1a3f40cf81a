//go:build !nopoll && !386 && !s390x

package poll

// Turns returns how many goroutines run handlers, or lead, as the poller knows them, and how many of them have not
// passed on.
func (p *Poller) Turns() (all, busy int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.turns), p.busy
}
