package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/zap"

	"github.com/wspulse/server/internal/control"
)

const (
	codeProtocol     = 4400 // docs/protocol.md, "Close codes"
	codeUnauthorized = 4401

	deadAfter = 2.5              // heartbeats without anything
	writeWait = 10 * time.Second // for each piece that is written
	pieceSize = 16 << 10         // bytes
	answerLen = 200              // bytes of the answer to a refused request that an error quotes
)

// A transport is one WebSocket.
type transport struct {
	ws    *websocket.Conn
	pulse *pulseConn
	wake  chan struct{} // of capacity 1: there may be something to write; never closed
	over  chan struct{} // closed when reading has ended

	bye *control.Message // what the server has said last; owned by the goroutine that reads
}

func (t *transport) wakeUp() {
	if t == nil {
		return
	}
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

func (t *transport) close() { _ = t.ws.Close() }

// A pulseConn is a connection on which reading ends when nothing has come for a while, and writing when the peer takes
// nothing.
type pulseConn struct {
	net.Conn
	dead atomic.Int64 // ns without anything; 0: no limit
}

// Read implements net.Conn.
func (p *pulseConn) Read(b []byte) (int, error) {
	if d := p.dead.Load(); d > 0 {
		_ = p.Conn.SetReadDeadline(time.Now().Add(time.Duration(d))) // reading fails where this does
	}
	n, err := p.Conn.Read(b)
	if err != nil && p.dead.Load() > 0 && errors.Is(err, os.ErrDeadlineExceeded) {
		err = errDead
	}
	return n, err
}

// Write implements net.Conn.
func (p *pulseConn) Write(b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		_ = p.Conn.SetWriteDeadline(time.Now().Add(writeWait))
		var written int
		written, err = p.Conn.Write(b[n:min(len(b), n+pieceSize)])
		n += written
	}
	return n, err
}

// dial opens a WebSocket, and greets. Then it is the client's transport.
func (c *client) dial(ctx context.Context) (*transport, error) {
	url, err := c.cfg.url()
	if err != nil {
		return nil, err
	}
	header, err := c.cfg.header()
	if err != nil {
		return nil, err
	}
	protocols, err := c.offer()
	if err != nil {
		return nil, err
	}
	t := &transport{wake: make(chan struct{}, 1), over: make(chan struct{})}
	dialer := websocket.Dialer{
		NetDialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := c.cfg.dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			t.pulse = &pulseConn{Conn: conn}
			return t.pulse, nil
		},
		Proxy:             http.ProxyFromEnvironment,
		TLSClientConfig:   c.cfg.tls,
		HandshakeTimeout:  dialTimeout,
		Subprotocols:      protocols,
		EnableCompression: c.cfg.compression,
	}
	var response *http.Response
	t.ws, response, err = dialer.DialContext(ctx, url, header)
	switch {
	case err != nil && response != nil:
		return nil, refusal(response)
	case err != nil:
		return nil, fmt.Errorf("wspulse: client: dial: %w", err)
	}
	t.ws.SetReadLimit(c.cfg.maxMessageSize)
	if err := c.greet(ctx, t); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

