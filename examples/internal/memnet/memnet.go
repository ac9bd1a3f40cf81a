// Package memnet runs an example's server on a network in memory, so that its test can live in a testing/synctest
// bubble: time is free there, and "when everything has arrived" is a thing that one can wait for.
package memnet

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
)

// A Network connects its clients with one server.
type Network struct {
	t     testing.TB
	conns chan net.Conn // from dial to Accept; never closed
	done  chan struct{} // closed by Close
	close func()
	http  *http.Transport
}

// Serve starts server on a network of its own. When the test ends, stop is called, and the server is closed.
func Serve(t testing.TB, server *http.Server, stop func()) *Network {
	t.Helper()
	n := &Network{t: t, conns: make(chan net.Conn), done: make(chan struct{})}
	n.close = sync.OnceFunc(func() { close(n.done) })
	n.http = &http.Transport{DialContext: n.dial}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(n) }()
	t.Cleanup(func() {
		stop()
		n.http.CloseIdleConnections()
		if err := server.Close(); err != nil {
			t.Errorf("closing the HTTP server: %v", err)
		}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("the HTTP server ended with %v", err)
		}
		time.Sleep(time.Second) // net/http leaves a peer that it hangs up on some time to read the answer
	})
	return n
}

// Accept implements net.Listener.
func (n *Network) Accept() (net.Conn, error) {
	select {
	case conn := <-n.conns:
		return conn, nil
	case <-n.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (n *Network) Close() error { n.close(); return nil }

// Addr implements net.Listener.
func (n *Network) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080} }

func (n *Network) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case n.conns <- server:
		return client, nil
	case <-n.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Do sends a request to the server. The host of its URL does not matter.
func (n *Network) Do(r *http.Request) (*http.Response, error) {
	client := http.Client{Transport: n.http, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	return client.Do(r)
}

// Upgrade asks for a WebSocket at a path. The response is there when the server refuses.
func (n *Network) Upgrade(path string, header http.Header) (*Peer, *http.Response, error) {
	dialer := websocket.Dialer{NetDialContext: n.dial}
	ws, response, err := dialer.Dial("ws://127.0.0.1:8080"+path, header)
	if err != nil {
		return nil, response, err
	}
	p := &Peer{t: n.t, ws: ws, ended: make(chan struct{})}
	go p.read()
	n.t.Cleanup(func() { p.Drop(); <-p.ended })
	return p, response, nil
}

// Dial opens a WebSocket at a path, and waits until the server has taken it in. It fails the test when it cannot.
func (n *Network) Dial(path string) *Peer {
	n.t.Helper()
	p, _, err := n.Upgrade(path, nil)
	if err != nil {
		n.t.Fatalf("dialing %s: %v", path, err)
	}
	synctest.Wait()
	return p
}

// A Peer is a WebSocket client that reads all that it is sent.
type Peer struct {
	t     testing.TB
	ws    *websocket.Conn
	ended chan struct{} // closed by read, when the WebSocket has ended

	mu       sync.Mutex
	received []string
	err      error // why the WebSocket ended
}

func (p *Peer) read() {
	defer close(p.ended)
	defer p.Drop()
	for {
		_, data, err := p.ws.ReadMessage()
		p.mu.Lock()
		if err != nil {
			p.err = err
			p.mu.Unlock()
			return
		}
		p.received = append(p.received, string(data))
		p.mu.Unlock()
	}
}

// Write sends a text message, or fails the test.
func (p *Peer) Write(message string) { p.write(websocket.TextMessage, message) }

// WriteBinary sends a binary message, or fails the test.
func (p *Peer) WriteBinary(message string) { p.write(websocket.BinaryMessage, message) }

func (p *Peer) write(messageType int, message string) {
	p.t.Helper()
	if err := p.ws.WriteMessage(messageType, []byte(message)); err != nil {
		p.t.Fatalf("writing %q: %v", message, err)
	}
}

// Received waits until nothing moves in the bubble any more, and returns the messages that came since it was called last.
func (p *Peer) Received() []string {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	received := p.received
	p.received = nil
	return received
}

// Drop cuts the connection without a word, as a failing network does.
func (p *Peer) Drop() { _ = p.ws.Close() }

// CloseError waits until nothing moves in the bubble any more, and returns the server's close frame, or nil
// when there was none.
func (p *Peer) CloseError() *websocket.CloseError {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	closed, ok := errors.AsType[*websocket.CloseError](p.err)
	if ok && closed.Code == websocket.CloseAbnormalClosure { // gorilla's word for a cut connection
		return nil
	}
	return closed
}

// Ended waits until nothing moves in the bubble any more, and says whether the connection has ended.
func (p *Peer) Ended() bool {
	synctest.Wait()
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}
