//go:build !nopoll && !386 && !s390x

package poll_test

import (
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/wspulse/server/internal/poll"
)

// A blocker is a connection whose handler waits until it is released.
type blocker struct {
	*reader
	peer    net.Conn
	entered chan *poll.Worker // of capacity 1
	release chan struct{}     // closed by the test
}

// block has the handler of a new connection wait.
func (w *world) block() *blocker {
	w.t.Helper()
	c, peer := w.connect()
	b := &blocker{peer: peer, entered: make(chan *poll.Worker, 1), release: make(chan struct{})}
	b.reader = w.read(c, func(worker *poll.Worker, _ []byte) {
		b.entered <- worker
		<-b.release
	})
	send(w.t, peer, "block")
	return b
}

// oneLeads wants that one goroutine waits for the kernel, that no other runs handlers, and no guard.
func (w *world) oneLeads() {
	w.t.Helper()
	eventually(w.t, "one goroutine leads", func() bool {
		return goroutines("poll.(*Worker).run") == 1 && w.poller.Workers() == 1
	})
	eventually(w.t, "the guard has ended", func() bool { return goroutines("poll.(*Poller).guard") == 0 })
}

// A handler that blocks costs the others nothing; it is told that it takes long, once.
func TestLead_HandlerBlocks(t *testing.T) {
	w := newWorld(t)
	e := w.echo()
	b := w.block()
	worker := receive(t, "the handler runs", b.entered)
	for range 100 {
		e.sync()
	}
	eventually(t, "the handler is overdue", func() bool { return b.overdue.Load() == 1 })
	if worker.Guarded() {
		t.Error("guarded, though it is overdue")
	}
	for range 5 { // each of which the guard looks at
		next := w.block()
		receive(t, "the next handler runs", next.entered)
		eventually(t, "the next handler is overdue", func() bool { return next.overdue.Load() == 1 })
		close(next.release)
	}
	close(b.release)
	w.oneLeads()
	if n := b.overdue.Load(); n != 1 {
		t.Errorf("told %d times that it takes long", n)
	}
	e.sync()
}

// As many handlers as one likes may block at a time.
func TestLead_ManyHandlersBlock(t *testing.T) {
	w := newWorld(t)
	e := w.echo()
	var blockers []*blocker
	for range 20 {
		b := w.block()
		receive(t, "the handler runs", b.entered)
		e.sync()
		blockers = append(blockers, b)
	}
	for _, b := range blockers {
		close(b.release)
	}
	w.oneLeads()
	e.sync()
}

// A handler that is about to wait lets others go on at once, and is not told that it takes long.
func TestLead_HandlerPassesOn(t *testing.T) {
	w := newWorld(t)
	e := w.echo()
	c, peer := w.connect()
	passed, release := make(chan bool), make(chan struct{})
	r := w.read(c, func(worker *poll.Worker, _ []byte) {
		worker.PassOn()
		worker.PassOn()
		passed <- !worker.Guarded()
		<-release
	})
	send(t, peer, "block")
	if !receive(t, "the handler has passed on", passed) {
		t.Error("guarded, though it has passed on")
	}
	e.sync()
	b := w.block() // the guard looks at both
	eventually(t, "the other handler is overdue", func() bool { return b.overdue.Load() == 1 })
	if n := r.overdue.Load(); n > 0 {
		t.Errorf("told %d times that it takes long", n)
	}
	close(release)
	close(b.release)
	w.oneLeads()
}

// What a worker has had ready goes over to the next one while that one already takes what is new: nothing of it is lost.
func TestLead_PassesOnWhatIsReady(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(8))
	const conns, words = 40, 3000
	w := newWorld(t)
	var done sync.WaitGroup
	for i := range conns {
		c, peer := w.connect()
		w.read(c, func(worker *poll.Worker, p []byte) {
			worker.PassOn()
			_, _ = c.Write(p)
		})
		e := &echo{peer: peer}
		done.Go(func() {
			for n := range words {
				if err := e.try("word"); err != nil {
					t.Errorf("connection %d, word %d: %v", i, n, err)
					return
				}
			}
		})
	}
	done.Wait()
	w.oneLeads()
}

// A handler may end its goroutine: another one leads.
func TestLead_Goexit(t *testing.T) {
	w := newWorld(t)
	e := w.echo()
	for range 20 {
		c, peer := w.connect()
		exits := make(chan struct{})
		w.read(c, func(*poll.Worker, []byte) {
			defer close(exits)
			runtime.Goexit()
		})
		send(t, peer, "exit")
		receive(t, "the handler runs", exits)
		e.sync()
	}
	w.oneLeads()
}

// The same of a handler that others do not wait for any more, and of one that has passed on.
func TestLead_GoexitLate(t *testing.T) {
	w := newWorld(t)
	e := w.echo()
	c, peer := w.connect()
	release := make(chan struct{})
	r := w.read(c, func(*poll.Worker, []byte) {
		<-release
		runtime.Goexit()
	})
	send(t, peer, "exit")
	eventually(t, "the handler is overdue", func() bool { return r.overdue.Load() == 1 })
	close(release)
	w.oneLeads()
	e.sync()
}

