package wspulse

import (
	"container/list"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/wspulse/server/internal/wire"
)

const (
	requestQueue = 2048 // broadcasts and other requests that the hub queues before the next caller waits for it
	maxTurn      = 64   // of them that it serves before it looks at anything else
)

// A hub owns the rooms and the sessions of a server. Its goroutine, run, handles one event at a time and never blocks in
// doing so.
type hub struct {
	// Set at construction, then read-only.
	cfg     *serverConfig
	limited *zap.Logger // one line a second for each message
	batches *wire.BatchPool
	bound   bound     // of all queues
	convoys sync.Pool // of empty *convoy

	// None of these is ever closed. Unbuffered, so that the sender knows whether its socket or its link was taken.
	registrations chan registration
	departures    chan departure
	requests      chan request  // in the order of the calls
	reclaims      chan struct{} // of capacity 1: the queues hold more bytes than the budget

	quit chan struct{} // asks run to end; closed by the first stop
	done chan struct{} // run has ended; closed by run

	upgrades sync.WaitGroup // requests between enter and exit; added to under mu
	links    sync.WaitGroup // links whose socket is not closed; added to by run
	queued   atomic.Int64   // bytes in all queues; counted if there is a budget

	// mu guards what follows. The hub goroutine, the one writer of the maps, reads them without it.
	mu        sync.RWMutex
	sessions  map[string]*session // by connectionID
	rooms     map[string]*room    // by roomID; none is empty
	admission admission
	stopping  bool

	// Owned by the hub goroutine.
	line      *list.List  // of suspended sessions, the next to expire first: all windows are equal
	timer     *time.Timer // of line
	beats     *list.List  // of links, the next to ping first: all periods are equal
	beatTimer *time.Timer // of beats
	turn      []request   // what serve has at hand
	frames    []*wire.Frame
}

// A room is its members. The hub destroys it with the last one; a room of that name is then a new room.
type room struct {
	id      string
	members []*session   // guarded by hub.mu
	pending atomic.Int64 // broadcasts that were accepted and are not fanned out yet
}

// A registration is a WebSocket that has been opened.
type registration struct {
	roomID, connectionID string
	seat                 seat
	link                 *link
}

// A departure is a link whose pumps use the session no more.
type departure struct {
	link *link
	err  error // nil for a clean close
}

// A request is a call that has to take effect after the calls before it: a broadcast to a room, the end of a session, or
// a frame for one that must not overtake a broadcast.
type request struct {
	room    *room
	session *session
	frame   *wire.Frame
	ending  *ending
	reply   chan error // for a frame to a session; of capacity 1, never closed
}

func newHub(cfg *serverConfig) *hub {
	h := &hub{
		cfg: cfg,
		limited: cfg.logger.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
			return zapcore.NewSamplerWithOptions(core, time.Second, 1, 0)
		})),
		batches:       wire.NewBatchPool(cfg.writeBufferSize),
		registrations: make(chan registration),
		departures:    make(chan departure),
		requests:      make(chan request, requestQueue),
		reclaims:      make(chan struct{}, 1),
		quit:          make(chan struct{}),
		done:          make(chan struct{}),
		sessions:      make(map[string]*session),
		rooms:         make(map[string]*room),
		line:          list.New(),
		timer:         time.NewTimer(0),
		beats:         list.New(),
		beatTimer:     time.NewTimer(0),
	}
	h.timer.Stop()
	h.beatTimer.Stop()
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
		case r := <-h.requests:
			h.serve(r)
		case <-h.reclaims:
			h.reclaim()
		case <-h.timer.C:
			h.expire(time.Now())
		case <-h.beatTimer.C:
			h.ping(time.Now())
		case <-h.quit:
			h.shutDown()
			return
		}
	}
}

// admit opens a session, resumes the one that waits for its peer, or replaces the one that is connected.
func (h *hub) admit(r registration) {
	s := h.sessions[r.connectionID]
	if s != nil && s.link == nil {
		h.giveUp(r.seat)
		h.resume(s, r.link)
		return
	}
	if full := h.claim(r.seat, s); full != "" {
		h.turnAway(r, full)
		return
	}
	if s != nil {
		h.end(s, replaced, ErrDuplicateConnectionID)
	}
	h.open(r)
}

