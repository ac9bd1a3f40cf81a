package wspulse

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"

	"go.uber.org/zap"
)

// Server is an http.Handler that upgrades requests to WebSockets and keeps their sessions. All methods may be called
// from any goroutine, callbacks included, but not from the hooks of a [MetricsCollector]. The calls of one goroutine
// take effect in the order in which it made them.
//
// It may gain methods. A fake for a test embeds the interface.
type Server interface {
	// ServeHTTP runs ConnectFunc and upgrades the request. Before ConnectFunc it answers 400 to a request that is no
	// upgrade, and 503 after Close or when the context of the request is done. Then it answers 401 to an error from
	// ConnectFunc, or what a [Refusal] says, 400 to an ID that is too long, 500 to Details that can't be and to a panic
	// in it or in another function that looks at the request, and 403 to a refused origin. Then come 500 where the
	// connection cannot be taken over from the ResponseWriter, and 503 or 429 with Retry-After for a request that is
	// over a limit.
	//
	// The body of each names the cause, but for the 401's. So does the log, once a second for each cause.
	//
	// What a middleware has put into the header of the ResponseWriter, such as a cookie, goes out with the 101, as with
	// any other answer. Left out are Upgrade, Connection, Sec-WebSocket-* and what describes a body.
	http.Handler

	// Send queues a frame for one session, connected or suspended. It never waits for the peer. Errors:
	// ErrConnectionNotFound; ErrSendBufferFull, the frame is dropped; or the codec's error, nothing is queued.
	Send(connectionID string, f Frame) error

	// Broadcast queues a frame for all members of a room, encoded once. For a member whose buffer is full the oldest
	// queued frame is dropped. It never waits for a peer, and does not report members that lose a frame; see
	// MetricsCollector.FrameDropped. An unknown room is no error. Errors: ErrServerClosed, or the codec's error.
	//
	// A room has its frames handed to its members a few hundred members at a time, in turn with other rooms, so that a
	// large one does not hold up the others. Until that is done it keeps as many frames as are half of
	// WithSendBufferSize, but 64 at least and 256 at most; the next Broadcast to that room waits.
	Broadcast(roomID string, f Frame) error

	// BroadcastExcept is Broadcast for all members of a room but those sessions.
	BroadcastExcept(roomID string, f Frame, exceptIDs ...string) error

	// BroadcastAll is Broadcast for every session, once, in however many rooms it is. It waits while one of the rooms
	// has as many frames as it may keep.
	BroadcastAll(f Frame) error

	// SendUser is Send for each session of a user, and says how many it was queued for. Errors: ErrConnectionNotFound,
	// there is none; ErrSendBufferFull, one or more had no room; or the codec's error, nothing is queued.
	SendUser(userID string, f Frame) (sent int, err error)

	// Kick ends a session, suspended or not: what is queued is dropped, and the peer reads close code 1000 with the
	// reason "kicked". It returns when the session is out of its room and Done is closed, and waits for no broadcast to
	// be handed to others. Errors: ErrConnectionNotFound, ErrServerClosed.
	Kick(connectionID string) error

	// KickWith is Kick with another close code, 1000 or in [3000, 4999] (RFC 6455, section 7.4.2), and a reason, of 123
	// bytes of UTF-8 at the most, that the peer reads. Errors: Kick's, or what is wrong with these; nothing is done
	// then.
	KickWith(connectionID string, code int, reason string) error

	// KickUser is Kick for each session of a user, and returns how many it has ended.
	KickUser(userID string) int

	// KickUserWith is KickWith for each session of a user, and returns how many it has ended. None is no error. Errors:
	// what is wrong with the code or the reason; nothing is done then.
	KickUserWith(userID string, code int, reason string) (kicked int, err error)

	// GetConnection returns a session, connected or suspended. Errors: ErrConnectionNotFound.
	GetConnection(connectionID string) (Connection, error)

	// GetUser returns the sessions of a user, suspended ones included, in no particular order.
	GetUser(userID string) []Connection

	// Rooms returns the rooms that have members, in no particular order.
	Rooms() []string

	// RoomSize returns how many members a room has, suspended ones included; 0 for an unknown one.
	RoomSize(roomID string) int

	// Presence returns the members of a room, suspended ones included, in no particular order, and what the function of
	// WithPresence says of each, which it calls.
	Presence(roomID string) []Member

	// Stats returns what the server has now. It looks at every session.
	Stats() Stats

	// GetConnections returns the members of a room, suspended ones included, in no particular order. It is empty, not
	// nil, for an unknown room.
	GetConnections(roomID string) []Connection

	// Close ends all sessions: what is queued is written, then a close frame (1001), and the peer is given time to
	// close, all within writeWait. It returns when every socket is closed: at once where peers are done, after
	// writeWait where one never reads. What has been logged is written by then, unless that takes longer than a second.
	//
	// It does not wait for callbacks: OnDisconnect may still run. It may be called many times, and from callbacks. Each
	// call waits.
	Close()

	// Shutdown is Close, and waits for all callbacks to return, OnDisconnect among them, or until ctx is over: the
	// sessions have ended by then, or will in writeWait, which ctx should be longer than. Errors: the cause of ctx's
	// end; ErrInCallback, see there.
	Shutdown(ctx context.Context) error
}

