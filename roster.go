package wspulse

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/wspulse/server/internal/line"
	"github.com/wspulse/server/internal/presence"
	"github.com/wspulse/server/internal/wire"
)

const (
	soonTime    = 250 * time.Millisecond // for changes of a room, which make one frame
	laterTime   = 2 * time.Second        // the same where changes go on
	mostListed  = 1000                   // members of a room that are listed; beyond, they are counted
	listAgain   = 750                    // so many are left when they are listed again
	maxInfo     = 512                    // bytes of JSON that others are told of a member
	stalePeriod = 5 * time.Second        // after which who has lost a frame gets a list
)

// A roster tells the members of rooms who is there. The hub notes what changes; the roster's goroutine gathers that for
// a moment, encodes it and has the hub queue it. It keeps its own account of who has been told what.
type roster struct {
	hub  *hub
	wake chan struct{} // of capacity 1: there is news; never closed

	mu   sync.Mutex // guards what follows; a leaf
	news []presenceNews

	// Owned by the roster's goroutine.
	rooms       map[string]*presenceRoom
	soon, later *line.Line[presenceRoom] // to be told; a room is in one of them
	stale       map[*session]struct{}    // that may have lost a frame
	lists       *time.Timer              // for these; runs while there are some
}

// presenceNews is that a session has joined a room, left it, been suspended or resumed there, or lost a frame.
type presenceNews struct {
	kind    presenceKind
	session *session
	roomID  string
	away    bool // who has joined is suspended
}

type presenceKind int

const (
	presenceJoin presenceKind = iota
	presenceLeave
	presenceAway
	presenceBack
	presenceLoss // of a frame, in no room in particular
)

// A presenceRoom is what the members of a room have been told.
type presenceRoom struct {
	id      string
	members map[*session]*presenceMember
	changed []*presenceMember // since it was told last
	counted bool              // rather than listed
	told    int               // the last count
	toldAt  time.Time
	place   line.Place[presenceRoom]
}

// A presenceMember is a member now, and as others know it.
type presenceMember struct {
	session    *session
	here, away bool
	info       json.RawMessage

	wasHere, wasAway bool
	wasInfo          json.RawMessage
	changed          bool // it is in presenceRoom.changed
	listed           bool // it has got a list or a count, and all since
}

// A presenceTo is a frame for a session.
type presenceTo struct {
	session *session
	frame   *wire.Frame
}

func newRoster(h *hub) *roster {
	place := func(p *presenceRoom) *line.Place[presenceRoom] { return &p.place }
	r := &roster{
		hub:   h,
		wake:  make(chan struct{}, 1),
		rooms: make(map[string]*presenceRoom),
		soon:  line.New(soonTime, place),
		later: line.New(laterTime, place),
		stale: make(map[*session]struct{}),
		lists: time.NewTimer(stalePeriod),
	}
	r.lists.Stop()
	return r
}

// note has the roster know of something. It does not wait. A nil roster minds nothing.
func (r *roster) note(n presenceNews) {
	if r == nil {
		return
	}
	r.mu.Lock()
	r.news = append(r.news, n)
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// noteAll is note for each room of a session. Hub.
func (r *roster) noteAll(kind presenceKind, s *session) {
	if r == nil {
		return
	}
	for m := range s.memberships() {
		r.note(presenceNews{kind: kind, session: s, roomID: m.room.Load().id})
	}
}

// run is the roster's goroutine. Where the application's function ends that, another one goes on.
func (r *roster) run() {
	over := false
	defer func() {
		if !over {
			go r.run()
			return
		}
		r.soon.Stop()
		r.later.Stop()
		r.lists.Stop()
		r.hub.callbacks.Done()
	}()
	for !over {
		select {
		case <-r.wake:
			r.hear()
		case now := <-r.soon.C():
			r.tellDue(r.soon, now)
		case now := <-r.later.C():
			r.tellDue(r.later, now)
		case <-r.lists.C:
			r.listStale()
		case <-r.hub.done:
			over = true
		}
	}
}

// hear takes the news, one by one: the application is asked about it.
func (r *roster) hear() {
	for n, ok := r.next(); ok; n, ok = r.next() {
		if n.kind != presenceLoss {
			r.change(n)
			continue
		}
		if len(r.stale) == 0 {
			r.lists.Reset(stalePeriod)
		}
		r.stale[n.session] = struct{}{}
	}
}

func (r *roster) next() (n presenceNews, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.news) == 0 {
		r.news = nil
		return n, false
	}
	n, r.news[0] = r.news[0], presenceNews{}
	r.news = r.news[1:]
	return n, true
}

