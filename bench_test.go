package wspulse_test

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	wspulse "github.com/wspulse/server"
)

// The benchmarks measure the library from the call to the write on the peer's net.Conn, which discards what it is
// given: codec, hub, queues, pumps and metrics, but no kernel and no client. With peer=tcp the writes are system calls
// on loopback sockets, and the reading by the peers counts too.

// A benchWorld is a server whose peers need no client.
type benchWorld struct {
	wspulse.NoopCollector
	b        *testing.B
	server   wspulse.Server
	listener *memListener
	members  int

	// A crossing of target by count is told to reached.
	count, target atomic.Int64
	reached       chan struct{}
	dropped       atomic.Int64
}

func (w *benchWorld) MessageSent(_, _ string, _ int)  { w.counted(1) }
func (w *benchWorld) ResumeAttempt(_, _ string)       { w.counted(1) }
func (w *benchWorld) FrameDropped(_, _ string)        { w.dropped.Add(1) }
func (w *benchWorld) counted(n int64) {
	if w.count.Add(n) == w.target.Load() {
		w.reached <- struct{}{}
	}
}

// await waits until n more have been counted. Nothing may have been counted since the last time but what belongs to n.
func (w *benchWorld) expectCount(n int) { w.target.Store(w.count.Load() + int64(n)) }
func (w *benchWorld) await()            { <-w.reached }

func newBenchWorld(b *testing.B, options ...wspulse.ServerOption) *benchWorld {
	b.Helper()
	w := &benchWorld{b: b, listener: newMemListener(), reached: make(chan struct{}, 1)}
	w.target.Store(-1)
	w.server = wspulse.NewServer(fromQuery, append([]wspulse.ServerOption{
		wspulse.WithMetrics(w), wspulse.WithHeartbeat(4*time.Minute, 10*time.Minute)}, options...)...)
	host := &http.Server{Handler: w.server}
	go host.Serve(w.listener)
	b.Cleanup(func() {
		w.server.Close()
		host.Close()
	})
	return w
}

// join adds a peer that discards what it gets, and returns its connection.
func (w *benchWorld) join(id string) *sinkConn {
	w.b.Helper()
	c := newSinkConn(id)
	w.listener.conns <- c
	<-c.upgraded
	return c
}

func (w *benchWorld) fill(members int) []*sinkConn {
	conns := make([]*sinkConn, members)
	for i := range conns {
		conns[i] = w.join(strconv.Itoa(i))
	}
	w.members = members
	eventually(w.b, "all are in the room", func() bool { return len(w.server.GetConnections("r")) == members })
	return conns
}

// reportRecipients adds ns/recipient, and fails if frames were lost.
func (w *benchWorld) reportRecipients() {
	w.b.Helper()
	w.b.ReportMetric(float64(w.b.Elapsed().Nanoseconds())/float64(w.b.N*w.members), "ns/recipient")
	if n := w.dropped.Load(); n > 0 {
		w.b.Errorf("%d frames dropped", n)
	}
}

// A sinkConn is a peer that upgrades, and then discards what it gets until it is closed.
type sinkConn struct {
	net.Conn
	request  *bytes.Reader
	once     sync.Once
	upgraded chan struct{} // closed by the first write, which answers the request
	done     chan struct{} // closed by hangUp and Close
	hangUp   func()
}

func newSinkConn(id string) *sinkConn {
	request := "GET /?room=r&id=" + id + " HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
	c := &sinkConn{request: bytes.NewReader([]byte(request)), upgraded: make(chan struct{}), done: make(chan struct{})}
	c.hangUp = sync.OnceFunc(func() { close(c.done) })
	return c
}
