package wspulse

// convoySize is how many write pumps a fan-out starts on one goroutine.
const convoySize = 16

// A convoy is links whose write pumps run in turn on one goroutine: starting one for each costs a tenth of a small
// write. A pump that may have to wait passes the others on first, so nobody waits for another's peer. A nil convoy is a
// pump by itself.
type convoy struct {
	hub   *hub
	links []*link
	at    int    // the one whose pump runs
	start func() // run, so that starting it allocates nothing
}

// newConvoy returns an empty one, from the pool.
func (h *hub) newConvoy() *convoy {
	if c, ok := h.convoys.Get().(*convoy); ok {
		return c
	}
	c := &convoy{hub: h, links: make([]*link, 0, convoySize)}
	c.start = c.run
	return c
}

// add adds a link, if there is one, and returns the convoy for the next. It starts one that is full.
func (c *convoy) add(l *link) *convoy {
	if l == nil {
		return c
	}
	// Compressing may take its time, and a socket that can't say what it takes at once is waited for.
	if l.deflate || !l.socket.Eager() {
		l.start()
		return c
	}
	if c == nil {
		c = l.hub.newConvoy()
	}
	c.links = append(c.links, l)
	if len(c.links) < convoySize {
		return c
	}
	c.launch()
	return nil
}

// launch starts a convoy, if there is one.
func (c *convoy) launch() {
	if c != nil {
		go c.start()
	}
}

func (c *convoy) run() {
	for c.at = 0; c.at < len(c.links); c.at++ {
		c.links[c.at].writePump(c)
	}
	clear(c.links)
	c.links = c.links[:0]
	c.hub.convoys.Put(c)
}

// passOn gives the links behind the one whose pump runs to another goroutine.
func (c *convoy) passOn() {
	if c.last() {
		return
	}
	next := c.hub.newConvoy()
	next.links = append(next.links, c.links[c.at+1:]...)
	clear(c.links[c.at+1:])
	c.links = c.links[:c.at+1]
	next.launch()
}

func (c *convoy) last() bool { return c == nil || c.at == len(c.links)-1 }
