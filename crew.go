package wspulse

import (
	"runtime"
	"sync"

	"github.com/wspulse/server/internal/wire"
)

// A crew writes what waits in outboxes, for links whose sockets say what they take at once: a few goroutines that take
// the links in the order in which they became ready, write as much of each as goes out without waiting, and put one
// that has more at the end. To start a goroutine for each write would cost more than a small write does.
type crew struct {
	batches *wire.BatchPool // set at construction, then read-only, as is
	most    int             // goroutines

	mu    sync.Mutex  // guards what follows; a leaf
	ready queue[link] // whose pumps are to run
	out   int         // goroutines that run
}

const crewTakes = 64 // links that a goroutine takes at once

func newCrew(batches *wire.BatchPool) crew {
	return crew{batches: batches, most: max(1, runtime.GOMAXPROCS(0)/2)}
}

// add has the write pumps of links run.
func (c *crew) add(links ...*link) {
	c.mu.Lock()
	for _, l := range links {
		c.ready.push(l)
	}
	waiting := c.ready.len()
	hire := waiting > 0 && (c.out == 0 || c.out < c.most && waiting > crewTakes)
	if hire {
		c.out++
	}
	c.mu.Unlock()
	if hire {
		go c.run()
	}
}

// run writes until nobody is ready.
func (c *crew) run() {
	batch := c.batches.Get(false, false)
	defer c.batches.Put(batch)
	var mine, more [crewTakes]*link
	for n := c.take(mine[:]); n > 0; n = c.take(mine[:]) {
		again := more[:0]
		for _, l := range mine[:n] {
			if l.writeReady(batch) {
				again = append(again, l)
			}
		}
		if len(again) > 0 {
			c.add(again...)
		}
	}
}

// take takes the links that have been ready for longest. Without any the goroutine is one of the crew no more.
func (c *crew) take(links []*link) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for ; n < len(links) && c.ready.len() > 0; n++ {
		links[n] = c.ready.pop()
	}
	if n == 0 {
		c.out--
	}
	return n
}
