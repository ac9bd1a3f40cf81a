package wspulse

import (
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/wspulse/server/internal/ask"
	"github.com/wspulse/server/internal/line"
	"github.com/wspulse/server/internal/poll"
	"github.com/wspulse/server/internal/wire"
)

const (
	callQueue = 2048 // calls that the hub queues before the next caller waits for it
	maxEvents = 64   // events of another kind that it handles between two fan-outs
)

// A hub owns the rooms and the sessions of a server. Its goroutine, run, handles one event at a time and never blocks
// in doing so. Fan-outs, which may be long, are done in slices between events; see fanout.go.
type hub struct {
	// Set at construction, then read-only.
	cfg     *serverConfig
	server  Server
	limited *limitedLog
	batches *wire.BatchPool
	bound   bound // of all queues
	crew    crew
	readers sync.Pool // of *wire.Reader that hold nothing
	stalls  stalls    // of who reads for the poller
	roster  *roster   // of WithPresence; nil without it
	start   time.Time
	watch   watch

	toAll sync.Mutex // held by a broadcast to all rooms while it waits for them: two could wait for each other

	poller     atomic.Pointer[poll.Poller] // of the links that can be parked; made when there is one
	requestIDs ask.IDs                     // of all sessions; begun: replies are looked for

	// None of these is ever closed. Unbuffered, so that the sender knows whether its socket or its link was taken.
	registrations chan registration
	departures    chan departure
	calls         chan call     // in the order of the calls
	reclaims      chan struct{} // of capacity 1: the queues hold more bytes than the budget

	quit     chan struct{} // no more is taken on; closed by the first stop
	lastCall chan struct{} // asks run to end: all calls that there will be are in calls; closed by the first stop
	done     chan struct{} // run has ended; closed by run

	callers  sync.WaitGroup // between beginCall and endCall; added to under mu
	upgrades sync.WaitGroup // requests between beginUpgrade and endUpgrade; added to under mu
	links    sync.WaitGroup // links whose socket is not closed; added to by run

	callbacks sync.WaitGroup // sessions whose last callback has not returned, and the roster; added to by run
	queued    atomic.Int64   // bytes in all queues; counted if there is a budget

	// mu guards what follows. The hub goroutine, the one writer of the maps, reads them without it.
	mu        sync.RWMutex
	sessions  map[string]*session // by connectionID
	rooms     map[string]*room    // by roomID; none is empty
	users     map[string]*user    // by Details.UserID; none is empty
	admission admission
	stopping  bool

	// Owned by the hub goroutine.
	suspended *line.Line[session]   // the next to expire first: all windows are equal
	settling  *line.Line[candidate] // that wait until it is known whether a link departs
	beats     *line.Line[link]      // to ping
	silent    *line.Line[link]      // from which nothing has come since a ping
	expiries  expiries              // of sessions that have a time to end
	graves    graveyard             // of sessions that spoke wspulse.v1
	jumped    time.Time             // when the hub was last late for a heartbeat
	reclaimAt time.Time             // before that there is nothing to reclaim
	place     uint64                // of the latest broadcast among those of all rooms
	fresh     roomQueue             // rooms with broadcasts to fan out that had none before
	busy      roomQueue             // those that were not through after a slice
	woken     [maxVisits]*link      // of fanOut
	placed    []placed              // of handAll, as is
	gathered  []*wire.Frame
}

// A call is what a caller asks for that has to take effect after the calls before it: a broadcast to a room, or do.
type call struct {
	room      *room
	frame     *wire.Frame
	exceptIDs []string
	do        func() // nil for a broadcast
}

