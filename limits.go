package wspulse

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/zap"

	"github.com/wspulse/server/internal/wire"
)

// Limit names a limit that a [LimitCollector] hears of. It is a short lower-case word, fit for a metric label.
type Limit string

// The limits, by the option that sets them.
const (
	LimitMaxMessageSize  Limit = "max_message_size"  // WithMaxMessageSize
	LimitMaxConnections  Limit = "max_connections"   // WithMaxConnections
	LimitConnections     Limit = "connection_limit"  // WithConnectionLimit
	LimitHandshakeTime   Limit = "handshake_timeout" // WithHandshakeTimeout
	LimitMessageRate     Limit = "message_rate"      // WithMessageRate
	LimitMessageTime     Limit = "message_timeout"   // WithMessageTimeout
	LimitMalformed       Limit = "malformed"         // WithMalformedLimit
	LimitSendBufferBytes Limit = "send_buffer_bytes" // WithSendBufferBytes
	LimitMemoryBudget    Limit = "memory_budget"     // WithMemoryBudget
)

// A LimitCollector is a [MetricsCollector] that hears of the limits that peers run into. WithMetrics finds out by itself
// whether a collector is one.
type LimitCollector interface {
	// LimitReached: a limit refused a request, ended a transport, or cost frames that FrameDropped counts one by one. Both
	// IDs are empty for a request that was not upgraded, and for the memory budget. On the goroutine that enforces it: the one in
	// ServeHTTP, the readPump, the hub, or the one in Send. The rules for the other hooks hold.
	LimitReached(limit Limit, roomID, connectionID string)
}

// LimitReached does nothing.
func (NoopCollector) LimitReached(_ Limit, _, _ string) {}

// LimitError is the error that OnTransportDrop or OnDisconnect gets when a limit has ended a transport, but for that of
// WithMaxMessageSize: its error wraps websocket.ErrReadLimit.
type LimitError struct {
	Limit  Limit
	Code   int    // of the close frame that the peer got
	Reason string // the same; it names the bound
}

// Error says which bound was reached.
func (e *LimitError) Error() string { return "wspulse: " + e.Reason }

// limitReached tells the collector and, once a second for each limit, the log.
func (h *hub) limitReached(limit Limit, roomID, connectionID string, detail zap.Field) {
	if h.cfg.limits != nil {
		h.cfg.limits.LimitReached(limit, roomID, connectionID)
	}
	if entry := h.limited.Check(zap.WarnLevel, "wspulse: limit reached: "+string(limit)); entry != nil {
		entry.Write(zap.String("connectionID", connectionID), zap.String("roomID", roomID), detail)
	}
}

// retryAfter is what a client that a limit has refused is told to wait, in seconds.
const retryAfter = "5"

// An admission counts the sessions, connected or suspended, and the upgrades under way that are for a new one. hub.mu guards
// it.
type admission struct {
	seats int
	byKey map[string]int // none of them is 0
}

// full says which limit refuses another seat.
func (a *admission) full(cfg *serverConfig, key string) Limit {
	switch {
	case cfg.maxConnections > 0 && a.seats >= cfg.maxConnections:
		return LimitMaxConnections
	case key != "" && a.byKey[key] >= cfg.connectionLimit:
		return LimitConnections
	}
	return ""
}

func (a *admission) take(key string) {
	a.seats++
	if key != "" {
		a.byKey[key]++
	}
}

func (a *admission) free(key string) {
	a.seats--
	if key == "" {
		return
	}
	if a.byKey[key]--; a.byKey[key] == 0 {
		delete(a.byKey, key)
	}
}

// A seat is what an upgrade holds until its session does.
type seat struct {
	taken bool   // false: the upgrade is to resume or replace a session
	key   string // of WithConnectionLimit
}

