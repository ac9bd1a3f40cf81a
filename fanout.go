package wspulse

import "github.com/wspulse/server/internal/wire"

// Fan-out. Broadcasts wait in their room, and the room in one of two queues of the hub. When it is the room's turn, its
// members are handed what waits, in slices: between them the hub handles its events, so that nobody waits for all of a
// large room.
//
// A session knows by number what it has been handed. So it may be handed what waits at any time, ahead of the others,
// and members may come and go in the middle of a pass.

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
	r.backlog.add(f)
	if !r.queued {
		r.queued = true
		h.fresh.add(r)
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
		s := r.members[r.unvisited]
		if l := s.push(r.due(s, r.pass)); l != nil && l.quick() {
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

// due returns what a member has not been handed of the broadcasts before that number. It is handed them now.
func (r *room) due(s *session, until uint64) []*wire.Frame {
	from := s.seen
	s.seen = max(from, until)
	return r.backlog.hand(from, s.seen)
}

// catchUp hands a session all that waits for it, so that what comes next takes effect after the broadcasts before it.
func (h *hub) catchUp(s *session) {
	if !s.ended() {
		s.push(s.room.due(s, s.room.backlog.next())).start()
	}
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
