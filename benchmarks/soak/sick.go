package main

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wspulse/server/wstest"
)

// A ward is the sick peers. Each suffers from one ailment after the other.
type ward struct {
	host  *host
	plan  plan
	sick  []*account
	quiet []*account // of the same peers, in the quiet room

	stop     context.CancelFunc
	running  sync.WaitGroup
	suffered []atomic.Int64 // how often, by ailment
}

// arrive lets the sick peers come, over a while.
func (w *ward) arrive(seed uint64, over time.Duration) {
	ctx, stop := context.WithCancel(context.Background())
	w.stop = stop
	for i, a := range w.sick {
		p := &sickPeer{ward: w, ctx: ctx, account: a, random: rand.New(rand.NewPCG(seed, uint64(i)))} //nolint:gosec // no secret
		p.quiet = &sickPeer{ward: w, ctx: ctx, account: w.quiet[i], random: p.random}
		w.running.Go(func() { p.run(over) })
	}
	pause := max(10*time.Second/time.Duration(len(w.sick)), 10*time.Millisecond)
	w.running.Go(func() { w.host.operate(ctx, w.sick, pause) })
}

// depart cuts all off.
func (w *ward) depart() {
	w.stop()
	w.running.Wait()
}

// A sickPeer is a peer, and its network. All of it belongs to its own goroutine.
type sickPeer struct {
	ward    *ward
	ctx     context.Context // ends with the ward
	account *account
	random  *rand.Rand
	heard   numbers   // on all links
	quiet   *sickPeer // this one by another name, in the quiet room; nil if it is there
}

func (p *sickPeer) run(over time.Duration) {
	p.sleep(p.between(0, over))
	for i := p.random.IntN(len(ailments)); p.ctx.Err() == nil; i = p.random.IntN(len(ailments)) {
		p.ward.suffered[i].Add(1)
		ailments[i].suffer(p)
		p.rest()
	}
}

// rest stays away: mostly for less than the resume window, so that the session goes on, and at times for longer.
func (p *sickPeer) rest() {
	window := p.ward.plan.window
	switch n := p.random.IntN(10); {
	case n < 4:
		p.sleep(p.between(0, window/20))
	case n < 8:
		p.sleep(p.between(0, window))
	default:
		p.sleep(window + p.between(0, window/2))
	}
}

// sleep waits, or until the ward closes.
func (p *sickPeer) sleep(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.ctx.Done():
	}
}

func (p *sickPeer) between(a, b time.Duration) time.Duration {
	return a + time.Duration(p.random.Int64N(int64(b-a)+1))
}

// dial opens a WebSocket. It returns nil when that does not succeed, as it may with faults.
func (p *sickPeer) dial(up, down wstest.Faults, configure ...func(*link)) *link {
	l := newLink(p.account, p.ward.host.book, p.heard)
	for _, change := range configure {
		change(l)
	}
	if l.dialThrough(p.ctx, p.ward.host.url(p.account), up, down) != nil {
		return nil
	}
	go l.listen()
	return l
}

// dialWell is dial without faults, which succeeds.
func (p *sickPeer) dialWell() *link {
	l := p.dial(wstest.Faults{}, wstest.Faults{})
	if l == nil && p.ctx.Err() == nil {
		l = p.dial(wstest.Faults{}, wstest.Faults{}) // an overtaxed machine may have been too slow
		if l == nil && p.ctx.Err() == nil {
			p.ward.host.book.fault("%s cannot connect twice in a row, without any faults", p.account.id)
		}
	}
	return l
}

// stay keeps a link for a while, if it lasts, and says something now and then.
func (p *sickPeer) stay(l *link, d time.Duration) {
	over := time.NewTimer(d)
	defer over.Stop()
	tick := time.NewTicker(p.between(200*time.Millisecond, 2*time.Second))
	defer tick.Stop()
	for {
		select {
		case <-l.done:
			return
		case <-p.ctx.Done():
			return
		case <-over.C:
			return
		case <-tick.C:
			_ = l.say(small) // it may be broken
		}
	}
}

// part ends links, in the way of drop, and remembers what has been heard.
func (p *sickPeer) part(links ...*link) {
	for _, l := range links {
		if l == nil {
			continue
		}
		l.drop()
		for i, n := range l.numbers() {
			p.heard[i] = max(p.heard[i], n)
		}
	}
}
