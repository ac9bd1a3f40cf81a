package wspulse

import (
	"cmp"
	"slices"

	"github.com/wspulse/server/internal/wire"
)

// Fan-out. Broadcasts wait in their room, and the room in one of two queues of the hub. When it is the room's turn, its
// members are handed what waits, in slices: between them the hub handles its events, so that nobody waits for all of a
// large room.
//
// A member knows by number what it has been handed. So it may be handed what waits at any time, ahead of the others,
// and members may come and go in the middle of a pass. A session that is in several rooms is handed what waits in all
// of them in the order in which the hub took it.

const (
	maxVisits  = 256 // members that a slice visits
	maxPass    = 64  // broadcasts that a visit hands over
	minPending = 64  // broadcasts of a room that may wait,
	maxPending = 256 // whatever the size of a buffer
)

// passSize is how many broadcasts a visit hands over: an eighth of a member's buffer, so that its pump can keep up.
func (c *serverConfig) passSize() int { return min(max(1, c.sendBufferSize/8), maxPass) }

// pendingSize is how many broadcasts of a room may wait. A member is handed all of them when it is sent something, so
// they are no more than half of its buffer, unless that is small.
func (c *serverConfig) pendingSize() int { return min(max(minPending, c.sendBufferSize/2), maxPending) }

// accept has a frame wait in its room, also where that has been destroyed meanwhile: then it reaches nobody.
func (h *hub) accept(r *room, f *wire.Frame) {
	h.place++
	h.acceptAt(r, f, h.place)
}

func (h *hub) acceptAt(r *room, f *wire.Frame, place uint64) {
	r.backlog.add(f, place)
	if !r.queued {
		r.queued = true
		h.fresh.add(r)
	}
}

// acceptExcept is accept for a frame that some members do not get: they are past it at once.
func (h *hub) acceptExcept(r *room, f *wire.Frame, exceptIDs []string) {
	var past []*membership
	for _, id := range exceptIDs {
		s := h.sessions[id]
		if s == nil {
			continue
		}
		if m := s.membership(r); m != nil {
			h.catchUp(s)
			past = append(past, m)
		}
	}
	h.accept(r, f)
	for _, m := range past {
		m.seen = r.backlog.next()
	}
}

// acceptAll has a frame wait in rooms for each of their members once, in however many of them it is. These rooms count
// it already. One that has come since may hold a session that was in another one.
func (h *hub) acceptAll(rooms []*room, f *wire.Frame) {
	h.place++
	counted := make(map[*room]bool, len(rooms))
	for _, r := range rooms {
		counted[r] = true
		h.acceptAt(r, f, h.place)
	}
	for _, r := range h.rooms {
		if !counted[r] && r.count() {
			h.acceptAt(r, f, h.place)
		}
	}
}

// hasBacklog says whether there is something to fan out.
func (h *hub) hasBacklog() bool { return h.fresh.first != nil || h.busy.first != nil }

// fanOut goes on with the fan-out for a while. Rooms that had nothing waiting come first, so that busier ones do not
// hold them up. It visits less than four times maxVisits members.
func (h *hub) fanOut() {
	h.serveRooms(&h.fresh)
	h.serveRooms(&h.busy)
	h.reclaim()
}

// serveRooms gives rooms of a queue a slice each, until maxVisits members have been visited. Those that are not through
// go to the end of h.busy.
func (h *hub) serveRooms(q *roomQueue) {
	for visits := 0; visits < maxVisits && q.first != nil; {
		r := q.remove()
		visits += 1 + h.slice(r)
		if r.queued = r.backlog.first() < r.backlog.next(); r.queued {
			h.busy.add(r)
		}
	}
}

// slice goes on with the pass of a room, or begins one, and returns how many members it has visited: from the last to
// the first. If one leaves, the very last member gets its place: another one that is to be visited, or one that has got
// all that is in the pass.
func (h *hub) slice(r *room) (visits int) {
	if r.pass == r.backlog.first() {
		r.pass = min(r.pass+uint64(h.cfg.passSize()), r.backlog.next())
		r.unvisited = len(r.members)
	}
	woken := h.woken[:0]
	for ; visits < maxVisits && r.unvisited > 0; visits++ {
		r.unvisited--
		m := r.members[r.unvisited]
		if l := h.hand(m, r); l != nil && l.quick() {
			woken = append(woken, l)
		} else {
			l.start()
		}
	}
	h.crew.add(woken...)
	clear(woken)
	if r.unvisited == 0 {
		h.retire(r, r.pass)
	}
	return visits
}

// hand hands a member the pass of its room, and before that what its session is to get before it. The pump of the link
// that it returns is to be started.
func (h *hub) hand(m *membership, r *room) *link {
	switch {
	case m.session.others.Load() == nil:
		return m.session.push(m.due(r, r.pass))
	case m.seen >= r.pass:
		return nil
	default:
		return h.handAll(m.session, r.backlog.place(r.pass-1)+1)
	}
}

// due returns what a member has not been handed of the broadcasts before that number. It is handed them now.
func (m *membership) due(r *room, until uint64) []*wire.Frame {
	from := m.seen
	m.seen = max(from, until)
	return r.backlog.hand(from, m.seen)
}

// catchUp hands a session all that waits for it, so that what comes next takes effect after the broadcasts before it.
func (h *hub) catchUp(s *session) {
	switch r := s.home.room.Load(); {
	case s.ended():
	case s.others.Load() == nil:
		s.push(s.home.due(r, r.backlog.next())).start()
	default:
		h.handAll(s, h.place+1).start()
	}
}

// A placed frame stands at that place among the broadcasts of all rooms.
type placed struct {
	frame *wire.Frame
	place uint64
}

// handAll hands a session that is in several rooms the broadcasts before that place which it has not been handed, in
// their order, each once. The pump of the link that it returns is to be started.
func (h *hub) handAll(s *session, before uint64) *link {
	h.placed, h.gathered = h.placed[:0], h.gathered[:0]
	for m := range s.memberships() {
		r := m.room.Load()
		first := m.seen
		for i, f := range m.due(r, r.backlog.from(before)) {
			h.placed = append(h.placed, placed{f, r.backlog.place(first + uint64(i))})
		}
	}
	slices.SortFunc(h.placed, func(a, b placed) int { return cmp.Compare(a.place, b.place) })
	for i, p := range h.placed {
		if i == 0 || p.place != h.placed[i-1].place { // it came by another room
			h.gathered = append(h.gathered, p.frame)
		}
	}
	l := s.push(h.gathered)
	clear(h.placed)
	clear(h.gathered)
	return l
}

// retire removes what all members have been handed: the broadcasts before that number.
func (h *hub) retire(r *room, until uint64) {
	for r.backlog.first() < until {
		if f, reached := r.backlog.remove(); reached > 0 {
			h.cfg.metrics.MessageBroadcast(r.id, f.Size, reached)
		}
		<-r.pending
	}
	r.pass = until
}

// A roomQueue is rooms, first in, first out.
type roomQueue struct{ first, last *room }

func (q *roomQueue) add(r *room) {
	if q.first == nil {
		q.first = r
	} else {
		q.last.next = r
	}
	q.last = r
}

// remove removes the first room, which there is.
func (q *roomQueue) remove() *room {
	r := q.first
	q.first, r.next = r.next, nil
	return r
}
