package wspulse

import (
	"fmt"
	"math"
	"time"

	"github.com/gorilla/websocket"

	"github.com/wspulse/server/internal/line"
	"github.com/wspulse/server/internal/wire"
)

var pingFrame = wire.Ping()

// heartbeatBytes is more than a ping takes on the wire, under TLS too: that a peer's TCP has taken it says nothing of
// the peer.
const heartbeatBytes = 64

// slowestLine is the bytes a second that a peer is given time for, once its TCP has taken them, or that of a proxy
// before it: its pong comes when it has read what stands before the ping.
const slowestLine = 4 << 10

// A pulse is what the hub knows of the life of a link's peer. Bytes that come in are life: a pong may stand behind what
// the peer uploads. Those that its TCP takes give it time: a ping may stand behind what it downloads.
type pulse struct {
	beat    line.Place[link] // in the line of links to ping
	silence line.Place[link] // in that of links from which nothing has come since a ping; given up when it ends

	// Since the hub was made.
	pinged time.Duration // the last ping, or the beginning of the link
	silent time.Duration // the first ping without an answer, if silence is in its line

	reads uint32 // of the link, at the last ping
	ahead uint32 // bytes that the peer's TCP had still to take before the first ping without an answer
	taken uint64 // bytes that it had taken by then, or by the last ping
	seen  uint64 // the same when it was last looked at, if silence is in its line
}

// ping pings the links whose turn it is, after a look at what has come of the ping before.
func (h *hub) ping(now time.Time) {
	for l, ok := h.beats.Due(now); ok; l, ok = h.beats.Due(now) {
		p := &l.pulse
		h.mindJump(now, h.beats.Late())
		first := p.pinged == p.silent
		switch {
		case l.spoke():
			p.reads = l.reads.Load() &^ 1
			h.silent.Remove(l)
		case !first && !h.silent.Contains(l):
			p.silent, p.seen = p.pinged, p.taken
			h.silent.PushDue(l, h.start.Add(p.silent+h.cfg.pongWait))
		}
		if p.pinged = now.Sub(h.start); !h.silent.Contains(l) {
			l.mark()
		}
		h.beats.Push(l, now)
		h.sendPing(l)
		h.checkAcks(l, p.pinged)
	}
}

// checkAcks cuts a peer that has acknowledged nothing for too long.
func (h *hub) checkAcks(l *link, now time.Duration) {
	if l.v1 != nil && h.cfg.ackTimeout > 0 && l.session.outbox.unacknowledgedFor(now) > h.cfg.ackTimeout {
		l.interrupt(&LimitError{LimitAckTimeout, websocket.ClosePolicyViolation,
			fmt.Sprintf("nothing acknowledged for %v (WithAckTimeout)", h.cfg.ackTimeout)})
	}
}

func (h *hub) sendPing(l *link) {
	l.owed.Add(1)
	l.session.signal(l, pingFrame)
}

// giveUp ends the links whose peers have shown no life for pongWait after a ping. It asks once more where that may be
// the fault of this side.
func (h *hub) giveUp(now time.Time) {
	for l, ok := h.silent.Due(now); ok; l, ok = h.silent.Due(now) {
		h.mindJump(now, h.silent.Late())
		switch {
		case l.spoke():
		case now.Sub(h.jumped) < h.cfg.pingPeriod, l.unheard():
			l.pulse.silent = now.Sub(h.start)
			l.mark()
			h.silent.Push(l, now)
			h.sendPing(l)
		default:
			if h.start.Add(l.pulse.silent + h.cfg.pongWait + h.timeToRead(l, now)).After(now) {
				h.silent.Push(l, now)
			} else {
				l.interrupt(errPongTime)
			}
		}
	}
}

// mark notes how far the peer's TCP is when it is pinged.
func (l *link) mark() {
	pending, _ := l.socket.Pending()
	l.pulse.taken = l.socket.Progress()
	l.pulse.ahead = uint32(min(uint64(pending), math.MaxUint32))
}

// timeToRead is what a peer is given, beyond pongWait, for what its TCP has taken since the first ping without an
// answer. While the ping stands behind other bytes, and the line moves, it is given all the time that it needs.
func (h *hub) timeToRead(l *link, now time.Time) time.Duration {
	p, taken := &l.pulse, l.socket.Progress()
	moved := taken > p.seen+heartbeatBytes
	p.seen = taken
	if moved && (taken < p.taken+uint64(p.ahead) || l.session.outbox.signals()) {
		return now.Sub(h.start) - p.silent
	}
	pings := uint64((now.Sub(h.start)-p.silent)/h.cfg.pingPeriod) + 1
	read := taken - p.taken
	read -= min(read, pings*heartbeatBytes)
	return time.Duration(min(read, 1<<30)) * time.Second / slowestLine
}

// mindJump notes that the hub is late for what was due: the process stood still, or the machine has too much to do.
// What has come in meanwhile may not have been read yet.
func (h *hub) mindJump(now time.Time, late time.Duration) (jumped bool) {
	if jumped = late > max(h.cfg.pingPeriod/2, 100*time.Millisecond); jumped {
		h.jumped = now
	}
	return jumped
}

// spoke says whether something has come from the peer since the ping before. Hub.
func (l *link) spoke() bool { return l.reads.Load()&^1 != l.pulse.reads }

// unheard says that nobody can know yet whether the peer has answered: nobody reads, as a callback runs and too much
// waits behind it, or what has come has not been read yet.
func (l *link) unheard() bool {
	if l.reads.Load()&1 == 0 {
		return true
	}
	unread, _ := l.socket.Look()
	return unread
}
