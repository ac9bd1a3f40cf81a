// Package wspulse is a WebSocket session server to mount in a Go program: an http.Handler with rooms, Send, Broadcast and
// Kick, whose sessions can survive a dropped connection.
//
//	server := wspulse.NewServer(func(r *http.Request) (roomID, connectionID string, err error) {
//		return r.URL.Query().Get("room"), "", nil
//	})
//	defer server.Close()
//	http.Handle("/ws", server)
//
// A [Connection] is a session: it has an ID, a room and a queue of frames for its peer, and with [WithResumeWindow] it
// outlives the WebSocket that carries it. Callbacks (see [WithOnConnect]) tell of its life, one at a time.
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

// Server is an http.Handler that upgrades requests to WebSockets and keeps their sessions. All methods may be called
// from any goroutine, callbacks included, but not from the hooks of a [MetricsCollector]. The calls of one goroutine
// take effect in the order in which it made them.
type Server interface {
	// ServeHTTP runs ConnectFunc and upgrades the request. It answers 401 to an error from ConnectFunc, 500 to a panic
	// in it or in another function that looks at the request, 403 to a refused origin, 400 to a request that is no
	// upgrade, 503 after Close, and 503 or 429 with Retry-After to one that is over a limit.
	http.Handler

	// Send queues a frame for one session, connected or suspended. It never waits for the peer. Errors:
	// ErrConnectionNotFound; ErrSendBufferFull, the frame is dropped; or the codec's error, nothing is queued.
	Send(connectionID string, f Frame) error

	// Broadcast queues a frame for all members of a room, encoded once. For a member whose buffer is full the oldest
	// queued frame is dropped. It never waits for a peer, and does not report members that lose a frame; see
	// MetricsCollector.FrameDropped. An unknown room is no error. Errors: ErrServerClosed, or the codec's error.
	Broadcast(roomID string, f Frame) error

	// Kick ends a session, suspended or not: what is queued is dropped, and the peer reads close code 1000 with the
	// reason "kicked". It returns when the session is out of its room and Done is closed. Errors: ErrConnectionNotFound,
	// ErrServerClosed.
	Kick(connectionID string) error

	// GetConnections returns the members of a room, suspended ones included, in no particular order. It is empty, not
	// nil, for an unknown room.
	GetConnections(roomID string) []Connection

	// Close ends all sessions: what is queued is written within writeWait, then a close frame (1001). It returns when
	// every socket is closed, but does not wait for callbacks: OnDisconnect may still run. It may be called many times,
	// and from callbacks; each call waits.
	Close()
}

type server struct {
	cfg *serverConfig
	hub *hub
}

// NewServer starts a server. It panics when connect is nil. Close it to end its goroutines.
func NewServer(connect ConnectFunc, options ...ServerOption) Server {
	if connect == nil {
		panic("wspulse: NewServer: connect must not be nil")
	}
	cfg := defaultConfig(connect)
	for _, option := range options {
		option(cfg)
	}
	s := &server{cfg: cfg, hub: newHub(cfg)}
	go s.hub.run()
	cfg.logger.Info("wspulse: server started", zap.Duration("resumeWindow", cfg.resumeWindow))
	if cfg.checkOrigin == nil {
		cfg.logger.Warn("wspulse: every origin is accepted: any web page can connect as its visitor; see WithCheckOrigin")
	}
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.cfg.handshakeTimeout > 0 {
		ctx, cancel := context.WithTimeoutCause(r.Context(), s.cfg.handshakeTimeout, errHandshakeTime)
		defer cancel()
		r = r.WithContext(ctx)
	}
	guest, ok := s.identify(w, r)
	if !ok {
		return
	}
	place, full := s.hub.enter(guest.connectionID, guest.key)
	switch full {
	case "":
	case limitClosed:
		answer(w, http.StatusServiceUnavailable)
		return
	default:
		s.busy(w, r, full)
		return
	}
	var l *link
	defer func() { s.hub.exit(place, l) }() // also when a middleware panics
	if l = s.upgrade(w, r); l != nil {
		s.hub.register(guest.roomID, guest.connectionID, place, l)
	}
}

var errHandshakeTime = errors.New("wspulse: the handshake took too long")

// A guest is who a request is from. Its strings are copies: those that connect returns are mostly parts of the request's
// first line or of a cookie, and would keep all of that for as long as the session lasts.
type guest struct {
	roomID, connectionID string
	key                  string // of WithConnectionLimit
}

// identify asks the application who a request is from, and whether it may come in. It answers one that may not.
func (s *server) identify(w http.ResponseWriter, r *http.Request) (g guest, ok bool) {
	var (
		err      error
		accepted = true
	)
	switch {
	case !s.hub.contain("ConnectFunc", "", func() { g.roomID, g.connectionID, err = s.cfg.connect(r) }):
		answer(w, http.StatusInternalServerError)
	case errors.Is(context.Cause(r.Context()), errHandshakeTime):
		s.busy(w, r, LimitHandshakeTime)
	case err != nil:
		s.cfg.logger.Debug("wspulse: refused by ConnectFunc", zap.String("remoteAddr", r.RemoteAddr))
		answer(w, http.StatusUnauthorized)
	case s.cfg.checkOrigin != nil &&
		!s.hub.contain("CheckOrigin", g.connectionID, func() { accepted = s.cfg.checkOrigin(r) }):
		answer(w, http.StatusInternalServerError)
	case !accepted:
		s.refuse(w, r, http.StatusForbidden, fmt.Errorf("origin refused: %.100q", strings.Join(r.Header["Origin"], ", ")))
	case s.cfg.connectionKey != nil &&
		!s.hub.contain("WithConnectionLimit", g.connectionID, func() { g.key = s.cfg.connectionKey(r) }):
		answer(w, http.StatusInternalServerError)
	default:
		return guest{strings.Clone(g.roomID), strings.Clone(g.connectionID), strings.Clone(g.key)}, true
	}
	return guest{}, false
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
		answer(w, http.StatusTooManyRequests)
	} else {
		answer(w, http.StatusServiceUnavailable)
	}
}