// offer returns the subprotocols of a request. What it claims is what has been received by then.
func (c *client) offer() ([]string, error) {
	others, err := c.cfg.protocols()
	if err != nil || c.cfg.plain {
		return others, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	v := &c.ledger
	offer := []string{control.Protocol}
	if v.token != "" && !v.broken {
		v.claimed = v.received
		offer = append(offer, control.Claim{ID: v.id, Recv: v.claimed, Token: v.token}.String())
	}
	return append(offer, others...), nil
}

// refusal makes an error of an answer that is no upgrade.
func refusal(response *http.Response) *RefusedError {
	body, _ := io.ReadAll(io.LimitReader(response.Body, answerLen))
	e := &RefusedError{Status: response.StatusCode, Reason: strings.TrimSpace(string(body))}
	if e.Reason == "" {
		e.Reason = response.Status
	}
	switch s := e.Status; {
	case s == http.StatusUnauthorized, s == http.StatusTooManyRequests, s == http.StatusRequestTimeout, s >= 500:
		e.Reconnect = true
	}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds >= 0 {
		e.AfterMin = time.Duration(seconds) * time.Second
		e.AfterMax = e.AfterMin + time.Second
	}
	return e
}

// greet waits for the server's hello, and attaches the transport.
func (c *client) greet(ctx context.Context, t *transport) error {
	if c.cfg.plain {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.ledger.takeBack()
		c.attach(t, c.cfg.heartbeat)
		return nil
	}
	if t.ws.Subprotocol() != control.Protocol {
		return errNoV1
	}
	stop := context.AfterFunc(ctx, t.close)
	defer stop()
	_ = t.ws.SetReadDeadline(time.Now().Add(dialTimeout)) // reading fails where this does
	kind, data, err := t.ws.ReadMessage()
	if err != nil {
		return fmt.Errorf("%w: %w", errNoHello, err)
	}
	m, err := control.Parse(data, control.Hello, control.Bye)
	switch {
	case err != nil || kind == c.cfg.codec.FrameType():
		return fmt.Errorf("%w, but %.40q", errNoHello, data)
	case m.Type == control.Bye:
		t.bye = &m
		_, _, err = t.ws.ReadMessage()
		_, why := t.farewell(err)
		return why
	}
	_ = t.ws.SetReadDeadline(time.Time{})
	return c.welcome(t, m)
}

// welcome takes a hello.
func (c *client) welcome(t *transport, m control.Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	reason := c.ledger.lostFor(m.Hello.Reason)
	unprocessed, lost, err := c.ledger.greet(m.Hello, m.At)
	if err != nil {
		c.ledger.broken = true
		return err
	}
	if lost {
		c.tellLost(reason, unprocessed)
	}
	heartbeat := time.Duration(m.Hello.Heartbeat) * time.Millisecond
	if c.cfg.heartbeat > 0 {
		heartbeat = c.cfg.heartbeat
	}
	c.attach(t, heartbeat)
	c.settle()
	return nil
}

// tellLost queues OnSessionLost.
func (c *client) tellLost(reason string, unprocessed []*message) {
	lost := Lost{Reason: reason}
	for _, m := range unprocessed {
		if f, err := c.cfg.codec.Decode(m.data); err == nil { // it has been encoded by the same codec
			lost.Unprocessed = append(lost.Unprocessed, f)
		}
	}
	c.cfg.logger.Warn("wspulse: client: session lost", zap.String("reason", reason),
		zap.Int("unprocessed", len(unprocessed)))
	c.inbox.call(c, "OnSessionLost", func() {
		if c.cfg.onSessionLost != nil {
			c.cfg.onSessionLost(c, lost)
		}
	})
}

// attach runs with mu held.
func (c *client) attach(t *transport, heartbeat time.Duration) {
	c.transport = t
	t.pulse.dead.Store(int64(deadAfter * float64(heartbeat)))
	t.wakeUp()
}

// settle wakes those that wait until nothing is pending. It runs with mu held.
func (c *client) settle() {
	if c.drained != nil && c.ledger.pending() == 0 {
		close(c.drained)
		c.drained = nil
	}
}

// serve reads and writes until the transport has ended, and says why.
func (c *client) serve(t *transport) error {
	written := make(chan struct{})
	go func() {
		defer close(written)
		c.write(t)
	}()
	err := c.read(t)
	close(t.over)
	broken := (*countError)(nil)
	if errors.As(err, &broken) {
		c.cfg.logger.Error("wspulse: client: the session can't go on", zap.Error(err))
		_ = t.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(codeProtocol, "count"),
			time.Now().Add(time.Second))
	}
	t.close()
	<-written
	c.mu.Lock()
	defer c.mu.Unlock()
	c.transport = nil
	c.ledger.broken = c.ledger.broken || broken != nil
	if c.closing { // nobody else sees to that where Close has come too late for the transport
		c.cancel()
	}
	return err
}

// farewell says what the end of a transport means for the client; final is that it is not to come back. err is that of
// reading.
func (t *transport) farewell(err error) (final bool, why error) {
	if t.bye == nil {
		return false, err
	}
	e := &RefusedError{Status: http.StatusSwitchingProtocols, Reason: t.bye.Reason, Reconnect: t.bye.Reconnect,
		AfterMin: time.Duration(t.bye.After[0]) * time.Millisecond,
		AfterMax: time.Duration(t.bye.After[1]) * time.Millisecond}
	var closed *websocket.CloseError
	if errors.As(err, &closed) {
		e.Code = closed.Code
	}
	return !e.Reconnect, e
}

// wait returns what the server has asked for before the client comes back; nil: nothing.
func (t *transport) wait() *RefusedError {
	if t.bye == nil {
		return nil
	}
	var e *RefusedError
	_, why := t.farewell(nil)
	errors.As(why, &e)
	return e
}
