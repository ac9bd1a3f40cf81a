package wspulse

import (
	"time"

	"go.uber.org/zap"

	"github.com/gorilla/websocket"

	"github.com/wspulse/server/internal/control"
	"github.com/wspulse/server/internal/line"
	"github.com/wspulse/server/internal/wire"
)

// A registration is a WebSocket that has been opened.
type registration struct {
	roomID, connectionID string
	seat                 seat
	link                 *link
	arrival              uint64    // of its request, counted over all of them
	overture             *overture // nil: its peer does not speak wspulse.v1
	details              *Details  // nil: none have been attached
}

// A departure is a link whose write pump uses the session no more, and whose reading has ended or will at once.
type departure struct {
	link *link
	err  error   // nil for a clean close
	ends *ending // the way in which the session ends with it; nil: it is suspended, if there is a window
}

// A candidate is a registration for a session whose link may be about to depart.
type candidate struct {
	registration
	session *session
	place   line.Place[candidate] // in the line of those that wait
	looks   int                   // at that link
}

const (
	jumpGrace    = 5 * time.Second       // for peers that came back while the process stood still
	settlePeriod = 10 * time.Millisecond // between looks at a link that may be about to depart
	settleLooks  = 100                   // after which it is not
)

// arrive admits a registration behind the calls that had returned before its request came.
func (h *hub) arrive(r registration) {
	each(h.calls, len(h.calls), h.serve)
	h.admit(r)
}

// admit opens a session, resumes the one that waits for its peer, or replaces the one that is connected.
func (h *hub) admit(r registration) {
	s, c := h.weigh(&r)
	switch {
	case h.overtaken(r, s):
	case c.resumes:
		h.comeBack(s, r)
	case s == nil, s.link == nil && !h.goesOn(s, r):
		h.replace(s, r, c)
	case s.link == nil:
		h.resume(s, r, nil)
	case s.next != nil, h.departs(s.link):
		h.wait(s, r)
	default:
		h.contend(s, r, c)
	}
}

// goesOn says whether a session goes on with a registration for its ID without a claim: neither speaks wspulse.v1, and
// the two agree on who is there.
func (h *hub) goesOn(s *session, r registration) bool {
	return s.credential == nil && r.overture == nil && h.agrees(s, r)
}

// agrees says whether a registration may go on with a session that it has the ID for: it is the same user's, and in the
// right room.
func (h *hub) agrees(s *session, r registration) bool {
	return s.isUser(r.details) && (h.cfg.roomOnResume != NewSession || s.RoomID() == r.roomID)
}

// contend decides between a session that is connected and a registration that does not claim it.
func (h *hub) contend(s *session, r registration, c comeback) {
	switch {
	case h.cfg.duplicates == Reject:
		h.turnAway(r, bye("duplicate"), wire.Close(codeConflict, isConnected))
	case h.cfg.duplicates == Resume && h.cfg.resumeWindow > 0 && h.goesOn(s, r):
		h.takeOver(s)
		h.resume(s, r, nil)
	default:
		h.replace(s, r, c)
	}
}

// replace opens a session in the place of old, if there is one, and if there is a seat.
func (h *hub) replace(old *session, r registration, c comeback) {
	h.succeed(old, r, c, endReplaced, ErrDuplicateConnectionID)
}

// succeed is replace for a session that ends in that way.
func (h *hub) succeed(old *session, r registration, c comeback, e *ending, err error) {
	if full := h.takeSeat(r.seat, old); full != "" {
		h.limitReached(full, r.roomID, r.connectionID, zap.Stringer("remoteAddr", r.link.socket.RemoteAddr()))
		h.turnAwayFull(r, full)
		return
	}
	if old != nil {
		h.end(old, e, err)
	}
	h.open(r, c)
}

// overtaken turns a registration away whose session has been opened or resumed by a request that came later, or is
// about to be, however long the two took. For its peer that is the same as to be replaced. The session does not notice.
func (h *hub) overtaken(r registration, s *session) bool {
	if s == nil || r.arrival > s.arrival && (s.next == nil || r.arrival > s.next.arrival) {
		return false
	}
	h.cfg.logger.Debug("wspulse: overtaken by a later request", s.field())
	if r.overture != nil && r.overture.claim != nil {
		h.turnAway(r, back("conflict"), takenFrame)
	} else {
		h.turnAway(r, endReplaced.bye, endReplaced.closeFrame)
	}
	return true
}

