package wspulse

import (
	"time"

	"go.uber.org/zap"
)

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
		h.end(s, endReplaced, ErrDuplicateConnectionID)
	}
	h.open(r)
}

func (h *hub) open(r registration) {
	s := newSession(h, r.connectionID, r.seat.key)
	if h.insert(s, r.roomID) {
		h.cfg.metrics.RoomCreated(r.roomID)
	}
	h.cfg.metrics.ConnectionOpened(r.roomID, s.id)
	h.cfg.logger.Debug("wspulse: session opened", s.field())
	h.attach(s, r.link, "OnConnect", h.cfg.onConnect)
}

func (h *hub) resume(s *session, l *link) {
	h.line.Remove(s.place)
	s.place, s.dropErr = nil, nil
	h.cfg.metrics.ResumeAttempt(s.room.id, s.id)
	h.cfg.logger.Debug("wspulse: session resumed", s.field())
	h.attach(s, l, "OnTransportRestore", h.cfg.onTransportRestore)
}

// attach gives a session its link. The callback runs first, in the turn of the link's read pump.
func (h *hub) attach(s *session, l *link, name string, opening func(Connection)) {
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

// detach takes its link from a session.
func (h *hub) detach(s *session) {
	h.beats.Remove(s.link.beat)
	s.link = nil
}

// depart takes the link from its session, which is suspended, or ends.
func (h *hub) depart(d departure) {
	s := d.link.session
	if s.link != d.link {
		s.discard() // it ended while its link was on the way here
		return
	}
	h.detach(s)
	s.outbox.detach()
	if h.cfg.resumeWindow == 0 {
		h.end(s, endDeparted, d.err)
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
		h.end(s, endExpired, s.dropErr)
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
	destroyed := h.remove(s)
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
		h.detach(s)
		pump.start()
	} else {
		s.discard()
	}
	if h.cfg.onDisconnect != nil {
		h.callback(s, "OnDisconnect", func() { h.cfg.onDisconnect(s, err) })
	}
}