// refuse answers a request that does not become a WebSocket, and logs why.
func (s *server) refuse(w http.ResponseWriter, r *http.Request, status int, reason error) {
	s.hub.limited.Warn("wspulse: upgrade refused", zap.Int("status", status), zap.String("remoteAddr", r.RemoteAddr), zap.Error(reason))
	w.Header().Set("Sec-WebSocket-Version", "13") // RFC 6455, section 4.4
	answer(w, status)
}

// answer writes an error response that says no more than its status.
func answer(w http.ResponseWriter, status int) {
	http.Error(w, http.StatusText(status), status)
}

func (s *server) Send(connectionID string, f Frame) error {
	session, _ := s.hub.session(connectionID)
	if session == nil {
		return ErrConnectionNotFound
	}
	err := session.Send(f)
	if errors.Is(err, ErrConnectionClosed) {
		return ErrConnectionNotFound
	}
	return err
}

func (s *server) Broadcast(roomID string, f Frame) error {
	room, stopping := s.hub.room(roomID)
	if stopping {
		return ErrServerClosed
	}
	frame, err := s.cfg.encode(f)
	if err != nil || room == nil {
		return err
	}
	return s.hub.broadcast(room, frame)
}

func (s *server) Kick(connectionID string) error {
	session, stopping := s.hub.session(connectionID)
	switch {
	case stopping:
		return ErrServerClosed
	case session == nil:
		return ErrConnectionNotFound
	}
	s.hub.requestEnd(session, kicked)
	return nil
}

func (s *server) GetConnections(roomID string) []Connection { return s.hub.members(roomID) }

func (s *server) Close() { s.hub.stop() }

// What callers, on their goroutines, ask of the hub.

// session returns the session of that connectionID, or nil.
func (h *hub) session(connectionID string) (s *session, stopping bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.sessions[connectionID], h.stopping
}

// room returns the room of that ID, or nil.
func (h *hub) room(roomID string) (r *room, stopping bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.rooms[roomID], h.stopping
}

// members returns the members of a room.
func (h *hub) members(roomID string) []Connection {
	h.mu.RLock()
	defer h.mu.RUnlock()
	r := h.rooms[roomID]
	if r == nil {
		return []Connection{}
	}
	connections := make([]Connection, len(r.members))
	for i, s := range r.members {
		connections[i] = s
	}
	return connections
}

// broadcast queues a frame for a room's members.
func (h *hub) broadcast(r *room, f *wire.Frame) error {
	r.pending.Add(1)
	select {
	case h.requests <- request{room: r, frame: f}:
		return nil
	case <-h.done:
		return ErrServerClosed
	}
}

// sendInTurn queues a frame for a session behind the broadcasts that are queued already.
func (h *hub) sendInTurn(s *session, f *wire.Frame) error {
	reply := make(chan error, 1)
	select {
	case h.requests <- request{session: s, frame: f, reply: reply}:
	case <-h.done:
		return ErrConnectionClosed
	}
	select {
	case err := <-reply:
		return err
	case <-h.done:
	}
	select {
	case err := <-reply: // served before the hub ended
		return err
	default:
		return ErrConnectionClosed
	}
}

// requestEnd ends a session and waits until that is done.
func (h *hub) requestEnd(s *session, e *ending) {
	select {
	case h.requests <- request{session: s, ending: e}:
	case <-s.done:
	}
	<-s.done
}

// limitClosed stands for the limit that nothing gets past: the server is closed.
const limitClosed Limit = "closed"

// enter counts an upgrade that stop has to wait for, and takes a seat for it, unless a limit refuses it.
func (h *hub) enter(connectionID, key string) (place seat, full Limit) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopping {
		return seat{}, limitClosed
	}
	place = seat{taken: h.sessions[connectionID] == nil, key: key}
	if place.taken {
		if full = h.admission.full(h.cfg, key); full != "" {
			return seat{}, full
		}
		h.admission.take(key)
	}
	h.upgrades.Add(1)
	return place, ""
}

// exit ends what enter began. Without a link, the seat is free again.
func (h *hub) exit(place seat, l *link) {
	if l == nil {
		h.giveUp(place)
	}
	h.upgrades.Done()
}

// giveUp frees a seat that no session needs.
func (h *hub) giveUp(place seat) {
	if !place.taken {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.admission.free(place.key)
}

// register hands a link to the hub, or refuses the peer where the hub is ending.
func (h *hub) register(roomID, connectionID string, place seat, l *link) {
	if connectionID == "" {
		connectionID = uuid.NewString()
	}
	select {
	case h.registrations <- registration{roomID, connectionID, place, l}:
	case <-h.quit:
		l.socket.Part(shutDown.closeFrame, time.Now().Add(closeGrace))
	}
}

// stop ends all sessions and waits for the hub, the upgrades and the write pumps to end. The first call logs it.
func (h *hub) stop() {
	h.mu.Lock()
	first := !h.stopping
	h.stopping = true
	h.mu.Unlock()
	if first {
		close(h.quit)
	}
	<-h.done
	h.upgrades.Wait()
	h.links.Wait()
	if first {
		h.cfg.logger.Info("wspulse: server closed")
	}
}
