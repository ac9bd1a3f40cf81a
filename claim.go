package wspulse

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/wspulse/server/internal/control"
	"github.com/wspulse/server/internal/line"
	"github.com/wspulse/server/internal/wire"
)

// How peers that speak wspulse.v1 come back: with a claim, whose token says that they are who has had the session.

const (
	tokenBytes    = 32
	graveyardTime = 5 * time.Minute // that a tombstone stands,
	mostGraves    = 65_536          // if there are no more than so many
	warTime       = 10 * time.Second
	warTakeovers  = 3 // within warTime, after which the transport that was taken over is not to come back
)

// An overture is what a request says that offers wspulse.v1, and the token that its peer is to get.
type overture struct {
	claim   *control.Claim // nil: it does not come back
	claimed digest         // of the claim's token
	token   string
	digest  digest // of the token
}

type digest [sha256.Size]byte

// offeredBy says whether a request offers wspulse.v1, and returns its claim, if there is one.
func offeredBy(r *http.Request) (v1 bool, claim *control.Claim) {
	if offers := r.Header["Sec-Websocket-Protocol"]; len(offers) > 0 {
		v1, claim, _ = control.Offered(wire.Elements(offers))
	}
	return v1, claim
}

// overtureOf returns nil for a request that does not offer wspulse.v1.
func overtureOf(r *http.Request) *overture {
	v1, claim := offeredBy(r)
	if !v1 {
		return nil
	}
	o := &overture{claim: claim}
	if claim != nil {
		o.claimed = sha256.Sum256([]byte(claim.Token))
	}
	var secret [tokenBytes]byte
	_, _ = rand.Read(secret[:]) // never fails
	o.token = base64.RawURLEncoding.EncodeToString(secret[:])
	o.digest = sha256.Sum256([]byte(o.token))
	return o
}

// assumedID is the connectionID of a request whose ConnectFunc leaves it open: that of the claim, unless it turns out
// to be worth nothing.
func (o *overture) assumedID(connectionID string) string {
	if connectionID == "" && o != nil && o.claim != nil {
		return o.claim.ID
	}
	return connectionID
}

// maxSpoken is the bytes of a connectionID that a hello can say, whatever is in it.
const maxSpoken = 512

// check refuses a request whose connectionID cannot be said in wspulse.v1.
func (o *overture) check(connectionID string) *refusal {
	text := ""
	switch {
	case o == nil:
	case len(connectionID) > maxSpoken:
		text = fmt.Sprintf("the connectionID has %d bytes, and wspulse.v1 can say %d: ConnectFunc must return a shorter one",
			len(connectionID), maxSpoken)
	case !utf8.ValidString(connectionID):
		text = "the connectionID is not UTF-8, and wspulse.v1 cannot say it: ConnectFunc must return one that is"
	}
	if text == "" {
		return nil
	}
	return &refusal{status: http.StatusInternalServerError, answer: text, level: zap.WarnLevel, kind: "connectionID", text: text}
}

// A credential is what a session knows of the tokens of its peer. Owned by the hub goroutine.
type credential struct {
	confirmed digest // of the last token that the peer is known to have got; zero: of none
	newest    digest // of the token that its latest transport has brought

	takeovers []time.Duration // since the hub was made: those within warTime of the latest
}

// admits says whether a token is one of the session's.
func (c *credential) admits(claimed digest) bool {
	return c.confirmed.is(claimed) || c.newest.is(claimed)
}

func (d digest) is(other digest) bool {
	return subtle.ConstantTimeCompare(d[:], other[:]) == 1 && d != digest{}
}

// renew notes the token that the peer is to get next. The one that it came with it has got, however many were lost
// since.
func (c *credential) renew(o *overture) {
	c.confirmed, c.newest = o.claimed, o.digest
}

// isWar counts a takeover, and says whether there were too many of late.
func (c *credential) isWar(now time.Duration) bool {
	c.takeovers = slices.DeleteFunc(c.takeovers, func(at time.Duration) bool { return now-at > warTime })
	c.takeovers = append(c.takeovers, now)
	return len(c.takeovers) >= warTakeovers
}

// A tombstone is what the hub remembers of a session that spoke wspulse.v1 and has ended.
type tombstone struct {
	id         string
	credential credential
	processed  *atomic.Uint64 // messages of the peer; a callback may still be running
	reason     string         // of its end
	place      line.Place[tombstone]
}

// A graveyard is the tombstones of a server. Owned by the hub goroutine.
type graveyard struct {
	byID map[string]*tombstone
	line *line.Line[tombstone]
}

func newGraveyard() graveyard {
	return graveyard{
		byID: make(map[string]*tombstone),
		line: line.New(graveyardTime, func(t *tombstone) *line.Place[tombstone] { return &t.place }),
	}
}

func (g *graveyard) add(t *tombstone, now time.Time) {
	g.remove(t.id)
	if g.line.Len() >= mostGraves {
		g.remove(g.line.First().id)
	}
	g.byID[t.id] = t
	g.line.Push(t, now)
}

func (g *graveyard) remove(id string) {
	if t := g.byID[id]; t != nil {
		g.line.Remove(t)
		delete(g.byID, id)
	}
}