// claim sees to it that a new session has a seat, also where its upgrade was to resume or replace another one. old is the
// session that it replaces, if there is one: what that has on its limits is counted as free. Hub.
func (h *hub) claim(place seat, old *session) (full Limit) {
	if place.taken {
		return ""
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if old != nil {
		h.admission.free(old.key)
		defer h.admission.take(old.key)
	}
	if full = h.admission.full(h.cfg, place.key); full == "" {
		h.admission.take(place.key)
	}
	return full
}

// turnAway closes the WebSocket of a registration for which a limit leaves no seat. Hub.
func (h *hub) turnAway(r registration, full Limit) {
	h.limitReached(full, r.roomID, r.connectionID, zap.Stringer("remoteAddr", r.link.socket.RemoteAddr()))
	h.links.Add(1)
	go func() {
		defer h.links.Done()
		r.link.socket.Part(wire.Close(websocket.CloseTryAgainLater, "too many connections"), time.Now().Add(closeGrace))
	}()
}

// A rate is a token bucket: so many messages a second, and a burst of as many as it holds.
type rate struct {
	perSecond float64
	burst     float64
}

// A meter is the state of a rate for one link.
type meter struct {
	used  float64   // tokens
	at    time.Time // when that was so
	spare float64   // tokens for what waited while a callback ran; they lapse when nothing has come for spareTime
}

// spareTime is longer than any pause between messages that waited, once somebody reads them.
const spareTime = time.Second

// refill gives back the tokens of the time that has passed, and returns those that were more than there was room for.
func (m *meter) refill(r rate, now time.Time) (over float64) {
	m.used -= now.Sub(m.at).Seconds() * r.perSecond
	m.at = now
	over = max(0, -m.used)
	m.used = max(0, m.used)
	return over
}

// credit lets the peer send at once what it was due to send while a callback of that duration ran, beyond its burst.
func (m *meter) credit(r rate, now time.Time, d time.Duration) {
	if r.burst == 0 {
		return
	}
	m.spare += min(m.refill(r, now), d.Seconds()*r.perSecond)
}

// take says whether there is a token left.
func (m *meter) take(r rate, now time.Time) bool {
	if now.Sub(m.at) > spareTime {
		m.spare = 0
	}
	m.refill(r, now)
	switch {
	case m.used+1 <= r.burst:
		m.used++
	case m.spare >= 1:
		m.spare--
	default:
		return false
	}
	return true
}

// checkRate ends a transport whose peer sends more than it may. A close frame is free, and so is a pong that answers a ping.
func (l *link) checkRate(opcode wire.Opcode) error {
	r := l.hub.cfg.messageRate
	if r.burst == 0 || opcode == wire.OpClose {
		return nil
	}
	if opcode == wire.OpPong && l.owed.Load() > 0 {
		l.owed.Add(-1)
		return nil
	}
	if l.received.take(r, time.Now()) {
		return nil
	}
	return &LimitError{LimitMessageRate, websocket.ClosePolicyViolation,
		fmt.Sprintf("more than %v messages a second, after a burst of %.0f", r.perSecond, r.burst)}
}

// limitReached tells of a limit that ends the link, unless the session has ended before.
func (l *link) limitReached(limit Limit) {
	if !l.session.ended() {
		l.hub.limitReached(limit, l.session.RoomID(), l.session.id, zap.Stringer("remoteAddr", l.socket.RemoteAddr()))
	}
}

// checkMalformed ends a transport whose peer sends nothing but malformed messages.
func (l *link) checkMalformed() error {
	most := l.hub.cfg.malformedLimit
	if l.malformed++; most == 0 || l.malformed < most {
		return nil
	}
	return &LimitError{LimitMalformed, websocket.CloseInvalidFramePayloadData, fmt.Sprintf("%d malformed messages in a row", most)}
}

// setReadDeadline sets the deadline of reading: that of the next pong, or that of the message that is coming in.
func (l *link) setReadDeadline() error {
	if l.late() {
		return l.socket.SetReadDeadline(l.messageBy)
	}
	return l.socket.SetReadDeadline(l.deadline)
}

// late says that the message that is coming in has less time than the next pong.
func (l *link) late() bool { return !l.messageBy.IsZero() && l.messageBy.Before(l.deadline) }

// messageBegun gives a message of which a part is there its time, pongs or not.
func (l *link) messageBegun() {
	l.messageBy = time.Now().Add(l.hub.cfg.messageTimeout)
	if l.late() {
		_ = l.setReadDeadline() // reading fails at once where this does
	}
}

func (l *link) messageDone() {
	late := l.late()
	l.messageBy = time.Time{}
	if late {
		_ = l.setReadDeadline()
	}
}

// reclaim brings the bytes in all queues down to seven eighths of the budget. The largest queues pay, each its oldest
// frames, until they are as small as the next. Hub.
func (h *hub) reclaim() {
	over := h.queued.Load() - h.cfg.memoryBudget
	if h.cfg.memoryBudget == 0 || over <= 0 {
		return
	}
	type debtor struct {
		session *session
		bytes   int
	}
	var debtors []debtor
	for _, s := range h.sessions {
		if n := s.outbox.size(); n > 0 {
			debtors = append(debtors, debtor{s, n})
		}
	}
	if len(debtors) == 0 {
		return
	}
	slices.SortFunc(debtors, func(a, b debtor) int { return cmp.Compare(b.bytes, a.bytes) })
	level, excess := 0, int(over+h.cfg.memoryBudget/8)
	for n, sum := 1, 0; n <= len(debtors); n++ { // the n largest come down to one level
		sum += debtors[n-1].bytes
		if level = max(0, (sum-excess)/n); n == len(debtors) || level >= debtors[n].bytes {
			break
		}
	}
	dropped := 0
	for _, d := range debtors {
		if d.bytes <= level {
			break
		}
		n := d.session.outbox.shrink(level)
		d.session.dropped(n)
		dropped += n
	}
	h.limitReached(LimitMemoryBudget, "", "", zap.Int("framesDropped", dropped))
}

// overBudget asks the hub to reclaim, if need be.
func (h *hub) overBudget() {
	if h.cfg.memoryBudget == 0 || h.queued.Load() <= h.cfg.memoryBudget {
		return
	}
	select {
	case h.reclaims <- struct{}{}:
	default: // it has been asked already
	}
}
