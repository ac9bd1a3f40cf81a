package wspulse_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
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
	listener *sinkListener

	count, target atomic.Int64  // of what the benchmark waits for
	reached       chan struct{} // told when count is target; never closed
	dropped       atomic.Int64
	suspended     atomic.Int64
}

func (w *benchWorld) MessageSent(_, _ string, _ int) { w.counted() }
func (w *benchWorld) ResumeAttempt(_, _ string)      { w.counted() }
func (w *benchWorld) FrameDropped(_, _ string)       { w.dropped.Add(1); w.counted() }

func (w *benchWorld) counted() {
	if w.count.Add(1) == w.target.Load() {
		w.reached <- struct{}{}
	}
}

// expectCount says how many more frames are to be written or dropped, and sessions resumed, until await returns. It is
// called while none is under way.
func (w *benchWorld) expectCount(n int) { w.target.Store(w.count.Load() + int64(n)) }

func (w *benchWorld) await() { <-w.reached }

func newBenchWorld(b *testing.B, options ...wspulse.ServerOption) *benchWorld {
	b.Helper()
	w := &benchWorld{b: b, listener: newSinkListener(), reached: make(chan struct{}, 1)}
	w.target.Store(-1)
	w.server = wspulse.NewServer(fromQuery, append([]wspulse.ServerOption{
		wspulse.WithMetrics(w),
		wspulse.WithHeartbeat(4*time.Minute, 10*time.Minute),
		wspulse.WithOnTransportDrop(func(wspulse.Connection, error) { w.suspended.Add(1) }),
	}, options...)...)
	host := &http.Server{Handler: w.server}
	go host.Serve(w.listener)
	b.Cleanup(func() {
		w.server.Close()
		host.Close()
	})
	return w
}

// join adds a peer that discards what it gets, and returns its connection.
func (w *benchWorld) join(room, id string) *sinkConn {
	w.b.Helper()
	c := newSinkConn(room, id)
	w.listener.conns <- c
	<-c.upgraded
	return c
}

func (w *benchWorld) fill(members int) []*sinkConn {
	conns := make([]*sinkConn, members)
	for i := range conns {
		conns[i] = w.join("r", strconv.Itoa(i))
	}
	w.expectMembers(members)
	return conns
}

func (w *benchWorld) expectMembers(n int) {
	w.b.Helper()
	eventually(w.b, "all are in the room", func() bool { return len(w.server.GetConnections("r")) == n })
}

// eventually waits for a condition, for ten seconds at most.
func eventually(b *testing.B, what string, condition func() bool) {
	b.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); !condition(); <-tick.C {
		if time.Now().After(deadline) {
			b.Fatalf("not within ten seconds: %s", what)
		}
	}
}

func (w *benchWorld) reportRecipients(members int) {
	w.b.ReportMetric(float64(w.b.Elapsed().Nanoseconds())/float64(w.b.N*members), "ns/recipient")
}

// A sinkListener hands sinkConns to an http.Server.
type sinkListener struct {
	conns chan net.Conn // unbuffered; never closed
	done  chan struct{} // closed by close
	close func()
}

func newSinkListener() *sinkListener {
	l := &sinkListener{conns: make(chan net.Conn), done: make(chan struct{})}
	l.close = sync.OnceFunc(func() { close(l.done) })
	return l
}

func (l *sinkListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *sinkListener) Addr() net.Addr { return &net.TCPAddr{} }
func (l *sinkListener) Close() error {
	l.close()
	return nil
}

// A sinkConn is a peer that upgrades, and then discards what it gets until it is closed.
type sinkConn struct {
	net.Conn
	request  *bytes.Reader
	once     sync.Once
	upgraded chan struct{} // closed by the first write, which answers the request
	done     chan struct{} // closed by hangUp and Close
	hangUp   func()

	mu      sync.Mutex    // guards what follows
	expired bool          // the read deadline has passed, and
	abort   chan struct{} // is closed
}

func newSinkConn(room, id string) *sinkConn {
	request := "GET /?room=" + room + "&id=" + id + " HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
	c := &sinkConn{request: bytes.NewReader([]byte(request)), upgraded: make(chan struct{}), done: make(chan struct{}),
		abort: make(chan struct{})}
	c.hangUp = sync.OnceFunc(func() { close(c.done) })
	return c
}

func (c *sinkConn) Read(p []byte) (int, error) {
	if c.request.Len() > 0 {
		return c.request.Read(p)
	}
	select {
	case <-c.done:
		return 0, net.ErrClosed
	case <-c.aborted():
		return 0, os.ErrDeadlineExceeded
	}
}

func (c *sinkConn) Write(p []byte) (int, error) {
	c.once.Do(func() { close(c.upgraded) })
	return len(p), nil
}

// net/http reads ahead for the next request, and ends that with a deadline in the past when the connection is hijacked.
func (c *sinkConn) aborted() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.abort
}

func (c *sinkConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	past := !t.IsZero() && t.Before(time.Now())
	switch {
	case past && !c.expired:
		close(c.abort)
	case !past && c.expired:
		c.abort = make(chan struct{})
	}
	c.expired = past
	return nil
}

