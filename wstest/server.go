package wstest

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/internal/ask"
)

// A Server is an http.Server on a network in memory. Its methods may be called from any goroutine, except for Dial,
// which may fail the test and so belongs to the test's own.
type Server struct {
	// Listener is what the http.Server accepts from. Its DialContext serves clients that are not WebSockets.
	Listener *Listener

	t       testing.TB
	handler http.Handler
	http    *http.Server
	served  chan struct{}  // closed when the http.Server has ended
	conns   sync.WaitGroup // that net/http serves

	requestIDs ask.IDs // of all clients

	mu      sync.Mutex // guards clients
	clients []*Client
}

// NewServer starts an http.Server with that handler: a wspulse.Server, or a mux or middleware with one behind it. The
// functions may change the http.Server before it starts.
//
// At the end of the test the clients are cut off, and the http.Server is closed. So is handler when it is a
// wspulse.Server; behind anything else the test has to close it.
func NewServer(t testing.TB, handler http.Handler, configure ...func(*http.Server)) *Server {
	t.Helper()
	s := &Server{t: t, handler: handler, Listener: Listen(), served: make(chan struct{})}
	s.http = &http.Server{Handler: handler, ReadHeaderTimeout: patience}
	for _, change := range configure {
		change(s.http)
	}
	s.http.ConnState = s.track(s.http.ConnState)
	go func() {
		defer close(s.served)
		_ = s.http.Serve(s.Listener)
	}()
	t.Cleanup(s.tearDown)
	return s
}

func (s *Server) tearDown() {
	s.mu.Lock()
	clients := slices.Clone(s.clients)
	s.mu.Unlock()
	for _, c := range clients {
		c.Conn.Reset()
		c.awaitReading()
	}
	if sessions, ok := s.handler.(wspulse.Server); ok {
		sessions.Close()
	}
	_ = s.http.Close()
	<-s.served
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.conns.Wait()
	}()
	select {
	case <-ended: // at once, or when net/http has left a client that it hung up on half a second to read the answer
	case <-time.After(patience):
		s.t.Error("wstest: a handler has not returned")
	}
}

// track returns a ConnState hook that counts the connections of net/http, and goes on to next.
func (s *Server) track(next func(net.Conn, http.ConnState)) func(net.Conn, http.ConnState) {
	return func(c net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			s.conns.Add(1)
		case http.StateHijacked, http.StateClosed:
			s.conns.Done()
		default:
		}
		if next != nil {
			next(c, state)
		}
	}
}

// A DialOption changes how a client connects.
type DialOption func(*dialConfig)

type dialConfig struct {
	websocket.Dialer
	header   http.Header
	codec    wspulse.Codec
	up, down Faults
	local    netip.AddrPort // the zero value stands for one of the listener's
	idle     bool
	presence bool

	replyEvent, failureEvent string
}

// WithHeader sets headers of the upgrade request: cookies, Origin, Authorization.
func WithHeader(header http.Header) DialOption {
	return func(c *dialConfig) { c.header = header }
}

// WithCodec sets the codec of the frames. Default wspulse.JSONCodec.
func WithCodec(codec wspulse.Codec) DialOption {
	return func(c *dialConfig) { c.codec = codec }
}

// WithUpstream sets the faults of what the client sends, its upgrade request included. Default none.
func WithUpstream(f Faults) DialOption {
	return func(c *dialConfig) { c.up = f }
}

// WithDownstream sets the faults of what the client reads, the answer to its upgrade request included. Default none.
func WithDownstream(f Faults) DialOption {
	return func(c *dialConfig) { c.down = f }
}

// WithLocalAddr sets the address that the server sees, such as "203.0.113.7:5000". It panics when that is not an IP
// address with a port. Default a port of 192.0.2.2, another one for each client.
func WithLocalAddr(addr string) DialOption {
	local := netip.MustParseAddrPort(addr)
	return func(c *dialConfig) { c.local = local }
}

// WithDialer changes anything else of the WebSocket dialer: subprotocols, compression, timeouts. NetDialContext is set
// already, and has to be called by what takes its place: a function that wraps the connection, to count its bytes say.
func WithDialer(change func(*websocket.Dialer)) DialOption {
	return func(c *dialConfig) { change(&c.Dialer) }
}

// WithIdle makes a client that reads only while the test is in Receive, Expect or ExpectClose, or after StartReading.
// As long as it does not read it answers neither pings nor a close. Default: it reads all the time.
func WithIdle() DialOption {
	return func(c *dialConfig) { c.idle = true }
}

// Dial connects a client to a path and query such as "/ws?room=lobby". It fails the test when the upgrade is refused.
func (s *Server) Dial(target string, options ...DialOption) *Client {
	s.t.Helper()
	c, response, err := s.TryDial(target, options...)
	switch {
	case response != nil && err != nil:
		s.t.Fatalf("wstest: dial %s: %s", target, response.Status)
	case err != nil:
		s.t.Fatalf("wstest: dial %s: %v", target, err)
	}
	return c
}

// TryDial is Dial for upgrades that may be refused: it returns the server's answer, and an error when that is not 101.
// The response is nil when there was none. Its body needs no closing, and ends after 1024 bytes.
func (s *Server) TryDial(target string, options ...DialOption) (*Client, *http.Response, error) {
	config := &dialConfig{codec: wspulse.JSONCodec, local: s.Listener.nextAddr(),
		replyEvent: ask.Reply, failureEvent: ask.Failure}
	config.HandshakeTimeout = patience
	var conn *Conn
	config.NetDialContext = func(ctx context.Context, _, _ string) (_ net.Conn, err error) {
		if conn, err = s.Listener.dial(ctx, config.local, config.up, config.down); err != nil {
			return nil, err
		}
		return conn, nil
	}
	for _, option := range options {
		option(config)
	}
	ws, response, err := config.Dialer.Dial("ws://wstest"+target, config.header)
	if err != nil {
		return nil, response, err
	}
	c := &Client{WebSocket: ws, Conn: conn, t: s.t, codec: config.codec,
		replyEvent: config.replyEvent, failureEvent: config.failureEvent, requestIDs: &s.requestIDs,
		arrived: make(chan struct{}, 1), done: make(chan struct{})}
	if config.presence {
		c.attendance = &attendance{client: c, rooms: make(map[string]*room)}
	}
	s.mu.Lock()
	s.clients = append(s.clients, c)
	s.mu.Unlock()
	if !config.idle {
		c.StartReading()
	}
	return c, response, nil
}
