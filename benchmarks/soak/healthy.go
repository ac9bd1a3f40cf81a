package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/wspulse/server/benchmarks/internal/clock"
)

const (
	dialers    = 16
	peerFrames = 4               // broadcasts for each frame to one peer alone
	sayEvery   = 2 * time.Second // a healthy peer says something
)

// A crowd is the healthy peers, and those who send.
type crowd struct {
	host     *host
	plan     plan
	rooms    []*room
	everyone []*account // the sick ones too
	healthy  []*account
	ages     ages
	random   *rand.Rand // owned by the producer

	links   []*link
	stop    context.CancelFunc
	senders sync.WaitGroup
}

// arrive connects all, waits until the server knows them, and starts the senders.
func (c *crowd) arrive() error {
	before := c.host.book.sessions()
	c.links = make([]*link, len(c.healthy))
	errs := make([]error, len(c.healthy))
	var dialing sync.WaitGroup
	for d := range dialers {
		dialing.Go(func() {
			for i := d; i < len(c.links); i += dialers {
				errs[i] = c.connect(i)
			}
		})
	}
	dialing.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if !await(patience, func() bool { return c.host.book.sessions() == before+int64(len(c.links)) }) {
		return errors.New("not all sessions have opened")
	}
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	c.senders.Go(func() { c.produce(ctx) })
	c.senders.Go(func() { c.chat(ctx) })
	return nil
}

func (c *crowd) connect(i int) error {
	a := c.healthy[i]
	l := newLink(a, c.host.book, numbers{a.room.seq, a.told, a.said})
	for i := range l.known {
		l.known[i] = true // nobody sends yet, so not even the first may be missing
	}
	l.ages = &c.ages
	if err := l.dial(context.Background(), c.host.url(a)); err != nil {
		return err
	}
	c.links[i] = l
	go l.listen()
	return nil
}

// produce broadcasts to one room after the other, and sends now and then to one peer. Frames carry the time when they were
// due, so that a call that was held up counts as a delay.
func (c *crowd) produce(ctx context.Context) {
	interval := time.Duration(float64(time.Second) / (c.plan.rate * float64(len(c.rooms))))
	timer := time.NewTimer(0)
	defer timer.Stop()
	due := clock.Now()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		c.broadcast(c.rooms[i%len(c.rooms)], due)
		if i%peerFrames == 0 {
			c.tell(c.everyone[i/peerFrames%len(c.everyone)], due)
		}
		due += int64(interval)
		timer.Reset(time.Duration(due - clock.Now()))
	}
}

func (c *crowd) broadcast(r *room, due int64) {
	r.seq++
	if err := c.host.Broadcast(r.id, frame(toRoom, r.seq, due, c.random)); err != nil {
		c.host.book.fault("%s: Broadcast: %v", r.id, err)
	}
}

func (c *crowd) tell(a *account, due int64) {
	if c.host.book.book(a, c.host.Send(a.id, frame(toPeer, a.told+1, due, c.random))) {
		a.told++
	}
}

// chat lets one healthy peer after the other say something.
func (c *crowd) chat(ctx context.Context) {
	tick := time.NewTicker(sayEvery / time.Duration(len(c.links)))
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		l := c.links[i%len(c.links)]
		if err := l.say(small); err != nil {
			c.host.book.fault("%s says: %v", l.account.id, err)
		}
	}
}

// depart stops the senders, waits until all have heard everything, and lets them say good-bye.
func (c *crowd) depart() {
	c.stop()
	c.senders.Wait()
	var leaving sync.WaitGroup
	for _, l := range c.links {
		leaving.Go(func() {
			if !await(patience, l.heardAll) {
				l.book.fault("%s, which is healthy, has heard up to %v of %v", l.account.id, l.numbers(), l.expected())
			}
			l.leave()
		})
	}
	leaving.Wait()
	c.links = nil
}

func (l *link) heardAll() bool { return l.numbers() == l.expected() }

// expected is what a healthy peer has heard in the end. Once nobody sends any more.
func (l *link) expected() numbers {
	a := l.account
	return numbers{a.room.seq, a.told, a.said}
}

func (l *link) numbers() (n numbers) {
	for i := range l.heard {
		n[i] = l.heard[i].Load()
	}
	return n
}

// await waits until something is so, and says whether it came to be in time.
func await(limit time.Duration, so func() bool) bool {
	for deadline := time.Now().Add(limit); !so(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}