// departs says whether the peer of a link has left, or may have: it is not known before everything that it has sent has
// been read. A client that closes and connects again at once is here before that.
func (h *hub) departs(l *link) bool {
	unread, gone := l.socket.Look()
	if gone {
		l.socket.Cut(time.Now()) // nobody reads it
	}
	l.passReadingOn()
	l.in.widen()
	return gone || unread || l.reads.Load()&1 == 0
}

// wait lets a registration wait until the link of its session has departed, or turns out to stay. One that waits
// already loses.
func (h *hub) wait(s *session, r registration) {
	c := &candidate{registration: r, session: s}
	if before := h.turnNextAway(s); before != nil {
		c.looks = before.looks // at the same link
	}
	s.next = c
	h.settling.Push(c, time.Now())
}

// settle decides on the registrations that wait.
func (h *hub) settle(now time.Time) {
	for c, ok := h.settling.Due(now); ok; c, ok = h.settling.Due(now) {
		if c.looks++; c.looks < settleLooks && h.departs(c.session.link) {
			h.settling.Push(c, now)
			continue
		}
		h.takeNext(c.session)
		_, back := h.weigh(&c.registration)
		h.contend(c.session, c.registration, back)
	}
}

// takeNext returns the candidate for a session, or nil.
func (h *hub) takeNext(s *session) *candidate {
	c := s.next
	if s.next = nil; c != nil {
		h.settling.Remove(c)
	}
	return c
}

// turnNextAway turns the candidate for a session away, since another registration has come, and returns it, or nil.
func (h *hub) turnNextAway(s *session) *candidate {
	c := h.takeNext(s)
	if c != nil {
		h.turnAway(c.registration, endReplaced.bye, endReplaced.closeFrame)
	}
	return c
}

func (h *hub) open(r registration, c comeback) {
	s := newSession(h, r.connectionID, r.seat.key)
	s.arrival = r.arrival
	var hello *control.Welcome
	if r.overture != nil {
		s.credential = &credential{newest: r.overture.digest}
		s.outbox.ledger = newLedger(s)
		hello = h.welcome(s, r, c)
	}
	s.attachDetails(r.details)
	s.outbox.remote = r.link.socket.RemoteAddr() // before anybody can ask for it
	h.insert(s, r.roomID)
	h.cfg.metrics.ConnectionOpened(r.roomID, s.id)
	h.cfg.logger.Debug("wspulse: session opened", s.field())
	if c.reason != "" {
		h.cfg.lossless.ResumeClaimed(r.roomID, s.id, false, c.reason)
	}
	opening := []callback{{"OnConnect", h.cfg.onConnect}}
	if h.cfg.onJoin != nil {
		for _, id := range s.Rooms() {
			opening = append(opening, h.joined(id))
		}
	}
	h.attach(s, r.link, hello, opening)
}

// resume gives a session another link; hello is nil unless it speaks wspulse.v1.
func (h *hub) resume(s *session, r registration, hello *control.Welcome) {
	h.freeSeat(r.seat)
	s.arrival = r.arrival
	h.suspended.Remove(s)
	s.dropErr = nil
	s.attachDetails(r.details)
	h.cfg.metrics.ResumeAttempt(s.RoomID(), s.id)
	h.cfg.logger.Debug("wspulse: session resumed", s.field())
	if hello != nil {
		h.cfg.lossless.ResumeClaimed(s.RoomID(), s.id, true, "")
	}
	opening := []callback{{"OnTransportRestore", h.cfg.onTransportRestore}}
	if home := s.RoomID(); home != r.roomID {
		opening = append(opening, h.follow(s, home, r.roomID)...)
	}
	h.attach(s, r.link, hello, opening)
	h.roster.noteAll(presenceBack, s)
}

// follow sees to a session that is resumed for another room than its home, and returns callbacks that tell of it.
func (h *hub) follow(s *session, home, roomID string) (told []callback) {
	if h.cfg.roomOnResume == KeepRoom {
		h.limited.Warn("wspulse: ConnectFunc names another room for a session that is resumed: it stays in its room; see WithRoomOnResume",
			s.field(), zap.String("named", roomID))
		return nil
	}
	told = append(told, h.left(home))
	if h.move(s, roomID) {
		told = append(told, h.joined(roomID))
	}
	return told
}

// attach gives a session its link. The callbacks run first, in the turn of the link.
func (h *hub) attach(s *session, l *link, hello *control.Welcome, opening []callback) {
	prev, now := s.turn, time.Now()
	l.session, s.link, s.turn = s, l, &l.in.left
	s.selected.Store(l.selected)
	l.calledAt = now.Sub(h.start)
	h.links.Add(1)
	l.pulse.pinged = now.Sub(h.start)
	l.pulse.silent = l.pulse.pinged // no ping yet
	h.beats.Push(l, now)
	s.attach(l, hello) // before reading starts, which may end at once
	go l.open(prev, opening)
}