func newHub(cfg *serverConfig) *hub {
	h := &hub{
		cfg:           cfg,
		limited:       newLimitedLog(cfg.logger),
		batches:       wire.NewBatchPool(cfg.writeBufferSize),
		registrations: make(chan registration),
		departures:    make(chan departure),
		calls:         make(chan call, callQueue),
		reclaims:      make(chan struct{}, 1),
		quit:          make(chan struct{}),
		lastCall:      make(chan struct{}),
		done:          make(chan struct{}),
		sessions:      make(map[string]*session),
		rooms:         make(map[string]*room),
		users:         make(map[string]*user),
		start:         time.Now(),
		suspended:     line.New(cfg.resumeWindow, func(s *session) *line.Place[session] { return &s.waiting }),
		settling:      line.New(settlePeriod, func(c *candidate) *line.Place[candidate] { return &c.place }),
		beats:         line.New(cfg.pingPeriod, func(l *link) *line.Place[link] { return &l.pulse.beat }),
		silent:        line.New(cfg.pongWait, func(l *link) *line.Place[link] { return &l.pulse.silence }),
	}
	h.graves = newGraveyard()
	h.expiries = newExpiries()
	h.crew = newCrew(h.batches)
	h.readers.New = func() any { return wire.NewReader(cfg.readBufferSize) }
	h.watch.quit = h.done
	if cfg.presence != nil {
		h.roster = newRoster(h)
		h.callbacks.Add(1)
		go h.roster.run()
	}
	h.admission.byKey = make(map[string]int)
	h.bound = bound{frames: cfg.sendBufferSize, bytes: cfg.sendBufferBytes}
	if cfg.memoryBudget > 0 {
		h.bound.total = &h.queued
	}
	return h
}

// run is the hub goroutine.
func (h *hub) run() {
	defer close(h.done)
	for {
		select {
		case r := <-h.registrations:
			h.arrive(r)
		case d := <-h.departures:
			h.depart(d)
		case c := <-h.calls:
			h.serve(c)
		case <-h.reclaims:
			h.reclaim()
		case <-h.suspended.C():
			h.expire(time.Now())
		case <-h.settling.C():
			h.settle(time.Now())
		case <-h.beats.C():
			h.ping(time.Now())
		case <-h.silent.C():
			h.giveUp(time.Now())
		case <-h.graves.line.C():
			h.graves.expire(time.Now())
		case <-h.expiries.timer.C:
			h.endDue(time.Now())
		case <-h.lastCall:
			h.shutDown()
			return
		}
		for h.hasBacklog() {
			h.handleEvents()
			h.fanOut()
		}
	}
}

// handleEvents handles the events that are there: all calls, and so many of each other kind. The last call is not among
// them: what was accepted before it is fanned out first.
func (h *hub) handleEvents() {
	each(h.calls, len(h.calls), h.serve)
	each(h.registrations, maxEvents, h.arrive)
	each(h.departures, maxEvents, h.depart)
	each(h.reclaims, 1, func(struct{}) { h.reclaim() })
	each(h.suspended.C(), 1, func(time.Time) { h.expire(time.Now()) })
	each(h.settling.C(), 1, func(time.Time) { h.settle(time.Now()) })
	each(h.beats.C(), 1, func(time.Time) { h.ping(time.Now()) })
	each(h.silent.C(), 1, func(time.Time) { h.giveUp(time.Now()) })
	each(h.graves.line.C(), 1, func(time.Time) { h.graves.expire(time.Now()) })
	each(h.expiries.timer.C, 1, func(time.Time) { h.endDue(time.Now()) })
}

// each handles what is in a channel, n at the most.
func each[T any](c <-chan T, n int, handle func(T)) {
	for range n {
		select {
		case v := <-c:
			handle(v)
		default:
			return
		}
	}
}

// serve does what a caller asked for, or has the room do it in its turn.
func (h *hub) serve(c call) {
	switch {
	case c.do != nil:
		c.do()
	case len(c.exceptIDs) > 0:
		h.acceptExcept(c.room, c.frame, c.exceptIDs)
	default:
		h.accept(c.room, c.frame)
	}
}

// beginCall says whether a call may still be made. One that has begun is served before the hub ends.
func (h *hub) beginCall() bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.stopping {
		return false
	}
	h.callers.Add(1)
	return true
}

// endCall ends what beginCall began: the call is in the queue.
func (h *hub) endCall() { h.callers.Done() }

// ask has the hub run fn behind the calls before it, and waits for that. It returns false, and fn is not run, where the
// server is closed.
func (h *hub) ask(fn func()) bool {
	if !h.beginCall() {
		return false
	}
	done := make(chan struct{})
	h.calls <- call{do: func() {
		fn()
		close(done)
	}}
	h.endCall()
	<-done
	return true
}

// broadcast queues a frame for a room's members, but for those. It waits while the room has as many broadcasts as it
// may have.
func (h *hub) broadcast(r *room, f *wire.Frame, exceptIDs ...string) error {
	if !h.beginCall() {
		return ErrServerClosed
	}
	defer h.endCall()
	if !h.awaitRoom(r) {
		return ErrServerClosed
	}
	h.calls <- call{room: r, frame: f, exceptIDs: slices.Clone(exceptIDs)} // the caller may reuse them
	return nil
}