func (r *roster) change(n presenceNews) {
	p := r.rooms[n.roomID]
	if p == nil {
		p = &presenceRoom{id: n.roomID, members: make(map[*session]*presenceMember)}
		r.rooms[n.roomID] = p
	}
	m := p.members[n.session]
	if m == nil {
		m = &presenceMember{session: n.session}
		p.members[n.session] = m
	}
	if !m.changed {
		m.changed = true
		p.changed = append(p.changed, m)
	}
	if !r.soon.Contains(p) && !r.later.Contains(p) {
		r.lineOf(p).Push(p, time.Now())
	}
	switch n.kind {
	case presenceJoin:
		m.here, m.away, m.listed = true, n.away, false
	case presenceBack:
		m.away, m.listed = false, false
	case presenceLeave:
		m.here = false
		return
	case presenceAway:
		m.away, m.listed = true, false
		return
	case presenceLoss:
	}
	m.info = r.encode(m.session) // last, since it may end the goroutine
}

// lineOf returns where a room waits that changes now.
func (r *roster) lineOf(p *presenceRoom) *line.Line[presenceRoom] {
	if time.Since(p.toldAt) < soonTime {
		return r.later
	}
	return r.soon
}

// encode returns what others are told of a session.
func (r *roster) encode(s *session) (data json.RawMessage) {
	r.hub.contain("WithPresence", s.id, func() {
		info := r.hub.cfg.presence(s)
		if info == nil {
			return
		}
		encoded, err := json.Marshal(info)
		switch {
		case err != nil:
			r.hub.limited.Warn("wspulse: what WithPresence says can't be encoded", s.field(), zap.Error(err))
		case len(encoded) > maxInfo:
			r.hub.limited.Warn("wspulse: what WithPresence says is too large", s.field(),
				zap.Int("bytes", len(encoded)), zap.Int("most", maxInfo))
		default:
			data = encoded
		}
	})
	return data
}

// tellDue tells the rooms of a line whose time has come.
func (r *roster) tellDue(l *line.Line[presenceRoom], now time.Time) {
	for p, ok := l.Due(now); ok; p, ok = l.Due(now) {
		r.tell(p)
	}
}

// tell tells the members of a room what has changed, those that have not been told before who is there, and those that
// have left that this is over.
func (r *roster) tell(p *presenceRoom) {
	leavers := p.leavers()
	f := p.changes()
	if len(leavers) > 0 {
		r.send(p.id, to(leavers, r.frame(presence.Frame{Room: p.id, Full: true})), false)
	}
	switch {
	case f.Count == 0:
		delete(r.rooms, p.id)
		return
	case p.recount(f.Count):
		f = presence.Frame{Room: p.id, Count: f.Count}
	}
	var news []presenceTo
	if p.counted && p.told != f.Count || !f.IsCount() {
		news = to(p.those(func(m *presenceMember) bool { return m.listed && !m.session.Suspended() }), r.frame(f))
	}
	p.told, p.toldAt = f.Count, time.Now()
	r.send(p.id, news, true)
	r.list(p, p.those(func(m *presenceMember) bool { return !m.listed && !m.session.Suspended() }))
}

// recount says whether the members are counted, and not listed, from now on. When that changes nobody has been told.
func (p *presenceRoom) recount(members int) bool {
	before := p.counted
	if p.counted = members > mostListed || before && members > listAgain; p.counted != before {
		for _, m := range p.members {
			m.listed = false
		}
	}
	return p.counted
}

// list sends the list of a room, or the count, to those members: as the others know it, who hear of changes later.
func (r *roster) list(p *presenceRoom, members []*presenceMember) {
	if len(members) == 0 {
		return
	}
	f := presence.Frame{Room: p.id, Count: p.told}
	if !p.counted {
		f = p.list()
	}
	for _, m := range members {
		m.listed = true
	}
	r.send(p.id, to(members, r.frame(f)), true)
}

