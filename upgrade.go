package wspulse

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/wspulse/server/internal/attachment"
	"github.com/wspulse/server/internal/control"
	"github.com/wspulse/server/internal/wire"
)

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	arrival := s.arrivals.Add(1)
	if s.cfg.handshakeTimeout > 0 {
		ctx, cancel := context.WithTimeoutCause(r.Context(), s.cfg.handshakeTimeout, errHandshakeTime)
		defer cancel()
		r = r.WithContext(ctx)
	}
	if f := s.serve(w, r, arrival); f != nil && !s.refuseInBand(w, r, f) {
		s.refuse(w, r, f)
	}
}

// serve makes a session of a request, or says how it is to be refused.
func (s *server) serve(w http.ResponseWriter, r *http.Request, arrival uint64) *refusal {
	if f := s.check(r); f != nil {
		return f
	}
	from, f := s.identify(r)
	if f == nil {
		f = checkWriter(w)
	}
	if f != nil {
		return f
	}
	opens := overtureOf(r)
	if f := opens.check(from.connectionID); f != nil {
		return f
	}
	if f := s.checkDuplicate(from.connectionID, opens); f != nil {
		return f
	}
	held, full := s.hub.beginUpgrade(opens.assumedID(from.connectionID), from.key)
	switch full {
	case "":
	case limitClosed:
		return refuseClosed
	default:
		return s.refuseLimit(full)
	}
	var l *link
	defer func() { s.hub.endUpgrade(held, l) }() // also when a middleware panics
	if l, f = s.upgrade(w, r, opens != nil); f != nil || l == nil {
		return f
	}
	g := registration{from.roomID, from.connectionID, held, l, arrival, opens, from.details}
	if f = s.register(r, g); f != nil {
		s.record(r, f)
		l.socket.Abort()
		l = nil
	}
	return nil
}

var errHandshakeTime = errors.New("wspulse: the handshake took too long")

// whyOver says why a request can become a session no more: its context is done, since its client has left, or since
// what is in front of the server has given it up; or the client has left and net/http has not noticed, as it does not
// where something came behind the request. It returns nil while nothing of that is known. socket is that of the request
// from when it has been taken over from net/http until it is answered, and nil before and after: once a client has its
// answer it may say something and leave.
func whyOver(r *http.Request, socket *wire.Socket) error {
	if err := context.Cause(r.Context()); err != nil {
		return err
	}
	if socket != nil && socket.Gone() {
		return context.Canceled // as net/http does it
	}
	return nil
}

// A request is who asks to come in. Its strings are copies: those that connect returns are mostly parts of the
// request's first line or of a cookie, and would keep all of that for as long as the session lasts.
type request struct {
	roomID, connectionID string
	key                  string   // of WithConnectionLimit
	details              *Details // that ConnectFunc has attached; nil: none
}

// check refuses a request that cannot become a session, before the application is asked: a ticket that ConnectFunc
// takes once would be lost.
func (s *server) check(r *http.Request) *refusal {
	if wrong := wire.CheckUpgrade(r); wrong != nil {
		return refuseUpgrade(wrong)
	}
	select {
	case <-s.hub.quit:
		return refuseClosed
	default:
	}
	return s.over(r, nil)
}

// identify asks the application who a request is from, and whether it may come in.
func (s *server) identify(r *http.Request) (from request, f *refusal) {
	var err error
	asked, held := attachment.With[Details](r)
	connect := func() { from.roomID, from.connectionID, err = s.cfg.connect(asked) }
	if f = s.ask(r, "ConnectFunc", "", connect); f != nil {
		return request{}, f
	}
	if err != nil {
		return request{}, refuseConnect(err)
	}
	from.details = held.Details.copied()
	if f = s.checkDetails(&from); f != nil {
		return request{}, f
	}
	if s.cfg.checkOrigin != nil {
		accepted, expected := false, "the function of WithCheckOrigin says so"
		noted := r.WithContext(context.WithValue(r.Context(), expectedKey{}, &expected))
		if f = s.ask(r, "CheckOrigin", from.connectionID, func() { accepted = s.cfg.checkOrigin(noted) }); f != nil {
			return request{}, f
		}
		if !accepted {
			return request{}, refuseOrigin(r, expected)
		}
	}
	if s.cfg.connectionKey != nil {
		key := func() { from.key = s.cfg.connectionKey(r) }
		if f = s.ask(r, "WithConnectionLimit", from.connectionID, key); f != nil {
			return request{}, f
		}
	}
	from.roomID, from.connectionID = strings.Clone(from.roomID), strings.Clone(from.connectionID)
	from.key = strings.Clone(from.key)
	return from, nil
}

