// Resume shows what wspulse.v1 buys: a counter that ticks ten times a second, and two clients whose network breaks at
// the same moments. One speaks wspulse.v1 and gets every tick once; the other is a plain WebSocket client, and misses
// those that were under way. Run it, and press Enter to break the network; it also breaks by itself now and then:
//
//	go run ./examples/resume
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/client"
)

const (
	tick   = 100 * time.Millisecond
	outage = time.Second // that the network is dead before the client gets to know of it
)

// newServer returns a server whose sessions outlive their connections by a minute.
func newServer() wspulse.Server {
	return wspulse.NewServer(
		func(r *http.Request) (roomID, connectionID string, err error) {
			return "counter", r.URL.Query().Get("id"), nil
		},
		wspulse.WithResumeWindow(time.Minute),
	)
}

// count broadcasts the ticks until ctx ends.
func count(ctx context.Context, server wspulse.Server) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for n := 1; ; n++ {
		select {
		case <-ticker.C:
			payload, _ := json.Marshal(n)
			_ = server.Broadcast("counter", wspulse.Frame{Event: "tick", Payload: payload})
		case <-ctx.Done():
			return
		}
	}
}

// A watcher is a client, and the ticks that it has seen.
type watcher struct {
	name    string
	network network

	mu               sync.Mutex
	first, last      int
	got, missed      int
	again            int // ticks that came twice
	connected, drops int
}

// watch connects a client.
func watch(ctx context.Context, addr, name string, options ...client.Option) (*watcher, client.Client, error) {
	w := &watcher{name: name, connected: 1}
	options = append(options,
		client.WithDialer(w.network.dial),
		client.WithReconnect(-1, 200*time.Millisecond, time.Second),
		client.WithOnMessage(func(_ client.Client, f client.Frame) { w.saw(f) }),
		client.WithOnTransportDrop(func(client.Client, error) { w.changed(0, 1) }),
		client.WithOnTransportRestore(func(client.Client) { w.changed(1, 0) }),
	)
	c, err := client.Dial(ctx, "ws://"+addr+"/ws?id="+strings.ReplaceAll(name, " ", "-"), options...)
	return w, c, err
}

func (w *watcher) saw(f client.Frame) {
	var n int
	if json.Unmarshal(f.Payload, &n) != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.first == 0:
		w.first = n
	case n <= w.last:
		w.again++
		return
	default:
		w.missed += n - w.last - 1
	}
	w.last = n
	w.got++
}

func (w *watcher) changed(connected, drops int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.connected = connected
	w.drops += drops
}

// String is a line of the page.
func (w *watcher) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	state := "connected"
	if w.connected == 0 {
		state = "away"
	}
	return fmt.Sprintf("%-10s  %-9s  %5d ticks  %4d missing  %4d doubled  %3d drops", w.name, state, w.got, w.missed,
		w.again, w.drops)
}

// A network is what is between a client and the server.
type network struct{ line atomic.Pointer[line] }

func (n *network) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	l := &line{Conn: conn}
	n.line.Store(l)
	return l, nil
}

// fail loses what is under way for a while, and then breaks the connection.
func (n *network) fail() {
	l := n.line.Load()
	if l == nil || !l.dead.CompareAndSwap(false, true) {
		return
	}
	time.AfterFunc(outage, func() { _ = l.Close() })
}

// A line is a connection that can go dead: what comes is lost.
type line struct {
	net.Conn
	dead atomic.Bool
}

// Read implements net.Conn.
func (l *line) Read(p []byte) (int, error) {
	for {
		n, err := l.Conn.Read(p)
		if err != nil || !l.dead.Load() {
			return n, err
		}
	}
}

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "address to listen on; port 0 takes a free one")
	every := flag.Duration("every", 5*time.Second, "time between breaks, on average; 0: only when you press Enter")
	length := flag.Duration("d", 0, "time to run; 0: until it is interrupted")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if *length > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, *length)
		defer cancel()
	}
	if err := run(ctx, *addr, *every, os.Stdin, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// run shows the page until ctx ends.
func run(ctx context.Context, addr string, every time.Duration, keys io.Reader, page io.Writer) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	server := newServer()
	mux := http.NewServeMux()
	mux.Handle("GET /ws", server)
	web := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = web.Serve(listener) }()
	defer web.Close()
	defer server.Close()
	fmt.Fprintf(page, "listening on ws://%v/ws; press Enter to break the network\n", listener.Addr())

	lossless, c, err := watch(ctx, listener.Addr().String(), "wspulse.v1")
	if err != nil {
		return unlessOver(ctx, err)
	}
	defer c.Close()
	plain, p, err := watch(ctx, listener.Addr().String(), "plain", client.WithoutProtocol())
	if err != nil {
		return unlessOver(ctx, err)
	}
	defer p.Close()
	go count(ctx, server)

	pressed := make(chan struct{})
	go func() {
		for in := bufio.NewScanner(keys); in.Scan(); {
			pressed <- struct{}{}
		}
	}()
	second := time.NewTicker(time.Second)
	defer second.Stop()
	next := breakAfter(every)
	for {
		select {
		case <-pressed:
		case <-next:
			next = breakAfter(every)
		case <-second.C:
			fmt.Fprintf(page, "%v\n%v\n\n", lossless, plain)
			continue
		case <-ctx.Done():
			fmt.Fprintf(page, "%v\n%v\n", lossless, plain)
			return nil
		}
		fmt.Fprintln(page, "── the network breaks ──")
		lossless.network.fail()
		plain.network.fail()
	}
}

// unlessOver returns an error, unless ctx has ended, which is why there is one.
func unlessOver(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// breakAfter returns when the network is to break by itself; nil: never.
func breakAfter(every time.Duration) <-chan time.Time {
	if every <= 0 {
		return nil
	}
	return time.After(every/2 + rand.N(every))
}
