package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/wspulse/server/benchmarks/internal/bench"
)

const (
	spareFiles = 200
	settleTime = 15 * time.Second // that the last connections get to be over with, after the resume window

	// What a server has in use without any connections: the hub, http.Server.Serve, and who waits for connections once
	// there has been one; the listener.
	hostGoroutines, hostSockets = 3, 1
)

// The phases.
const (
	warmUp       = "warm-up"
	healthyAlone = "healthy"
	faultsToo    = "faults"
)

// A world is a run and all its parts.
type world struct {
	plan  plan
	book  *ledger
	host  *host
	crowd *crowd
	ward  *ward
	table *table
	watch *watchman

	bare, start, left, closed usage // before anybody came, after the warm-up, after all have gone, and after Server.Close
	baseline, faults          spell
}

// soak runs the plan, and writes the table and the verdict.
func soak(p plan, out io.Writer) error {
	if err := bench.CheckFiles(2*(p.healthy+2*p.sick) + spareFiles); err != nil { // twins have two
		return err
	}
	w, err := newWorld(p, out)
	if err != nil {
		return err
	}
	defer w.end()
	fmt.Fprintf(out, "%v, %d healthy and %d sick connections in %d rooms, %g broadcasts a second in each, seed %d\n\n",
		p.length, p.healthy, p.sick, p.rooms(), p.rate, p.seed)
	if err := w.run(); err != nil {
		return err
	}
	return w.conclude(out)
}

// conclude writes the verdict and, if that is good and somebody wants it, the plot.
func (w *world) conclude(out io.Writer) error {
	if err := w.report(out); err != nil {
		return err
	}
	if w.plan.plot == "" {
		return nil
	}
	return w.table.draw(w.plan.plot)
}

func (w *world) end() {
	w.host.stop()
	w.watch.leave()
}

func newWorld(p plan, out io.Writer) (*world, error) {
	w := &world{plan: p, book: newLedger(p)}
	healthy := w.book.open(p.healthy, "healthy-", false, w.book.list...)
	sick := w.book.open(p.sick, "sick-", true, w.book.list...)
	quiet := w.book.open(p.sick, "quiet-", true, w.book.quiet)
	var err error
	if w.host, err = startHost(p, w.book); err != nil {
		return nil, err
	}
	w.crowd = &crowd{host: w.host, plan: p, rooms: w.book.list, healthy: healthy, everyone: append(healthy[:len(healthy):len(healthy)], sick...),
		random: rand.New(rand.NewPCG(p.seed, 1))} //nolint:gosec // no secret
	w.ward = &ward{host: w.host, plan: p, sick: sick, quiet: quiet, suffered: make([]atomic.Int64, len(ailments))}
	w.table, w.watch = newTable(w, out), startWatchman()
	w.bare, err = measure()
	w.bare.goroutines++ // there has been no connection
	return w, err
}

// run is the three phases, and the settling between them and after them.
func (w *world) run() (err error) {
	if err := w.crowd.arrive(); err != nil {
		return err
	}
	w.ward.arrive(w.plan.seed+1, w.plan.warmUp()/4)
	var unused spell
	if err := w.table.watch(warmUp, w.plan.warmUp(), &unused); err != nil {
		return err
	}
	w.ward.depart()
	w.crowd.depart()
	if w.start, err = w.settle(w.bare); err != nil {
		return err
	}

	if err := w.crowd.arrive(); err != nil {
		return err
	}
	if err := w.table.watch(healthyAlone, w.plan.baseline(), &w.baseline); err != nil {
		return err
	}
	w.ward.arrive(w.plan.seed+2, w.plan.faults()/20)
	if err := w.table.watch(faultsToo, w.plan.faults(), &w.faults); err != nil {
		return err
	}
	w.ward.depart()
	w.crowd.depart()
	if w.left, err = w.settle(w.bare); err != nil {
		return err
	}
	w.host.stop()
	w.closed, err = w.settle(usage{goroutines: w.bare.goroutines - hostGoroutines, sockets: w.bare.sockets - hostSockets})
	return err
}

// settle waits until no session is left and no more is in use than should be, but not for ever, and returns what is.
// Nothing is collected meanwhile: a collection closes sockets that nobody holds any more, and so hides that nobody closed them.
func (w *world) settle(want usage) (now usage, err error) {
	percent := debug.SetGCPercent(-1)
	defer debug.SetGCPercent(percent)
	await(w.plan.window+settleTime, func() bool {
		now, err = measure()
		return err != nil || w.book.sessions() == 0 && w.host.ended.Load() == w.book.closed.Load() &&
			now.goroutines <= want.goroutines && now.sockets <= want.sockets
	})
	if err == nil {
		now.heap = liveHeap()
	}
	return now, err
}
