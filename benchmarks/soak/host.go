package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	wspulse "github.com/wspulse/server"
)

const (
	sendBuffer   = 16      // frames
	kernelBuffer = 8 << 10 // bytes; small, so that a peer that does not read is felt soon
	maxMessage   = 4 << 10 // bytes
)

// The streams of numbered frames that a peer hears: the events.
const (
	toRoom = "room" // broadcasts
	toPeer = "peer" // frames for it alone
	toSelf = "echo" // its own messages
)

// A host is the server under test with its application: it echoes.
type host struct {
	wspulse.Server
	book *ledger
	http *http.Server
	addr string

	accepted  atomic.Int64 // TCP connections
	ended     atomic.Int64 // OnDisconnects
	restored  atomic.Int64
	suspended atomic.Int64
	waiting   sync.Map // the suspended sessions, as the callbacks tell
}

// startHost starts a server at a port of its own.
func startHost(p plan, book *ledger) (*host, error) {
	h := &host{book: book}
	h.Server = wspulse.NewServer(h.connect,
		wspulse.WithMetrics(book),
		wspulse.WithResumeWindow(p.window),
		wspulse.WithHeartbeat(p.ping, p.pong),
		wspulse.WithWriteWait(p.writeWait),
		wspulse.WithSendBufferSize(sendBuffer),
		wspulse.WithMaxMessageSize(maxMessage),
		wspulse.WithCheckOrigin(func(*http.Request) bool { return true }),
		wspulse.WithOnMessage(h.echo),
		wspulse.WithOnTransportDrop(h.drop),
		wspulse.WithOnTransportRestore(h.restore),
		wspulse.WithOnDisconnect(h.disconnect))
	config := net.ListenConfig{Control: kernelBuffers(unix.SO_SNDBUF)} // what it accepts inherits that
	listener, err := config.Listen(context.Background(), "tcp4", "127.0.0.1:0")
	if err != nil {
		h.Close()
		return nil, err
	}
	h.addr = listener.Addr().String()
	h.http = &http.Server{
		Handler:           h,
		ReadHeaderTimeout: p.pong,
		ErrorLog:          log.New(io.Discard, "", 0),
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				h.accepted.Add(1)
			}
		},
	}
	go func() { _ = h.http.Serve(listener) }()
	return h, nil
}

// kernelBuffers returns a function that makes one of the buffers of a socket small.
func kernelBuffers(option int) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) (err error) {
		if e := c.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, option, kernelBuffer)
		}); e != nil {
			return e
		}
		return err
	}
}

func (h *host) connect(r *http.Request) (roomID, connectionID string, err error) {
	query := r.URL.Query()
	a := h.book.accounts[query.Get("id")]
	if a == nil {
		return "", "", fmt.Errorf("unknown id %q", query.Get("id"))
	}
	return a.room.id, a.id, nil
}

// url is where a peer connects.
func (h *host) url(a *account) string { return "ws://" + h.addr + "/?id=" + a.id }

func (h *host) echo(c wspulse.Connection, f wspulse.Frame) {
	if f.Event == toSelf {
		h.book.book(h.book.accounts[c.ID()], c.Send(f))
	}
}

func (h *host) drop(c wspulse.Connection, _ error) {
	h.suspended.Add(1)
	h.waiting.Store(c, true)
}

func (h *host) restore(c wspulse.Connection) {
	h.restored.Add(1)
	h.forget(c)
}

func (h *host) disconnect(c wspulse.Connection, _ error) {
	h.ended.Add(1)
	h.forget(c)
}

func (h *host) forget(c wspulse.Connection) {
	if _, waited := h.waiting.LoadAndDelete(c); waited {
		h.suspended.Add(-1)
	}
}

// stop closes everything.
func (h *host) stop() {
	h.Close()
	_ = h.http.Close()
}

// operate kicks and closes sick sessions, one after the other, until the context ends.
func (h *host) operate(ctx context.Context, sick []*account, pause time.Duration) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		a := sick[i*7919%len(sick)] // a large prime: those next to each other are in different rooms
		if i%2 == 0 {
			_ = h.Kick(a.id) // it may not be there
			continue
		}
		for _, c := range h.GetConnections(a.room.id) {
			if h.book.accounts[c.ID()].sick {
				_ = c.Close()
				h.checkEnded(c)
				break
			}
		}
	}
}

func (h *host) checkEnded(c wspulse.Connection) {
	select {
	case <-c.Done():
	default:
		h.book.fault("%s: not ended though Close has returned", c.ID())
	}
}