func (h *hub) open(r registration) {
	s := &session{
		hub:      h,
		id:       r.connectionID,
		key:      r.seat.key,
		openedAt: time.Now(),
		done:     make(chan struct{}),
	}
	if h.join(s, r.roomID) {
		h.cfg.metrics.RoomCreated(r.roomID)
	}
	h.cfg.metrics.ConnectionOpened(r.roomID, s.id)
	h.cfg.logger.Debug("wspulse: session opened", s.field())
	h.start(s, r.link, "OnConnect", h.cfg.onConnect)
}

func (h *hub) resume(s *session, l *link) {
	h.line.Remove(s.place)
	s.place, s.dropErr = nil, nil
	h.cfg.metrics.ResumeAttempt(s.room.id, s.id)
	h.cfg.logger.Debug("wspulse: session resumed", s.field())
	h.start(s, l, "OnTransportRestore", h.cfg.onTransportRestore)
}

// start gives a session its link. The callback runs first, in the turn of the link's read pump.
func (h *hub) start(s *session, l *link, name string, opening func(Connection)) {
	prev := s.turn
	l.session, s.link, s.turn = s, l, l.gate.left
	h.links.Add(1)
	l.nextPing = time.Now().Add(h.cfg.pingPeriod)
	if l.beat = h.beats.PushBack(l); h.beats.Len() == 1 {
		h.beatTimer.Reset(h.cfg.pingPeriod)
	}
	pump := s.outbox.attach(l) // before reading starts, which may end at once
	go l.readPump(prev, name, opening)
	pump.start()
}

// unlink takes its link from a session.
func (h *hub) unlink(s *session) {
	h.beats.Remove(s.link.beat)
	s.link = nil
}

// ping pings the links whose turn it is.
func (h *hub) ping(now time.Time) {
	for h.beats.Len() > 0 {
		l := h.beats.Front().Value.(*link)
		if left := l.nextPing.Sub(now); left > 0 {
			h.beatTimer.Reset(left)
			return
		}
		l.nextPing = now.Add(h.cfg.pingPeriod)
		h.beats.MoveToBack(l.beat)
		l.owed.Add(1)
		l.session.outbox.signal(l, pingFrame).start()
	}
}

// depart takes the link from its session, which is suspended, or ends.
func (h *hub) depart(d departure) {
	s := d.link.session
	if s.link != d.link {
		s.discard() // it ended while its link was on the way here
		return
	}
	h.unlink(s)
	s.outbox.detach()
	if h.cfg.resumeWindow == 0 {
		h.end(s, departed, d.err)
		return
	}
	s.dropErr = d.err
	s.expires = time.Now().Add(h.cfg.resumeWindow)
	s.place = h.line.PushBack(s)
	if h.line.Len() == 1 {
		h.timer.Reset(h.cfg.resumeWindow)
	}
	h.cfg.logger.Debug("wspulse: session suspended", s.field(), zap.Error(d.err))
	if h.cfg.onTransportDrop != nil {
		err := d.err
		h.callback(s, "OnTransportDrop", func() { h.cfg.onTransportDrop(s, err) })
	}
}

// expire ends the sessions whose window has passed.
func (h *hub) expire(now time.Time) {
	for h.line.Len() > 0 {
		s := h.line.Front().Value.(*session)
		if left := s.expires.Sub(now); left > 0 {
			h.timer.Reset(left)
			return
		}
		h.end(s, expired, s.dropErr)
	}
}

// end ends a session once. Its link, if it has one, is closed by the write pump.
func (h *hub) end(s *session, e *ending, err error) {
	if s.ended() {
		return
	}
	if s.place != nil {
		h.line.Remove(s.place)
		s.place = nil
	}
	destroyed := h.leave(s)
	now := time.Now()
	h.cfg.metrics.ConnectionClosed(s.room.id, s.id, now.Sub(s.openedAt), e.reason)
	if destroyed {
		h.cfg.metrics.RoomDestroyed(s.room.id)
	}
	h.cfg.logger.Debug("wspulse: session ended", s.field(), zap.String("reason", string(e.reason)), zap.Error(err))
	s.ending, s.flushBy = e, now.Add(h.cfg.writeWait)
	pump := s.outbox.close() // before whoever waits for done can end reading in another way
	close(s.done)
	if s.link != nil {
		s.link.gate.shut()
		h.unlink(s)
		pump.start()
	} else {
		s.discard()
	}
	if h.cfg.onDisconnect != nil {
		h.callback(s, "OnDisconnect", func() { h.cfg.onDisconnect(s, err) })
	}
}