type server struct {
	cfg      *serverConfig
	hub      *hub
	arrivals atomic.Uint64 // requests that have come
	inBand   atomic.Int64  // refused ones that are being told why over a WebSocket
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
	s.hub.server = s
	go s.hub.run()
	cfg.logger.Info("wspulse: server started", zap.Duration("resumeWindow", cfg.resumeWindow))
	if cfg.checkOrigin == nil {
		cfg.logger.Warn("wspulse: every origin is accepted: any web page can connect as its visitor; see WithCheckOrigin")
	}
	cfg.logs.wait(logPatience)
	return s
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

func (s *server) Broadcast(roomID string, f Frame) error { return s.BroadcastExcept(roomID, f) }

func (s *server) BroadcastExcept(roomID string, f Frame, exceptIDs ...string) error {
	room, stopping := s.hub.room(roomID)
	if stopping {
		return ErrServerClosed
	}
	frame, err := s.cfg.encode(f)
	if err != nil || room == nil {
		return err
	}
	return s.hub.broadcast(room, frame, exceptIDs...)
}

func (s *server) BroadcastAll(f Frame) error {
	if _, stopping := s.hub.room(""); stopping {
		return ErrServerClosed
	}
	frame, err := s.cfg.encode(f)
	if err != nil {
		return err
	}
	return s.hub.broadcastAll(frame)
}

func (s *server) SendUser(userID string, f Frame) (sent int, err error) {
	sessions := s.hub.userSessions(userID)
	if len(sessions) == 0 {
		return 0, ErrConnectionNotFound
	}
	frame, err := s.cfg.encode(f)
	if err != nil {
		return 0, err
	}
	err = ErrConnectionNotFound // if all have ended meanwhile
	for _, session := range sessions {
		switch e := session.send(frame); {
		case e == nil && errors.Is(err, ErrConnectionNotFound):
			sent, err = 1, nil
		case e == nil:
			sent++
		case errors.Is(e, ErrSendBufferFull):
			err = e
		}
	}
	return sent, err
}

func (s *server) Kick(connectionID string) error { return s.kick(connectionID, endKicked) }

func (s *server) KickWith(connectionID string, code int, reason string) error {
	e, err := endKicked.with("KickWith", code, reason)
	if err != nil {
		return err
	}
	return s.kick(connectionID, e)
}

func (s *server) KickUser(userID string) int { return s.kickUser(userID, endKicked) }

func (s *server) KickUserWith(userID string, code int, reason string) (kicked int, err error) {
	e, err := endKicked.with("KickUserWith", code, reason)
	if err != nil {
		return 0, err
	}
	return s.kickUser(userID, e), nil
}

func (s *server) kickUser(userID string, e *ending) (kicked int) {
	sessions := s.hub.userSessions(userID)
	s.hub.ask(func() {
		for _, session := range sessions {
			if !session.ended() {
				s.hub.end(session, e, nil)
				kicked++
			}
		}
	})
	return kicked
}

func (s *server) kick(connectionID string, e *ending) error {
	session, stopping := s.hub.session(connectionID)
	switch {
	case stopping:
		return ErrServerClosed
	case session == nil:
		return ErrConnectionNotFound
	}
	s.hub.endSession(session, e)
	return nil
}

func (s *server) GetConnection(connectionID string) (Connection, error) {
	if session, _ := s.hub.session(connectionID); session != nil {
		return session, nil
	}
	return nil, ErrConnectionNotFound
}

func (s *server) GetUser(userID string) []Connection {
	sessions := s.hub.userSessions(userID)
	connections := make([]Connection, len(sessions))
	for i, session := range sessions {
		connections[i] = session
	}
	return connections
}

func (s *server) Rooms() []string {
	rooms := s.hub.allRooms()
	ids := make([]string, len(rooms))
	for i, r := range rooms {
		ids[i] = r.id
	}
	return ids
}

func (s *server) RoomSize(roomID string) int { return s.hub.roomSize(roomID) }

func (s *server) GetConnections(roomID string) []Connection { return s.hub.members(roomID) }

func (s *server) Close() { s.hub.stop() }
