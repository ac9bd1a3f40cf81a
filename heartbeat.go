package wspulse

import (
	"time"

	"github.com/wspulse/server/internal/line"
	"github.com/wspulse/server/internal/wire"
)

var pingFrame = wire.Ping()

// heartbeatBytes is more than a ping takes on the wire, under TLS too: that a peer's TCP has taken it says nothing of the peer.
const heartbeatBytes = 64

// A pulse is what the hub knows of the life of a link's peer. Bytes that come in are life, and so are bytes, but for those of
// pings, that the peer's TCP takes: a pong may stand behind what the peer uploads, a ping behind what it downloads.
type pulse struct {
	beat    line.Place[link] // in the line of links to ping
	silence line.Place[link] // in the line of links from which nothing has come since a ping; they are given up when it ends

	// Since the hub was made.
	pinged time.Duration // the last ping, or the beginning of the link
	silent time.Duration // the first ping without an answer, if silence is in its line

	reads uint32 // of the link, when it was last looked at
	taken uint64 // bytes that the peer's TCP had taken by then
}

// ping pings the links whose turn it is, after a look at what has come of the ping before.
func (h *hub) ping(now time.Time) {
	for l, ok := h.beats.Due(now); ok; l, ok = h.beats.Due(now) {
		p := &l.pulse
		h.mindJump(now, p.pinged+h.cfg.pingPeriod)
		first := p.pinged == p.silent
		switch alive := l.alive(); {
		case alive:
			h.silent.Remove(l)
		case !first && !h.silent.Contains(l):
			p.silent = p.pinged
			h.silent.PushDue(l, h.start.Add(p.silent+h.cfg.pongWait))
		}
		p.pinged = now.Sub(h.start)
		h.beats.Push(l, now)
		h.sendPing(l)
	}
}

func (h *hub) sendPing(l *link) {
	l.owed.Add(1)
	l.session.signal(l, pingFrame)
}

// giveUp ends the links whose peers have shown no life for pongWait after a ping. It asks once more where that may be the fault
// of this side.
func (h *hub) giveUp(now time.Time) {
	for l, ok := h.silent.Due(now); ok; l, ok = h.silent.Due(now) {
		h.mindJump(now, l.pulse.silent+h.cfg.pongWait)
		switch {
		case l.alive():
		case now.Sub(h.jumped) < h.cfg.pingPeriod, l.unheard():
			l.pulse.silent = now.Sub(h.start)
			h.silent.Push(l, now)
			h.sendPing(l)
		default:
			l.interrupt(errPongTime)
		}
	}
}

// mindJump notes that the hub is late for what was due: the process stood still, or the machine has too much to do. What has
// come in meanwhile may not have been read yet.
func (h *hub) mindJump(now time.Time, due time.Duration) {
	if late := now.Sub(h.start) - due; late > max(h.cfg.pingPeriod/2, 100*time.Millisecond) {
		h.jumped = now
	}
}

// alive says whether the peer has shown life since the last look. Hub.
func (l *link) alive() bool {
	p, reads := &l.pulse, l.reads.Load()&^1
	taken := l.socket.Progress()
	alive := reads != p.reads || taken > p.taken+heartbeatBytes
	p.reads, p.taken = reads, taken
	return alive
}

// unheard says that nobody can know yet whether the peer has answered: nobody reads, as a callback runs and too much waits behind
// it, or what has come has not been read yet.
func (l *link) unheard() bool {
	if l.reads.Load()&1 == 0 {
		return true
	}
	unread, _ := l.socket.Look()
	return unread
}