// serve does what callers asked for: r, and what is queued behind it. Broadcasts to one room in a row are fanned out
// together, so that each member is visited, and its write pump woken, once for all of them.
func (h *hub) serve(r request) {
	h.turn = append(h.turn[:0], r)
	for more := true; more && len(h.turn) < maxTurn; {
		select {
		case r = <-h.requests:
			h.turn = append(h.turn, r)
		default:
			more = false
		}
	}
	for turn := h.turn; len(turn) > 0; {
		n := h.together(turn)
		switch r := turn[0]; {
		case r.room != nil:
			h.fanOut(r.room, h.frames)
			r.room.pending.Add(-int64(n))
		case r.ending != nil:
			h.end(r.session, r.ending, nil)
		case r.session.ended():
			r.reply <- ErrConnectionClosed
		default:
			r.reply <- r.session.offer(r.frame)
		}
		turn = turn[n:]
	}
	clear(h.turn)
	clear(h.frames[:cap(h.frames)])
}

// together says how many of the first requests are one fan-out, whose frames it puts into h.frames. They take an eighth of
// a member's buffer at the most.
func (h *hub) together(turn []request) (n int) {
	h.frames = h.frames[:0]
	most := max(1, h.cfg.sendBufferSize/8)
	for n < len(turn) && n < most && turn[n].room != nil && turn[n].room == turn[0].room {
		h.frames = append(h.frames, turn[n].frame)
		n++
	}
	return max(1, n)
}

func (h *hub) fanOut(r *room, frames []*wire.Frame) {
	var pumps *convoy
	for _, s := range r.members {
		pumps = pumps.add(s.push(frames))
	}
	pumps.launch()
	if len(r.members) > 0 {
		for _, f := range frames {
			h.cfg.metrics.MessageBroadcast(r.id, f.Size, len(r.members))
		}
	}
	h.reclaim()
}

// shutDown serves what was asked for before stop, also what a full queue held up, and ends all sessions.
func (h *hub) shutDown() {
	h.timer.Stop()
	h.beatTimer.Stop()
	for served := true; served; {
		select {
		case r := <-h.requests:
			h.serve(r)
		default:
			served = false
		}
	}
	for _, s := range h.sessions {
		h.end(s, shutDown, ErrServerClosed)
	}
}

// callback queues a callback behind the session's other ones.
func (h *hub) callback(s *session, name string, fn func()) {
	prev, next := s.turn, make(chan struct{})
	s.turn = next
	go func() {
		defer close(next)
		<-prev
		h.contain(name, s.id, fn)
	}()
}

// contain runs a callback and logs its panic. It says whether the callback returned.
func (h *hub) contain(name, connectionID string, fn func()) (returned bool) {
	defer func() {
		if v := recover(); v != nil {
			h.logPanic(name, connectionID, v)
		}
	}()
	fn()
	return true
}

func (h *hub) logPanic(name, connectionID string, v any) {
	h.cfg.logger.Warn("wspulse: panic in callback", zap.String("callback", name),
		zap.String("connectionID", connectionID), zap.Any("panic", v), zap.ByteString("stack", debug.Stack()))
}

// join puts a session into the maps, and says whether its room is new.
func (h *hub) join(s *session, roomID string) (created bool) {
	r := h.rooms[roomID]
	if created = r == nil; created {
		r = &room{id: roomID}
	}
	s.room, s.outbox.bound = r, &h.bound
	h.mu.Lock()
	defer h.mu.Unlock()
	s.slot = len(r.members)
	r.members = append(r.members, s)
	h.rooms[roomID] = r
	h.sessions[s.id] = s
	return created
}

// leave takes a session out of the maps, and says whether its room is gone.
func (h *hub) leave(s *session) (destroyed bool) {
	r := s.room
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.sessions, s.id)
	h.admission.free(s.key)
	last := len(r.members) - 1
	r.members[s.slot] = r.members[last]
	r.members[s.slot].slot = s.slot
	r.members[last] = nil
	r.members = r.members[:last]
	if destroyed = last == 0; destroyed {
		delete(h.rooms, r.id)
	}
	return destroyed
}
