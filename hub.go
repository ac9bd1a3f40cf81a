package wspulse

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/wspulse/server/internal/line"
	"github.com/wspulse/server/internal/wire"
)

const (
	callQueue = 2048 // calls that the hub queues before the next caller waits for it
	maxTurn   = 64   // of them that it serves before it looks at anything else
)

// A hub owns the rooms and the sessions of a server. Its goroutine, run, handles one event at a time and never blocks in
// doing so.
type hub struct {
	// Set at construction, then read-only.
	cfg     *serverConfig
	limited *limitedLog
	batches *wire.BatchPool
	bound   bound     // of all queues
	convoys sync.Pool // of empty *convoy
	start   time.Time
	watch   watch

	// None of these is ever closed. Unbuffered, so that the sender knows whether its socket or its link was taken.
	registrations chan registration
	departures    chan departure
	calls         chan call     // in the order of the calls
	reclaims      chan struct{} // of capacity 1: the queues hold more bytes than the budget

	quit chan struct{} // asks run to end; closed by the first stop
	done chan struct{} // run has ended; closed by run

	upgrades sync.WaitGroup // requests between beginUpgrade and endUpgrade; added to under mu
	links    sync.WaitGroup // links whose socket is not closed; added to by run
	queued   atomic.Int64   // bytes in all queues; counted if there is a budget

	// mu guards what follows. The hub goroutine, the one writer of the maps, reads them without it.
	mu        sync.RWMutex
	sessions  map[string]*session // by connectionID
	rooms     map[string]*room    // by roomID; none is empty
	admission admission
	stopping  bool

	// Owned by the hub goroutine.
	suspended *line.Line[session]   // the next to expire first: all windows are equal
	settling  *line.Line[candidate] // that wait until it is known whether a link departs
	beats     *line.Line[link]      // to ping
	silent    *line.Line[link]      // from which nothing has come since a ping
	jumped    time.Time             // when the hub was last late for a heartbeat
	turn      []call                // what serve has at hand
	frames    []*wire.Frame
}

// A call is what a caller asks for that has to take effect after the calls before it: a broadcast to a room, the end of a session, or
// a frame for one that must not overtake a broadcast.
type call struct {
	room    *room
	session *session
	frame   *wire.Frame
	ending  *ending
	reply   chan error // for a frame to a session; of capacity 1, never closed
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
		done:          make(chan struct{}),
		sessions:      make(map[string]*session),
		rooms:         make(map[string]*room),
		start:         time.Now(),
		suspended:     line.New(cfg.resumeWindow, func(s *session) *line.Place[session] { return &s.waiting }),
		settling:      line.New(settlePeriod, func(c *candidate) *line.Place[candidate] { return &c.place }),
		beats:         line.New(cfg.pingPeriod, func(l *link) *line.Place[link] { return &l.pulse.beat }),
		silent:        line.New(cfg.pongWait, func(l *link) *line.Place[link] { return &l.pulse.silence }),
	}
	h.watch.quit = h.done
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
			h.admit(r)
		case d := <-h.departures:
			h.depart(d)
		case r := <-h.calls:
			h.serve(r)
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
		case <-h.quit:
			h.shutDown()
			return
		}
	}
}

// broadcast queues a frame for a room's members.
func (h *hub) broadcast(r *room, f *wire.Frame) error {
	r.pending.Add(1)
	select {
	case h.calls <- call{room: r, frame: f}:
		return nil
	case <-h.done:
		return ErrServerClosed
	}
}

// sendInTurn queues a frame for a session behind the broadcasts that are queued already.
func (h *hub) sendInTurn(s *session, f *wire.Frame) error {
	reply := make(chan error, 1)
	select {
	case h.calls <- call{session: s, frame: f, reply: reply}:
	case <-h.done:
		return ErrConnectionClosed
	}
	select {
	case err := <-reply:
		return err
	case <-h.done:
	}
	select {
	case err := <-reply: // served before the hub ended
		return err
	default:
		return ErrConnectionClosed
	}
}

// endSession ends a session and waits until that is done.
func (h *hub) endSession(s *session, e *ending) {
	select {
	case h.calls <- call{session: s, ending: e}:
	case <-s.done:
	}
	<-s.done
}

// serve does what callers asked for: c, and what is queued behind it. Broadcasts to one room in a row are fanned out
// together, so that each member is visited, and its write pump woken, once for all of them.
func (h *hub) serve(c call) {
	h.turn = append(h.turn[:0], c)
	for more := true; more && len(h.turn) < maxTurn; {
		select {
		case c = <-h.calls:
			h.turn = append(h.turn, c)
		default:
			more = false
		}
	}
	for turn := h.turn; len(turn) > 0; {
		n := h.together(turn)
		switch c := turn[0]; {
		case c.room != nil:
			h.fanOut(c.room, h.frames)
			c.room.pending.Add(-int64(n))
		case c.ending != nil:
			h.end(c.session, c.ending, nil)
		case c.session.ended():
			c.reply <- ErrConnectionClosed
		default:
			c.reply <- c.session.offer(c.frame)
		}
		turn = turn[n:]
	}
	clear(h.turn)
	clear(h.frames[:cap(h.frames)])
}

// together says how many of the first calls are one fan-out, whose frames it puts into h.frames. They take an eighth of
// a member's buffer at the most.
func (h *hub) together(turn []call) (n int) {
	h.frames = h.frames[:0]
	most := max(1, h.cfg.sendBufferSize/8)
	for n < len(turn) && n < most && turn[n].room != nil && turn[n].room == turn[0].room {
		h.frames = append(h.frames, turn[n].frame)
		n++
	}
	return max(1, n)
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
	}
	<-h.done
	h.upgrades.Wait()
	h.links.Wait()
	if first {
		h.cfg.logger.Info("wspulse: server closed")
	}
	h.cfg.logs.wait(logPatience)
}

// shutDown serves what was asked for before stop, also what a full queue held up, and ends all sessions.
func (h *hub) shutDown() {
	h.suspended.Stop()
	h.settling.Stop()
	h.beats.Stop()
	h.silent.Stop()
	for served := true; served; {
		select {
		case r := <-h.calls:
			h.serve(r)
		default:
			served = false
		}
	}
	for _, s := range h.sessions {
		h.end(s, endServerClosed, ErrServerClosed)
	}
}
