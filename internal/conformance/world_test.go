package conformance

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	wspulse "github.com/wspulse/server"
)

const (
	patience    = 20 * time.Second // bounds every wait; reached only by a failure
	messageSize = 16 << 20         // the largest that the servers take, in bytes
	room        = "room"
)

// A world is an http.Server on 127.0.0.1 whose application echoes. A codec knows one type of message, so there are two
// servers.
type world struct {
	headers      string // of the class
	answers      string // likewise
	listener     *countingListener
	text, binary *endpoint
	logs         *observer.ObservedLogs // warnings, and what net/http complains of
}

// An endpoint is one server, with a neighbour of the peers that are tested.
type endpoint struct {
	path   string
	opcode byte // of what the application answers
	server wspulse.Server

	mu        sync.Mutex // guards what follows
	neighbour *peer
	said      int
}

// newWorld starts a server that ends with the test, and must then leave nothing behind.
func newWorld(t *testing.T, c class) *world {
	t.Helper()
	before := runtime.NumGoroutine()
	core, logs := observer.New(zapcore.WarnLevel)
	logger := zap.New(core)
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{headers: c.headers, answers: c.answers, listener: &countingListener{TCPListener: tcp.(*net.TCPListener)}, logs: logs}
	w.text = newEndpoint("/text", opText, logger, c.options)
	w.binary = newEndpoint("/binary", opBinary, logger, c.options)
	complaints, _ := zap.NewStdLogAt(logger, zap.WarnLevel)
	server := &http.Server{Handler: w, ErrorLog: complaints}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(w.listener)
	}()
	w.text.meet(t, w)
	w.binary.meet(t, w)
	t.Cleanup(func() {
		w.empty(t)
		w.text.server.Close()
		w.binary.server.Close()
		_ = server.Close()
		<-served
		w.nothingLeft(t, before)
	})
	return w
}

func newEndpoint(path string, opcode byte, logger *zap.Logger, options []wspulse.ServerOption) *endpoint {
	connect := func(*http.Request) (roomID, connectionID string, err error) { return room, "", nil }
	return &endpoint{path: path, opcode: opcode, server: wspulse.NewServer(connect, append([]wspulse.ServerOption{
		wspulse.WithLogger(logger),
		wspulse.WithCodec(plain(opcode)),
		wspulse.WithMaxMessageSize(messageSize),
		wspulse.WithHeartbeat(time.Minute, 2*time.Minute), // no ping of the server among the answers
		wspulse.WithOnMessage(func(c wspulse.Connection, f wspulse.Frame) { _ = c.Send(f) }),
	}, options...)...)}
}

func (w *world) endpoint(binary bool) *endpoint {
	if binary {
		return w.binary
	}
	return w.text
}

// ServeHTTP gives a request to its server.
func (w *world) ServeHTTP(response http.ResponseWriter, r *http.Request) {
	w.endpoint(r.URL.Path == w.binary.path).server.ServeHTTP(response, r)
}

// ordinary returns the ordinary opening of the class.
func (w *world) ordinary(e *endpoint) *opening {
	return &opening{request: strings.Replace(plus(w.headers), "/text", e.path, 1), answers: w.answers}
}

// meet connects the neighbour.
func (e *endpoint) meet(t *testing.T, w *world) {
	t.Helper()
	e.neighbour = connect(t, w)
	e.neighbour.open(w.ordinary(e))
}

// check finds out whether the neighbour is still answered, and that nothing has panicked.
func (e *endpoint) check(t *testing.T, w *world) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.said++
	word := framed(fin|e.opcode, fmt.Sprint("neighbour ", e.said))
	neighbour := *e.neighbour
	neighbour.T = t // whose failures are those of this case
	neighbour.extend()
	neighbour.write(0, word)
	neighbour.expect([]frame{word})
	panics := w.logs.Filter(func(l observer.LoggedEntry) bool { return strings.Contains(l.Message, "panic") })
	if panics.Len() > 0 {
		t.Errorf("panics: %v", panics.TakeAll())
	}
}

// empty says good-bye to the neighbours, after which the rooms must be empty.
func (w *world) empty(t *testing.T) {
	for _, e := range []*endpoint{w.text, w.binary} {
		e.neighbour.extend()
		e.neighbour.write(0, bye(1000, ""))
		e.neighbour.expectClose(1000, nil)
		_ = e.neighbour.Conn.Close()
		eventually(t, func() bool { return len(e.server.GetConnections(room)) == 0 }, func() string {
			return fmt.Sprintf("%d sessions left in %s", len(e.server.GetConnections(room)), e.path)
		})
	}
}

// nothingLeft looks for sockets and goroutines.
func (w *world) nothingLeft(t *testing.T, before int) {
	eventually(t, func() bool { return w.listener.open.Load() == 0 }, func() string {
		return fmt.Sprintf("%d sockets left", w.listener.open.Load())
	})
	eventually(t, func() bool { return runtime.NumGoroutine() <= before }, func() string {
		var stacks strings.Builder
		_ = pprof.Lookup("goroutine").WriteTo(&stacks, 1)
		return fmt.Sprintf("%d goroutines left, %d before\n%s", runtime.NumGoroutine(), before, stacks.String())
	})
}

// eventually waits until a condition holds, or fails with what is wrong.
func eventually(t *testing.T, condition func() bool, wrong func() string) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !condition(); <-tick.C {
		if time.Now().After(deadline) {
			t.Error(wrong())
			return
		}
	}
}

// plain is a codec that leaves messages as they are. Its value is the type of what it encodes.
type plain int

func (p plain) FrameType() int                         { return int(p) }
func (p plain) Encode(f wspulse.Frame) ([]byte, error) { return bytes.Clone(f.Payload), nil }
func (p plain) Decode(data []byte) (f wspulse.Frame, err error) {
	return wspulse.Frame{Payload: bytes.Clone(data)}, nil
}

// A countingListener knows how many of its connections the server has not closed.
type countingListener struct {
	*net.TCPListener
	open atomic.Int64
}

type countedConn struct {
	*net.TCPConn
	close func()
}

func (l *countingListener) Accept() (net.Conn, error) {
	c, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	l.open.Add(1)
	return &countedConn{TCPConn: c, close: sync.OnceFunc(func() { l.open.Add(-1) })}, nil
}

func (c *countedConn) Close() error {
	defer c.close()
	return c.TCPConn.Close()
}