// expire removes the tombstones that have stood long enough.
func (g *graveyard) expire(now time.Time) {
	for t, ok := g.line.Due(now); ok; t, ok = g.line.Due(now) {
		delete(g.byID, t.id)
	}
}

// A comeback is what has become of a claim.
type comeback struct {
	resumes bool
	reason  string // why not; empty without a claim
	recv    uint64 // messages of the peer that the session it asks for has processed, if that is over
}

// weigh says what a claim is worth, and gives its ID to a registration that has none. s is the session of that ID.
func (h *hub) weigh(r *registration) (s *session, c comeback) {
	o := r.overture
	if o == nil || o.claim == nil {
		return h.sessions[r.connectionID], comeback{}
	}
	s = h.sessions[o.claim.ID]
	admitted := s != nil && s.admits(o.claimed)
	c.reason, c.recv = h.epitaph(o)
	switch {
	case r.connectionID == "" && admitted:
		r.connectionID = o.claim.ID
	case r.connectionID == "":
		r.connectionID = uuid.NewString()
	case r.connectionID != o.claim.ID:
		c = comeback{reason: "identity"}
	}
	switch {
	case r.connectionID != o.claim.ID || !admitted:
		return h.sessions[r.connectionID], c
	case !h.agrees(s, *r):
		return s, comeback{reason: "identity"}
	}
	return s, comeback{resumes: true}
}

// epitaph says what is known of the session that a claim asks for, where it is not there.
func (h *hub) epitaph(o *overture) (reason string, recv uint64) {
	if t := h.graves.byID[o.claim.ID]; t != nil && t.credential.admits(o.claimed) {
		return t.reason, t.processed.Load()
	}
	if h.sessions[o.claim.ID] != nil {
		return "token", 0
	}
	return "expired", 0
}

// admits says whether a token is the session's.
func (s *session) admits(claimed digest) bool {
	return s.credential != nil && s.tokens().admits(claimed)
}

// tokens returns the credential of a session that speaks wspulse.v1, after a look at whether its peer has got the
// newest token.
func (s *session) tokens() *credential {
	if s.outbox.isConfirmed() {
		s.credential.confirmed = s.credential.newest
	}
	return s.credential
}

// comeBack resumes a session whose peer has a good claim, also where its old transport is not known to be dead. A claim
// that counts what the session has never sent, or what it has forgotten, ends it.
func (h *hub) comeBack(s *session, r registration) {
	h.turnNextAway(s)
	news, late, ok := s.outbox.claim(r.overture.claim.Recv)
	if !ok {
		h.cfg.lossless.CountMismatch(s.RoomID(), s.id)
		err := &protocolError{reason: "peer counts messages that it has not been sent", counts: true}
		h.succeed(s, r, comeback{reason: "count", recv: s.outbox.ledger.processed.Load()}, endCounts, err)
		return
	}
	h.sent(s, late)
	if news > 0 {
		h.cfg.lossless.DuplicatesSuppressed(s.RoomID(), s.id, int(news))
	}
	if s.link != nil {
		h.takeOver(s)
	}
	s.credential.renew(r.overture)
	h.resume(s, r, h.welcome(s, r, comeback{resumes: true}))
}

// takeOver takes its link from a session whose peer has another one already.
func (h *hub) takeOver(s *session) {
	l, err := s.link, ErrTransportReplaced
	if s.credential != nil && s.credential.isWar(time.Since(h.start)) {
		err = errTakeoverWar
	}
	h.cfg.lossless.TransportReplaced(s.RoomID(), s.id)
	h.cfg.logger.Debug("wspulse: transport replaced", s.field())
	h.detach(s)
	if h.cfg.onTransportDrop != nil {
		h.callback(s, callback{"OnTransportDrop", func(c Connection) { h.cfg.onTransportDrop(c, err) }})
	}
	l.interrupt(err)
	l.passReadingOn()
}

// errTakeoverWar is an ErrTransportReplaced for a peer that is not to come back.
var errTakeoverWar = fmt.Errorf("%w, too often", ErrTransportReplaced)

// welcome returns what the peer is told first.
func (h *hub) welcome(s *session, r registration, c comeback) *control.Welcome {
	w := &control.Welcome{
		ID:        s.id,
		Resumed:   c.resumes,
		Reason:    c.reason,
		Recv:      c.recv,
		Window:    h.cfg.resumeWindow.Milliseconds(),
		Heartbeat: h.cfg.pingPeriod.Milliseconds(),
		MaxBytes:  h.cfg.maxMessageSize,
		Inflight:  h.cfg.inflight(),
	}
	if h.cfg.resumeWindow > 0 {
		w.Token = r.overture.token
	}
	return w
}

// bury remembers a session that spoke wspulse.v1.
func (h *hub) bury(s *session, e *ending) {
	if s.credential == nil || h.cfg.resumeWindow == 0 || e == endServerClosed { // then nobody asks any more
		return
	}
	t := &tombstone{id: s.id, credential: *s.tokens(), processed: s.outbox.ledger.processed, reason: e.bye.Reason}
	h.graves.add(t, time.Now())
}