// checkDetails refuses a request for which ConnectFunc says what can't be.
func (s *server) checkDetails(from *request) *refusal {
	err := s.cfg.checkID("room", from.roomID)
	if err == nil {
		err = s.cfg.checkID("connectionID", from.connectionID)
	}
	if err != nil {
		return refuseID(err)
	}
	if from.details == nil {
		return nil
	}
	if err := from.details.check(s.cfg, from.roomID); err != nil {
		return refuseDetails(err)
	}
	if at := from.details.Expires; !at.IsZero() && !time.Now().Round(0).Before(at.Round(0)) {
		return refuseConnect(fmt.Errorf("Details.Expires %v has passed", at))
	}
	return nil
}

// ask runs a function of the application that looks at a request, and refuses the request when that panics, or when the
// request has ended meanwhile, whatever the function says.
func (s *server) ask(r *http.Request, name, connectionID string, fn func()) *refusal {
	if !s.hub.contain(name, connectionID, fn) {
		return refusePanic(name)
	}
	return s.over(r, nil)
}

// over refuses a request that can become a session no more.
func (s *server) over(r *http.Request, socket *wire.Socket) *refusal {
	switch cause := whyOver(r, socket); {
	case cause == nil:
		return nil
	case errors.Is(cause, errHandshakeTime):
		return s.refuseLimit(LimitHandshakeTime)
	default:
		return refuseEnded(cause)
	}
}

// upgrade makes a WebSocket of a request. It returns neither that nor a refusal when nobody is there to read an answer.
func (s *server) upgrade(w http.ResponseWriter, r *http.Request, v1 bool) (*link, *refusal) {
	wait := s.cfg.writeWait
	if by, ok := r.Context().Deadline(); ok {
		wait = min(wait, time.Until(by))
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, refuseHijack(w, err)
	}
	l := newLink(s.hub, s.hub.adopt(conn))
	if f := s.over(r, &l.socket); f != nil {
		s.record(r, f) // net/http gives no answer any more
		l.socket.Abort()
		return nil, nil
	}
	chosen := wire.Chosen{Protocol: control.Protocol, Header: w.Header()}
	if !v1 {
		chosen.Protocol = s.cfg.selectSubprotocol(r)
	}
	if s.cfg.deflater != nil {
		chosen.Extensions = wire.NegotiateDeflate(r.Header["Sec-Websocket-Extensions"])
	}
	early, err := l.socket.Accept(buffered.Reader, r, chosen, wait)
	if err != nil {
		s.hub.limited.Warn("wspulse: upgrade failed", zap.String("remoteAddr", r.RemoteAddr), zap.Error(err))
		return nil, nil
	}
	l.upgraded(early, chosen)
	return l, nil
}

// register hands a link to the hub, unless its request ends before that takes it. Where the hub is ending it says so to
// the peer.
func (s *server) register(r *http.Request, g registration) *refusal {
	if g.connectionID == "" && (g.overture == nil || g.overture.claim == nil) { // or the claim may say who it is
		g.connectionID = uuid.NewString()
	}
	if f := s.over(r, nil); f != nil {
		return f
	}
	select {
	case s.hub.registrations <- g:
	case <-r.Context().Done():
		return s.over(r, nil)
	case <-s.hub.quit:
		g.link.socket.CloseAfter(g.link.refusedAtClose(), time.Now().Add(closeGrace))
	}
	return nil
}