// listStale sends lists to those that may have lost a frame.
func (r *roster) listStale() {
	members := make(map[*presenceRoom][]*presenceMember)
	for s := range r.stale {
		for membership := range s.memberships() {
			p := r.rooms[membership.room.Load().id]
			if p == nil || s.ended() || s.Suspended() {
				continue
			}
			if m := p.members[s]; m != nil && m.listed {
				members[p] = append(members[p], m)
			}
		}
	}
	clear(r.stale)
	for p, those := range members {
		r.list(p, those)
	}
}

// to addresses a frame, if there is one.
func to(members []*presenceMember, f *wire.Frame) (all []presenceTo) {
	for _, m := range members {
		if f != nil {
			all = append(all, presenceTo{m.session, f})
		}
	}
	return all
}

// send has the hub queue frames for sessions that are still members of a room, or still are not.
func (r *roster) send(roomID string, frames []presenceTo, members bool) {
	for chunk := range slices.Chunk(frames, maxVisits) {
		r.hub.ask(func() {
			room := r.hub.rooms[roomID]
			for _, f := range chunk {
				if s := f.session; !s.ended() && (room != nil && s.membership(room) != nil) == members {
					if s.offer(f.frame) != nil {
						s.mayLackPresence(1)
					}
				}
			}
		})
	}
}

// frame encodes a payload; nil where the codec can't.
func (r *roster) frame(f presence.Frame) (frame *wire.Frame) {
	r.hub.contain("Codec", "", func() {
		payload, err := json.Marshal(f)
		if err == nil {
			frame, err = r.hub.cfg.encode(Frame{Event: EventPresence, Payload: payload})
		}
		if err != nil {
			r.hub.limited.Warn("wspulse: presence can't be encoded", zap.Error(err))
		}
	})
	return frame
}

// those returns members in no particular order.
func (p *presenceRoom) those(which func(*presenceMember) bool) (members []*presenceMember) {
	for _, m := range p.members {
		if which(m) {
			members = append(members, m)
		}
	}
	return members
}

// leavers returns those that have got a list and have left the room since, but are in others.
func (p *presenceRoom) leavers() (members []*presenceMember) {
	for _, m := range p.changed {
		if m.listed && !m.here && !m.session.ended() {
			members = append(members, m)
		}
	}
	return members
}

// changes returns what the members have not been told. They have been, from then on.
func (p *presenceRoom) changes() presence.Frame {
	f := presence.Frame{Room: p.id}
	joined := make(map[string]bool)
	for _, m := range p.changed {
		if m.here && (!m.wasHere || string(m.wasInfo) != string(m.info)) {
			joined[m.session.id] = true
		}
	}
	for _, m := range p.changed {
		id := m.session.id
		switch {
		case m.wasHere && !m.here:
			if !joined[id] { // or another session of that ID is in its place
				f.Leave = append(f.Leave, id)
			}
		case joined[id] || !m.here:
		case m.away && !m.wasAway:
			f.Away = append(f.Away, id)
		case m.wasAway && !m.away:
			f.Back = append(f.Back, id)
		}
		m.wasHere, m.wasAway, m.wasInfo, m.changed = m.here, m.away, m.info, false
		switch {
		case !m.here:
			delete(p.members, m.session)
		case joined[id]:
			f.Join = append(f.Join, m.entry())
		}
	}
	p.changed = p.changed[:0]
	f.Count = len(p.members)
	slices.SortFunc(f.Join, byID)
	for _, ids := range [][]string{f.Leave, f.Away, f.Back} {
		slices.Sort(ids)
	}
	return f
}

// list returns the members that others know of.
func (p *presenceRoom) list() presence.Frame {
	f := presence.Frame{Room: p.id, Full: true}
	for _, m := range p.members {
		if m.wasHere {
			f.Join = append(f.Join, m.entry())
		}
	}
	f.Count = len(f.Join)
	slices.SortFunc(f.Join, byID)
	return f
}

func byID(a, b presence.Member) int { return strings.Compare(a.ID, b.ID) }

// entry returns a member as others know it.
func (m *presenceMember) entry() presence.Member {
	return presence.Member{ID: m.session.id, User: m.session.UserID(), Info: m.wasInfo, Away: m.wasAway}
}