// broadcastAll queues a frame for the members of all rooms. It waits while one of them has as many broadcasts as it may
// have.
func (h *hub) broadcastAll(f *wire.Frame) error {
	if !h.beginCall() {
		return ErrServerClosed
	}
	defer h.endCall()
	h.toAll.Lock()
	defer h.toAll.Unlock()
	rooms := h.allRooms()
	for _, r := range rooms {
		if !h.awaitRoom(r) {
			return ErrServerClosed // and nobody minds what has been counted already
		}
	}
	h.calls <- call{do: func() { h.acceptAll(rooms, f) }}
	return nil
}

// awaitRoom counts a broadcast to a room that is about to be accepted. It waits while there are too many, and returns
// false where the server is closed meanwhile.
func (h *hub) awaitRoom(r *room) bool {
	if r.count() {
		return true
	}
	select {
	case r.pending <- struct{}{}:
		return true
	case <-h.quit:
		return false
	}
}

// sendInTurn queues a frame for a session behind the broadcasts that are queued already.
func (h *hub) sendInTurn(s *session, f *wire.Frame) error {
	var err error
	asked := h.ask(func() {
		h.catchUp(s)
		err = s.offer(f)
	})
	if !asked {
		s.done.wait()
		return ErrConnectionClosed
	}
	return err
}

// isConnected says whether a session is connected, and its peer has not left, as far as is known.
func (h *hub) isConnected(connectionID string) (connected bool) {
	h.ask(func() {
		s := h.sessions[connectionID]
		connected = s != nil && s.link != nil && !h.departs(s.link)
	})
	return connected
}

// endSession ends a session and waits until that is done.
func (h *hub) endSession(s *session, e *ending) {
	if !s.ended() && h.beginCall() {
		h.calls <- call{do: func() { h.end(s, e, nil) }}
		h.endCall()
	}
	s.done.wait()
}

// stop ends all sessions and waits for the hub, the upgrades and the write pumps to end. The first call logs it. What
// has been logged is then written, unless the sink is slow.
func (h *hub) stop() {
	h.mu.Lock()
	first := !h.stopping
	h.stopping = true
	h.mu.Unlock()
	if first {
		close(h.quit)
		h.callers.Wait()
		close(h.lastCall)
	}
	<-h.done
	h.upgrades.Wait()
	h.links.Wait()
	if first {
		h.closePoller()
		h.cfg.logger.Info("wspulse: server closed")
	}
	h.cfg.logs.wait(logPatience)
}

// shutDown serves the calls that are left, and ends all sessions.
func (h *hub) shutDown() {
	h.suspended.Stop()
	h.settling.Stop()
	h.beats.Stop()
	h.silent.Stop()
	defer h.graves.line.Stop()    // the calls may bury some,
	defer h.expiries.timer.Stop() // or say when one is to end
	each(h.calls, len(h.calls), h.serve)
	for h.hasBacklog() {
		h.fanOut()
	}
	for _, s := range h.sessions {
		h.end(s, endServerClosed, ErrServerClosed)
	}
}

// adopt takes a connection over from the runtime's poller, if it can be parked.
func (h *hub) adopt(conn net.Conn) net.Conn {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return conn
	}
	poller, err := h.openPoller()
	if err == nil {
		var polled *poll.Conn
		if polled, err = poller.Adopt(tcp); err == nil {
			return polled
		}
	}
	if !errors.Is(err, errors.ErrUnsupported) {
		h.limited.Warn("wspulse: connection can't be parked; it costs a goroutine and a buffer", zap.Error(err))
	}
	return conn
}

// openPoller returns the poller, which is made for the first connection.
func (h *hub) openPoller() (p *poll.Poller, err error) {
	if p = h.poller.Load(); p != nil {
		return p, nil
	}
	if p, err = poll.New(); err != nil || h.poller.CompareAndSwap(nil, p) {
		return p, err
	}
	p.Close() // another connection was first
	return h.poller.Load(), nil
}

// closePoller is called when there are no connections any more, and will be none.
func (h *hub) closePoller() {
	if p := h.poller.Load(); p != nil {
		p.Close()
	}
}