// detach takes its link from a session.
func (h *hub) detach(s *session) {
	h.beats.Remove(s.link)
	h.silent.Remove(s.link)
	s.link = nil
	if s.turn.closed() {
		s.turn = nil // or it would keep the link
	}
}

// depart takes the link from its session, which is suspended, or ends. The peer may be back already.
func (h *hub) depart(d departure) {
	s := d.link.session
	if s.link != d.link {
		if !d.link.replaced.Load() {
			s.discard() // it ended while its link was on the way here
		}
		return
	}
	next := h.takeNext(s)
	h.detach(s)
	s.outbox.detach()
	switch {
	case d.ends != nil:
		h.end(s, d.ends, d.err)
	case h.cfg.resumeWindow == 0:
		h.end(s, endDeparted, d.err)
	default:
		h.suspend(s, d.err)
	}
	if next != nil {
		h.admit(next.registration)
	}
}

func (h *hub) suspend(s *session, err error) {
	s.dropErr = err
	h.roster.noteAll(presenceAway, s)
	h.suspended.Push(s, time.Now())
	h.cfg.logger.Debug("wspulse: session suspended", s.field(), zap.Error(err))
	if h.cfg.onTransportDrop != nil {
		h.callback(s, callback{"OnTransportDrop", func(c Connection) { h.cfg.onTransportDrop(c, err) }})
	}
}

// expire ends the sessions whose window has passed. One that passed while the process stood still gets a moment more:
// its peer may have come back meanwhile, and wait for an answer.
func (h *hub) expire(now time.Time) {
	for s, ok := h.suspended.Due(now); ok; s, ok = h.suspended.Due(now) {
		if h.mindJump(now, h.suspended.Late()) {
			h.suspended.PushDue(s, now.Add(min(h.cfg.resumeWindow, jumpGrace)))
			continue
		}
		h.end(s, endExpired, s.dropErr)
	}
}

// end ends a session once. Its link, if it has one, is closed by the write pump.
func (h *hub) end(s *session, e *ending, err error) {
	if s.ended() {
		return
	}
	h.suspended.Remove(s)
	next := h.takeNext(s)
	h.expiries.set(s, time.Time{})
	now := time.Now()
	h.cfg.metrics.ConnectionClosed(s.RoomID(), s.id, now.Sub(h.start)-s.openedAt, e.reason)
	h.remove(s)
	h.cfg.logger.Debug("wspulse: session ended", s.field(), zap.String("reason", string(e.reason)), zap.Error(err))
	if e != endDeparted && (e != endExpired || s.credential != nil) { // a peer of wspulse.v1 is told what has been processed
		s.silenced.Store(true)
	}
	flushBy := now.Add(h.cfg.writeWait)
	s.ending, s.flushBy = e, flushBy.Sub(h.start)
	h.bury(s, e)
	if l := s.link; l != nil {
		h.detach(s)
		l.in.shut()
		l.socket.Cut(flushBy)
		s.endOutbox() // before whoever waits for done can end reading in another way
	} else {
		s.endOutbox()
		s.discard()
	}
	s.done.close()
	h.lastCallbacks(s, err)
	switch {
	case next == nil:
	case e == endServerClosed:
		h.turnAwayWith(next.registration, next.link.refusedAtClose())
	default:
		h.admit(next.registration)
	}
}

// turnAwayFull is turnAway where there is no seat.
func (h *hub) turnAwayFull(r registration, full Limit) {
	code := websocket.CloseTryAgainLater
	if r.link.v1 != nil {
		code = codeTooMany
	}
	h.turnAway(r, later(full), wire.Close(code, noSeat(full)))
}

// refusedAtClose returns what the peer of a link gets that becomes no session since the server is closed.
func (l *link) refusedAtClose() *wire.Frame {
	if l.v1 == nil {
		return endServerClosed.closeFrame
	}
	return l.farewell(endServerClosed.bye, closedFrame)
}

// turnAway closes the WebSocket of a registration that becomes no session, and frees its seat. Hub.
func (h *hub) turnAway(r registration, m control.Message, closeFrame *wire.Frame) {
	h.turnAwayWith(r, r.link.farewell(m, closeFrame))
}

func (h *hub) turnAwayWith(r registration, last *wire.Frame) {
	h.freeSeat(r.seat)
	l := r.link
	h.putReader(l.reader)
	h.links.Add(1)
	go func() {
		defer h.links.Done()
		l.socket.CloseAfter(last, time.Now().Add(h.cfg.writeWait))
	}()
}
