package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/zap"

	"github.com/wspulse/server/internal/control"
)

const (
	answerLen = 200       // bytes of the answer to a refused request that an error quotes
	maxAfter  = time.Hour // that a server may have a client wait
)

// dial opens a WebSocket, and greets. Then it is the client's transport.
func (c *client) dial(ctx context.Context) (*transport, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
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
	t := newTransport()
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
		Subprotocols:      protocols,
		EnableCompression: c.cfg.compression,
	}
	ws, response, err := dialer.DialContext(ctx, url, header)
	switch {
	case err != nil && response != nil && response.StatusCode != http.StatusSwitchingProtocols:
		return nil, refusal(response)
	case err != nil:
		return nil, fmt.Errorf("wspulse: client: dial: %w", err)
	}
	t.open(ws)
	if err := c.greet(ctx, t); err != nil {
		t.complain(err)
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
	claim := c.ledger.claim()
	c.mu.Unlock()
	offer := []string{control.Protocol}
	if claim != nil {
		offer = append(offer, claim.String())
	}
	return append(offer, others...), nil
}

// refusal makes an error of an answer that is no upgrade. Such an answer is final where it says that the request itself
// is wrong; a proxy that is starting, or the page of a network that wants a login, is not.
func refusal(response *http.Response) *RefusedError {
	body, _ := io.ReadAll(io.LimitReader(response.Body, answerLen))
	e := &RefusedError{Status: response.StatusCode, Reason: strings.TrimSpace(string(body))}
	if e.Reason == "" {
		e.Reason = response.Status
	}
	switch s := e.Status; s {
	case http.StatusUnauthorized, http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		e.Reconnect = true
	default:
		e.Reconnect = s < 400 || s >= 500
	}
	if after := retryAfter(response.Header.Get("Retry-After")); after > 0 {
		e.AfterMin, e.AfterMax = after, after+time.Second
	}
	return e
}

// retryAfter reads that header (RFC 9110, section 10.2.3): seconds, or a date. 0: it says nothing.
func retryAfter(value string) time.Duration {
	if seconds, err := strconv.ParseInt(value, 10, 32); err == nil {
		return min(time.Duration(seconds)*time.Second, maxAfter)
	}
	if date, err := http.ParseTime(value); err == nil {
		return min(time.Until(date), maxAfter)
	}
	return 0
}

// greet waits for the server's hello, and attaches the transport.
func (c *client) greet(ctx context.Context, t *transport) error {
	if c.cfg.plain {
		c.mu.Lock()
		c.ledger.takeBack()
		c.mu.Unlock()
		c.inbox.call("OnPresence", c.rooms.forgetAll) // it may be another session
		c.attach(t, c.cfg.heartbeat)
		return nil
	}
	if t.ws.Subprotocol() != control.Protocol {
		return errNoV1
	}
	stop := context.AfterFunc(ctx, t.close)
	m, err := c.awaitHello(t)
	if !stop() {
		return fmt.Errorf("%w: %w", errNoHello, ctx.Err())
	}
	if err != nil {
		return err
	}
	return c.welcome(t, m)
}

// awaitHello reads the hello, or why there will be none.
func (c *client) awaitHello(t *transport) (m control.Message, err error) {
	kind, data, err := t.readMessage(func(int) int64 { return control.MaxSize })
	var closed *websocket.CloseError
	switch {
	case errors.As(err, &closed) && closed.Code != websocket.CloseAbnormalClosure:
		return m, &RefusedError{Status: http.StatusSwitchingProtocols, Code: closed.Code, Reason: closed.Text,
			Reconnect: true}
	case err != nil:
		return m, fmt.Errorf("%w: %w", errNoHello, err)
	case kind == c.cfg.frameType:
		return m, &protocolError{"the server has sent a message before its hello", false}
	}
	if m, err = control.Parse(data, control.Hello, control.Bye); err != nil {
		return m, &protocolError{err.Error(), false}
	}
	if m.Type == control.Bye {
		t.bye = &m
		_, _, err = t.readMessage(func(int) int64 { return 0 })
		_, err = t.farewell(err)
	}
	return m, err
}

// welcome takes a hello.
func (c *client) welcome(t *transport, m control.Message) error {
	c.mu.Lock()
	lost, err := c.ledger.greet(m.Hello, m.At)
	var failed map[*waiter]error
	if lost != nil {
		failed = c.loseRequests(lost)
	}
	c.mu.Unlock()
	for w, err := range failed {
		w.answer <- answer{err: err}
	}
	if err != nil {
		return err
	}
	if lost != nil {
		c.tellLost(lost)
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
func (c *client) tellLost(l *loss) {
	c.cfg.logger.Warn("wspulse: client: session lost", zap.String("reason", l.reason),
		zap.Int("unprocessed", len(l.unprocessed)))
	c.inbox.call("OnSessionLost", func() {
		c.rooms.forgetAll()
		if c.cfg.onSessionLost == nil {
			return
		}
		lost := Lost{Reason: l.reason}
		for _, m := range l.unprocessed {
			if f, err := c.cfg.codec.Decode(m.data); err == nil { // it has been encoded by the same codec
				lost.Unprocessed = append(lost.Unprocessed, f)
			}
		}
		c.cfg.onSessionLost(c, lost)
	})
}

// loseAll tells of what is pending when the client ends, not by Close.
func (c *client) loseAll(err error) {
	c.mu.Lock()
	lost := &loss{reason: "network", unprocessed: c.ledger.all()}
	c.mu.Unlock()
	if refused := (*RefusedError)(nil); errors.As(err, &refused) {
		lost.reason = refused.Reason
	}
	if len(lost.unprocessed) > 0 {
		c.tellLost(lost)
	}
}

// attach makes a transport the client's.
func (c *client) attach(t *transport, heartbeat time.Duration) {
	t.pulse.dead.Store(int64(deadAfter * float64(heartbeat)))
	c.mu.Lock()
	c.transport = t
	closing := c.closing
	c.mu.Unlock()
	if closing { // Close has found no transport
		time.AfterFunc(closeWait, t.close)
	}
	t.wakeUp()
}