// What is ready behind a handler that ends its goroutine, or blocks, is run by another one.
func TestLead_WhatIsReadyBehind(t *testing.T) {
	for name, stop := range map[string]func(release chan struct{}){
		"blocks": func(release chan struct{}) { <-release },
		"Goexit": func(chan struct{}) { runtime.Goexit() },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			release := make(chan struct{})
			var stopped atomic.Int64
			var others, stoppers []net.Conn
			for range 10 {
				others = append(others, w.echo().peer)
				c, peer := w.connect()
				stoppers = append(stoppers, peer)
				w.read(c, func(*poll.Worker, []byte) {
					stopped.Add(1)
					stop(release)
				})
			}
			resume, unguard := w.holdLead()
			for i := range others {
				send(t, stoppers[i], "stop")
				send(t, others[i], "go on")
			}
			resume()
			unguard()
			for _, peer := range others {
				hear(t, peer, "go on")
			}
			eventually(t, "all handlers have run", func() bool { return stopped.Load() == 10 })
			close(release)
			w.oneLeads()
		})
	}
}

// The kernel ends a read before urgent data, which nobody wants. What comes behind it is read all the same.
func TestLead_UrgentData(t *testing.T) {
	w := newWorld(t)
	e := w.echo()
	raw, err := e.peer.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	resume, unguard := w.holdLead()
	send(t, e.peer, "before")
	if controlErr := raw.Control(func(fd uintptr) {
		err = syscall.Sendto(int(fd), []byte("!"), syscall.MSG_OOB, nil)
	}); err != nil || controlErr != nil {
		t.Fatal(err, controlErr)
	}
	send(t, e.peer, "behind")
	resume()
	hear(t, e.peer, "beforebehind")
	unguard()
}

// Where much is ready at once other goroutines help, and nothing is lost.
func TestLead_ManyEvents(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(8))
	const conns, rounds = 120, 5
	w := newWorld(t)
	var (
		mu         sync.Mutex
		met        = make(chan struct{}) // closed when two handlers run at once
		in, missed int
		peers      []net.Conn
		readers    []*reader
	)
	for range conns {
		c, peer := w.connect()
		peers = append(peers, peer)
		readers = append(readers, w.read(c, func(_ *poll.Worker, p []byte) {
			mu.Lock()
			meeting := met
			if in++; in == 2 {
				close(met)
			}
			mu.Unlock()
			select {
			case <-meeting:
			case <-time.After(time.Second):
				mu.Lock()
				missed++
				mu.Unlock()
			}
			_, _ = c.Write(p)
		}))
	}
	for round := range rounds {
		mu.Lock()
		met, in = make(chan struct{}), 0
		mu.Unlock()
		resume, unguard := w.holdLead()
		word := fmt.Sprint("round ", round)
		for _, peer := range peers {
			send(t, peer, word)
		}
		resume()
		for _, peer := range peers {
			hear(t, peer, word)
		}
		unguard()
	}
	if missed > 0 {
		t.Errorf("%d times nobody helped", missed)
	}
	w.oneLeads()
	for i, r := range readers {
		if n := r.told.Load() - 1; n != rounds { // beside the test's own call
			t.Errorf("connection %d: told %d times, of %d words", i, n, rounds)
		}
	}
}

// holdLead keeps the one who leads and the guard busy: no event is taken before resume, and nobody is overdue before
// unguard.
func (w *world) holdLead() (resume, unguard func()) {
	w.t.Helper()
	guard := &guardBlocker{blocker: &blocker{release: make(chan struct{})}, held: make(chan struct{})}
	c, peer := w.connect()
	guard.reader = &reader{t: w.t, conn: c, take: func(*poll.Worker, []byte) { <-guard.release }, ended: make(chan error, 1)}
	c.Handle(guard)
	guard.begin()
	guard.readOn(nil)
	send(w.t, peer, "hold the guard")
	receive(w.t, "the guard is held", guard.held)
	lead := w.block()
	receive(w.t, "the one who leads is held", lead.entered)
	return func() { close(lead.release) }, func() { close(guard.release) }
}

// A guardBlocker keeps the guard in Overdue too.
type guardBlocker struct {
	*blocker
	held chan struct{} // closed by Overdue
}

func (g *guardBlocker) Overdue() {
	close(g.held)
	<-g.release
}

// A poller that has adopted nothing, or nothing any more, leaves nothing behind.
func TestPoller_Close(t *testing.T) {
	for range 50 {
		newWorld(t).tearDown()
	}
	w := newWorld(t)
	e := w.echo()
	b := w.block()
	receive(t, "the handler runs", b.entered)
	e.sync()
	_ = e.conn.Close()
	_ = b.conn.Close()
	w.poller.Close()
	eventually(t, "nobody leads", func() bool { return goroutines("poll.(*Worker).run") == 1 }) // the handler
	close(b.release)
}
