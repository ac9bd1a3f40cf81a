package stresstest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/internal/rawpeer"
)

// patience bounds every wait on a real socket. It is long, since the machine may be busy, and reached only by a
// failure.
const patience = 20 * time.Second

// A netWorld is a server on real sockets. Tearing it down checks that it leaves no socket and no goroutine.
type netWorld struct {
	t        testing.TB
	server   wspulse.Server
	listener *netListener
	http     *httptest.Server
	before   int // goroutines before the server started
}

// ev is a frame that has an event only.
func ev(event string) wspulse.Frame { return wspulse.Frame{Event: event} }

// fromQuery is a ConnectFunc: /?room=R&id=I.
func fromQuery(r *http.Request) (roomID, connectionID string, err error) {
	return r.URL.Query().Get("room"), r.URL.Query().Get("id"), nil
}

// newNetWorld starts a server on 127.0.0.1 that is torn down at the end of the test.
func newNetWorld(t testing.TB, options ...wspulse.ServerOption) *netWorld {
	t.Helper()
	return newNetWorldOf(t, fromQuery, options...)
}

func newTLSWorld(t testing.TB, options ...wspulse.ServerOption) *netWorld {
	t.Helper()
	w := unstartedNetWorld(t, options...)
	w.http.StartTLS()
	t.Cleanup(w.tearDown)
	return w
}

// newNetWorldOf is newNetWorld with a ConnectFunc of the test's own.
func newNetWorldOf(t testing.TB, connect wspulse.ConnectFunc, options ...wspulse.ServerOption) *netWorld {
	t.Helper()
	w := unstartedNetWorldOf(t, connect, options...)
	w.http.Start()
	t.Cleanup(w.tearDown)
	return w
}

func unstartedNetWorld(t testing.TB, options ...wspulse.ServerOption) *netWorld {
	t.Helper()
	return unstartedNetWorldOf(t, fromQuery, options...)
}

func unstartedNetWorldOf(t testing.TB, connect wspulse.ConnectFunc, options ...wspulse.ServerOption) *netWorld {
	t.Helper()
	before := runtime.NumGoroutine()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener := &netListener{TCPListener: tcp.(*net.TCPListener), conns: make(map[*net.TCPConn]*accepted)}
	w := &netWorld{t: t, before: before, listener: listener, server: wspulse.NewServer(connect, options...)}
	w.http = httptest.NewUnstartedServer(w.server)
	_ = w.http.Listener.Close()
	w.http.Listener = listener
	w.http.Config.ErrorLog = log.New(io.Discard, "", 0)
	w.http.Config.ConnState = listener.track
	return w
}

// tearDown closes the server, after which every socket that was upgraded must be closed at once, and every goroutine
// must end soon.
func (w *netWorld) tearDown() {
	w.t.Helper()
	w.server.Close()
	if _, n := w.listener.open(); n > 0 {
		w.t.Errorf("Server.Close returned with %d sockets open", n)
	}
	w.http.Close()
	if n, _ := w.listener.open(); n > 0 {
		w.t.Errorf("%d sockets were never closed", n)
	}
	w.noGoroutineLeft()
}

func (w *netWorld) noGoroutineLeft() {
	w.t.Helper()
	if !poll(func() bool { return runtime.NumGoroutine() <= w.before }) {
		var stacks strings.Builder
		_ = pprof.Lookup("goroutine").WriteTo(&stacks, 1)
		w.t.Errorf("%d goroutines left, %d before\n%s", runtime.NumGoroutine(), w.before, stacks.String())
	}
}

// dial connects a gorilla client that reads when the test does.
func (w *netWorld) dial(room, id string) *websocket.Conn {
	w.t.Helper()
	return w.dialWith(w.dialer(), room, id)
}

// dialWith is dial by a dialer of the test's own.
func (w *netWorld) dialWith(dialer *websocket.Dialer, room, id string) *websocket.Conn {
	w.t.Helper()
	ws, err := w.tryDial(dialer, room, id)
	if err != nil {
		w.t.Fatalf("dial %s: %v", id, err)
	}
	w.t.Cleanup(func() { _ = ws.Close() })
	return ws
}

func (w *netWorld) dialer() *websocket.Dialer {
	return &websocket.Dialer{
		HandshakeTimeout: patience,
		ReadBufferSize:   512,
		WriteBufferSize:  512,
		NetDialContext:   w.listener.dial,
		TLSClientConfig:  &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // a test certificate
	}
}

// dialerOf is dialer for connections with a receive buffer of so many bytes.
func (w *netWorld) dialerOf(readBuffer int) *websocket.Dialer {
	dialer := w.dialer()
	dialer.NetDialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := w.listener.dial(ctx, network, addr)
		if err == nil {
			err = c.(*net.TCPConn).SetReadBuffer(readBuffer)
		}
		return c, err
	}
	return dialer
}

