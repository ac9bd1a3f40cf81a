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

	"github.com/wspulse/server/internal/wire"
)

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.cfg.handshakeTimeout > 0 {
		ctx, cancel := context.WithTimeoutCause(r.Context(), s.cfg.handshakeTimeout, errHandshakeTime)
		defer cancel()
		r = r.WithContext(ctx)
	}
	from, ok := s.identify(w, r)
	if !ok {
		return
	}
	held, full := s.hub.beginUpgrade(from.connectionID, from.key)
	switch full {
	case "":
	case limitClosed:
		s.answer(w, http.StatusServiceUnavailable)
		return
	default:
		s.busy(w, r, full)
		return
	}
	var l *link
	defer func() { s.hub.endUpgrade(held, l) }() // also when a middleware panics
	if l = s.upgrade(w, r); l != nil {
		s.hub.register(from.roomID, from.connectionID, held, l)
	}
}

var errHandshakeTime = errors.New("wspulse: the handshake took too long")

// A request is who asks to come in. Its strings are copies: those that connect returns are mostly parts of the request's
// first line or of a cookie, and would keep all of that for as long as the session lasts.
type request struct {
	roomID, connectionID string
	key                  string // of WithConnectionLimit
}

// identify asks the application who a request is from, and whether it may come in. It answers one that may not.
func (s *server) identify(w http.ResponseWriter, r *http.Request) (g request, ok bool) {
	var (
		err      error
		accepted = true
	)
	switch {
	case !s.hub.contain("ConnectFunc", "", func() { g.roomID, g.connectionID, err = s.cfg.connect(r) }):
		s.answer(w, http.StatusInternalServerError)
	case errors.Is(context.Cause(r.Context()), errHandshakeTime):
		s.busy(w, r, LimitHandshakeTime)
	case err != nil:
		s.cfg.logger.Debug("wspulse: refused by ConnectFunc", zap.String("remoteAddr", r.RemoteAddr))
		s.answer(w, http.StatusUnauthorized)
	case s.cfg.checkOrigin != nil &&
		!s.hub.contain("CheckOrigin", g.connectionID, func() { accepted = s.cfg.checkOrigin(r) }):
		s.answer(w, http.StatusInternalServerError)
	case !accepted:
		s.refuse(w, r, http.StatusForbidden, fmt.Errorf("origin refused: %.100q", strings.Join(r.Header["Origin"], ", ")))
	case s.cfg.connectionKey != nil &&
		!s.hub.contain("WithConnectionLimit", g.connectionID, func() { g.key = s.cfg.connectionKey(r) }):
		s.answer(w, http.StatusInternalServerError)
	default:
		return request{strings.Clone(g.roomID), strings.Clone(g.connectionID), strings.Clone(g.key)}, true
	}
	return request{}, false
}

// upgrade makes a WebSocket of a request, or answers it and returns nil.
func (s *server) upgrade(w http.ResponseWriter, r *http.Request) *link {
	if err := wire.CheckUpgrade(r); err != nil {
		s.refuse(w, r, http.StatusBadRequest, err)
		return nil
	}
	wait := s.cfg.writeWait
	if by, ok := r.Context().Deadline(); ok && s.cfg.handshakeTimeout > 0 {
		if wait = min(wait, time.Until(by)); wait <= 0 {
			s.busy(w, r, LimitHandshakeTime)
			return nil
		}
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		s.refuse(w, r, http.StatusInternalServerError, err)
		return nil
	}
	deflate := ""
	if s.cfg.deflater != nil {
		deflate = wire.NegotiateDeflate(r.Header["Sec-Websocket-Extensions"])
	}
	early, err := wire.Accept(conn, buffered.Reader, r, deflate, wait)
	if err != nil {
		s.hub.limited.Warn("wspulse: upgrade failed", zap.String("remoteAddr", r.RemoteAddr), zap.Error(err))
		return nil
	}
	return newLink(s.hub, conn, early, deflate != "")
}

// busy answers a request that a limit refuses.
func (s *server) busy(w http.ResponseWriter, r *http.Request, limit Limit) {
	s.hub.limitReached(limit, "", "", zap.String("remoteAddr", r.RemoteAddr))
	w.Header().Set("Retry-After", retryAfter)
	if limit == LimitConnections {
		s.answer(w, http.StatusTooManyRequests)
	} else {
		s.answer(w, http.StatusServiceUnavailable)
	}
}

// retryAfter is what a client that a limit has refused is told to wait, in seconds.
const retryAfter = "5"

// refuse answers a request that does not become a WebSocket, and logs why.
func (s *server) refuse(w http.ResponseWriter, r *http.Request, status int, reason error) {
	s.hub.limited.Warn("wspulse: upgrade refused", zap.Int("status", status), zap.String("remoteAddr", r.RemoteAddr), zap.Error(reason))
	w.Header().Set("Sec-WebSocket-Version", "13") // RFC 6455, section 4.4
	s.answer(w, status)
}

// answer writes an error response that says no more than its status. What the log says of it is written before, unless the sink
// is slow.
func (s *server) answer(w http.ResponseWriter, status int) {
	s.cfg.logs.wait(logHaste)
	http.Error(w, http.StatusText(status), status)
}

// register hands a link to the hub, or refuses the peer where the hub is ending.
func (h *hub) register(roomID, connectionID string, held seat, l *link) {
	if connectionID == "" {
		connectionID = uuid.NewString()
	}
	select {
	case h.registrations <- registration{roomID, connectionID, held, l}:
	case <-h.quit:
		l.socket.CloseAfter(endServerClosed.closeFrame, time.Now().Add(closeGrace))
	}
}