func (c *sinkConn) SetDeadline(t time.Time) error    { return c.SetReadDeadline(t) }
func (c *sinkConn) SetWriteDeadline(time.Time) error { return nil }
func (c *sinkConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *sinkConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *sinkConn) Close() error {
	c.hangUp()
	return nil
}

// benchFrame returns a frame that is encoded in about size bytes.
func benchFrame(size int) wspulse.Frame {
	payload := append(bytes.Repeat([]byte{'x'}, size-29), '"')
	payload[0] = '"'
	return wspulse.Frame{Event: "chat", Payload: payload}
}

var benchSizes = []struct {
	name  string
	bytes int
}{{"128B", 128}, {"1KiB", 1 << 10}, {"16KiB", 16 << 10}}

// burst is how many frames are under way at a time: fewer than a queue holds, so that none is dropped.
const burst = 64

// Broadcast until all members of the room have been written to.
func BenchmarkBroadcast(b *testing.B) {
	for _, room := range []int{1, 10, 100, 1000} {
		for _, size := range benchSizes {
			b.Run(fmt.Sprintf("peer=sink/room=%d/size=%s", room, size.name), func(b *testing.B) {
				w := newBenchWorld(b)
				w.fill(room)
				w.broadcast(room, size.bytes)
			})
		}
	}
	for _, room := range []int{100, 1000} {
		b.Run(fmt.Sprintf("peer=tcp/room=%d/size=128B", room), func(b *testing.B) {
			tcp, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			w := newBenchWorld(b)
			host := &http.Server{Handler: w.server}
			go host.Serve(tcp)
			b.Cleanup(func() { _ = host.Close() })
			for i := range room {
				c, err := net.Dial("tcp", tcp.Addr().String())
				if err != nil {
					b.Fatal(err)
				}
				b.Cleanup(func() { _ = c.Close() })
				_, _ = io.Copy(c, newSinkConn("r", strconv.Itoa(i)).request)
				go io.Copy(io.Discard, struct{ io.Reader }{c})
			}
			w.expectMembers(room)
			w.broadcast(room, 128)
		})
	}
}

func (w *benchWorld) broadcast(members, size int) {
	f := benchFrame(size)
	w.b.ReportAllocs()
	under := 0
	for w.b.Loop() {
		if under == 0 {
			w.expectCount(burst * members)
		}
		if err := w.server.Broadcast("r", f); err != nil {
			w.b.Fatal(err)
		}
		if under++; under == burst {
			w.await()
			under = 0
		}
	}
	if n := w.dropped.Load(); n > 0 {
		w.b.Errorf("%d frames dropped", n)
	}
	w.reportRecipients(members)
}

// Server.Send to one peer until it has been written to.
func BenchmarkSend(b *testing.B) {
	for _, size := range benchSizes {
		b.Run("peer=sink/size="+size.name, func(b *testing.B) {
			w := newBenchWorld(b)
			w.fill(1)
			f := benchFrame(size.bytes)
			b.ReportAllocs()
			under := 0
			for b.Loop() {
				if under == 0 {
					w.expectCount(burst)
				}
				if err := w.server.Send("0", f); err != nil {
					b.Fatal(err)
				}
				if under++; under == burst {
					w.await()
					under = 0
				}
			}
		})
	}
}

// Broadcast to suspended sessions whose queues are full: each recipient loses its oldest frame. This is the hub alone.
func BenchmarkBroadcast_DropOldest(b *testing.B) {
	for _, room := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("room=%d/size=128B", room), func(b *testing.B) {
			const queue = 16
			w := newBenchWorld(b, wspulse.WithResumeWindow(time.Hour), wspulse.WithSendBufferSize(queue))
			for _, c := range w.fill(room) {
				c.hangUp()
			}
			eventually(b, "all are suspended", func() bool { return w.suspended.Load() == int64(room) })
			f := benchFrame(128)
			for range queue {
				_ = w.server.Broadcast("r", f)
			}
			b.ReportAllocs()
			under := 0
			for b.Loop() {
				if under == 0 {
					w.expectCount(burst * room)
				}
				if err := w.server.Broadcast("r", f); err != nil {
					b.Fatal(err)
				}
				if under++; under == burst {
					w.await()
					under = 0
				}
			}
			w.reportRecipients(room)
		})
	}
}

// A peer comes back, is served what was queued, and is lost again: upgrade by net/http and all.
func BenchmarkResume(b *testing.B) {
	for _, queued := range []int{0, 200} {
		b.Run(fmt.Sprintf("queued=%d", queued), func(b *testing.B) {
			w := newBenchWorld(b, wspulse.WithResumeWindow(time.Hour))
			c := w.fill(1)[0]
			f := benchFrame(128)
			b.ReportAllocs()
			for drops := int64(1); b.Loop(); drops++ {
				c.hangUp()
				for w.suspended.Load() < drops {
					runtime.Gosched()
				}
				for range queued {
					if err := w.server.Send("0", f); err != nil {
						b.Fatal(err)
					}
				}
				w.expectCount(queued + 1)
				c = w.join("r", "0")
				w.await()
			}
		})
	}
}
