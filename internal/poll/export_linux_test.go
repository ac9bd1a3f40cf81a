//go:build !nopoll && !386 && !s390x

package poll

// Workers returns how many goroutines run handlers, or lead, and have not passed on.
func (p *Poller) Workers() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.workers)
}