func (w *netWorld) tryDial(dialer *websocket.Dialer, room, id string) (*websocket.Conn, error) {
	ws, response, err := dialer.Dial("ws"+strings.TrimPrefix(w.http.URL, "http")+"/?room="+room+"&id="+id, nil)
	if response != nil {
		_ = response.Body.Close()
	}
	if err != nil {
		return nil, err
	}
	return ws, ws.SetReadDeadline(time.Now().Add(3 * patience))
}

// session returns the session of that ID in the room, once it is there.
func (w *netWorld) session(room, id string) wspulse.Connection {
	w.t.Helper()
	var session wspulse.Connection
	eventually(w.t, id+" is in "+room, func() bool {
		connections := w.server.GetConnections(room)
		i := slices.IndexFunc(connections, func(c wspulse.Connection) bool { return c.ID() == id })
		if i >= 0 {
			session = connections[i]
		}
		return i >= 0
	})
	return session
}

// A netListener knows its connections and which of them were upgraded. It wraps none of them: the library writes to a
// *net.TCPConn in another way than to any other net.Conn.
type netListener struct {
	*net.TCPListener
	buffers atomic.Int64 // of the kernel, in bytes, for connections to come; 0 leaves them alone

	mu    sync.Mutex                 // guards what follows
	conns map[*net.TCPConn]*accepted // that are not known to be closed
}

type accepted struct {
	raw      syscall.RawConn
	socket   socketID
	upgraded bool
}

func (l *netListener) Accept() (net.Conn, error) {
	c, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	if n := int(l.buffers.Load()); n > 0 {
		_ = c.SetWriteBuffer(n)
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	state := &accepted{raw: raw}
	if err := raw.Control(func(fd uintptr) { state.socket = idOf(fd) }); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[c] = state
	return c, nil
}

// track is the ConnState hook of the http.Server.
func (l *netListener) track(c net.Conn, state http.ConnState) {
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	if state == http.StateHijacked {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.conns[c.(*net.TCPConn)].upgraded = true
	}
}

// open returns how many connections are open, and how many of them were upgraded.
func (l *netListener) open() (all, upgraded int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	sockets, known := openSockets()
	for c, state := range l.conns {
		if known && !sockets[state.socket] || !known && state.raw.Control(func(uintptr) {}) != nil {
			delete(l.conns, c)
			continue
		}
		all++
		if state.upgraded {
			upgraded++
		}
	}
	return all, upgraded
}

func (l *netListener) allClosed() bool {
	all, _ := l.open()
	return all == 0
}

func (l *netListener) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, addr)
	if n := int(l.buffers.Load()); n > 0 && err == nil {
		_ = c.(*net.TCPConn).SetReadBuffer(n)
	}
	return c, err
}

// poll waits for a condition, within patience.
func poll(condition func() bool) bool {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		if condition() {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
	}
}

func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	if !poll(condition) {
		t.Fatalf("not within %v: %s", patience, what)
	}
}

// say sends a frame that has an event only.
func say(ws *websocket.Conn, event string) error {
	data, err := wspulse.JSONCodec.Encode(ev(event))
	if err != nil {
		return err
	}
	return ws.WriteMessage(websocket.TextMessage, data)
}

// hear reads one frame and compares its event.
func hear(ws *websocket.Conn, want string) error {
	_, data, err := ws.ReadMessage()
	if err != nil {
		return err
	}
	f, err := wspulse.JSONCodec.Decode(data)
	if err == nil && f.Event != want {
		err = fmt.Errorf("read %.100q, want %q", f.Event, want)
	}
	return err
}

// hearClose reads until the connection ends, which must be by that close frame.
func hearClose(t *testing.T, ws *websocket.Conn, code int, reason string) {
	t.Helper()
	for {
		_, _, err := ws.ReadMessage()
		var closed *websocket.CloseError
		if err != nil {
			if !errors.As(err, &closed) || closed.Code != code || closed.Text != reason {
				t.Errorf("peer read %v, want close %d %q", err, code, reason)
			}
			return
		}
	}
}

// What the peers of rawpeer send, by shorter names.
const (
	finText     = rawpeer.Fin | rawpeer.OpText
	finBinary   = rawpeer.Fin | rawpeer.OpBinary
	finClose    = rawpeer.Fin | rawpeer.OpClose
	finPing     = rawpeer.Fin | rawpeer.OpPing
	finPong     = rawpeer.Fin | rawpeer.OpPong
	fragText    = rawpeer.OpText
	fragPing    = rawpeer.OpPing
	reservedBit = rawpeer.RSV1
)

var masked, unmasked = rawpeer.Masked, rawpeer.Unmasked

// connectRaw opens a TCP connection.
func connectRaw(t *testing.T, w *netWorld) *rawpeer.Peer {
	t.Helper()
	p := rawpeer.Dial(t, w.listener.Addr().String())
	_ = p.Conn.SetDeadline(time.Now().Add(2 * patience))
	return p
}

// dialRaw opens a WebSocket as "mallory".
func dialRaw(t *testing.T, w *netWorld) *rawpeer.Peer {
	t.Helper()
	p := connectRaw(t, w)
	p.Open()
	return p
}
