package client

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
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
	writeWait = 10 * time.Second // for each piece that is written, where nothing else says whether the server is there
	pieceSize = 16 << 10         // bytes
)

// A transport is one WebSocket.
type transport struct {
	// Set when it is opened, then read-only.
	ws    *websocket.Conn
	pulse *pulseConn
	wake  chan struct{} // of capacity 1: there may be something to write; never closed
	over  chan struct{} // closed by serve when reading has ended

	bye  *control.Message       // what the server has said last; owned by the goroutine that reads
	pong atomic.Pointer[string] // what is to be answered to the latest ping
	shut sync.Once
}

func newTransport() *transport {
	return &transport{wake: make(chan struct{}, 1), over: make(chan struct{})}
}

// open takes the WebSocket. Pings are answered by the goroutine that writes: the one that reads waits for no write.
func (t *transport) open(ws *websocket.Conn) {
	t.ws = ws
	ws.SetPingHandler(func(text string) error {
		t.pong.Store(&text)
		t.wakeUp()
		return nil
	})
}

// wakeUp has the goroutine that writes look. t may be nil.
func (t *transport) wakeUp() {
	if t == nil {
		return
	}
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

func (t *transport) close() { t.shut.Do(func() { _ = t.ws.Close() }) }

// complain says what the server has done wrong, if that is why the transport ends.
func (t *transport) complain(err error) {
	var broken *protocolError
	switch {
	case errors.As(err, &broken):
		t.writeClose(codeProtocol, broken.closeText())
	case errors.Is(err, errTooLarge):
		t.writeClose(websocket.CloseMessageTooBig, "")
	}
}

func (t *transport) writeClose(code int, text string) {
	_ = t.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, text), time.Now().Add(time.Second))
}

// readMessage reads a message. The error is errTooLarge for one that is larger than most says for its kind.
func (t *transport) readMessage(most func(kind int) int64) (kind int, data []byte, err error) {
	kind, r, err := t.ws.NextReader()
	if err != nil {
		return kind, nil, err
	}
	limit := most(kind)
	data, err = io.ReadAll(io.LimitReader(r, limit+1)) // SetReadLimit counts what is compressed
	if int64(len(data)) > limit {
		err = errTooLarge
	}
	return kind, data, err
}

// A pulseConn is a connection on which reading ends when nothing has come for a while. Where there is no such limit,
// writing ends when the server takes nothing. Where there is one, that says whether the server is there: it may have
// reasons to take nothing for longer.
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
	if p.dead.Load() > 0 {
		return p.Conn.Write(b)
	}
	for n < len(b) && err == nil {
		_ = p.Conn.SetWriteDeadline(time.Now().Add(writeWait))
		var written int
		written, err = p.Conn.Write(b[n:min(len(b), n+pieceSize)])
		n += written
	}
	return n, err
}

// serve reads and writes until the transport has ended, and says why.
func (c *client) serve(t *transport) error {
	written := make(chan bool, 1)
	go func() { written <- c.write(t) }()
	err := c.read(t)
	close(t.over)
	var broken *protocolError
	if errors.As(err, &broken) {
		c.cfg.logger.Error("wspulse: client: the server breaks the protocol", zap.Error(err))
	}
	if broken != nil && broken.counts {
		c.disown(t, written)
	}
	t.complain(err)
	t.close()
	saidBye := <-written
	c.mu.Lock()
	c.transport = nil
	c.ledger.broken = c.ledger.broken || broken != nil && broken.counts
	if saidBye && t.bye == nil && websocket.IsCloseError(err, websocket.CloseNormalClosure) {
		c.ledger.answered()
	}
	closing := c.closing
	c.mu.Unlock()
	c.settle()
	if closing { // nobody else sees to that where Close has come too late for the transport
		c.cancel()
	}
	return err
}

// disown says bye to a session that can't go on, once nobody else writes.
func (c *client) disown(t *transport, written chan bool) {
	select {
	case saidBye := <-written:
		if written <- saidBye; !saidBye {
			_ = c.writeBye(t) // where it fails, so does what follows
		}
	case <-time.After(time.Second):
	}
}

// farewell says what the end of a transport means for the client; final is that it is not to come back. err is that of
// reading.
func (t *transport) farewell(err error) (final bool, why error) {
	if t.bye == nil {
		return false, err
	}
	e := &RefusedError{Status: http.StatusSwitchingProtocols, Reason: t.bye.Reason, Reconnect: t.bye.Reconnect,
		AfterMin: milliseconds(t.bye.After[0]), AfterMax: milliseconds(t.bye.After[1])}
	var closed *websocket.CloseError
	if errors.As(err, &closed) && closed.Code != websocket.CloseAbnormalClosure {
		e.Code = closed.Code
	}
	return !e.Reconnect, e
}

// milliseconds is what a server says, within reason.
func milliseconds(ms int64) time.Duration {
	return time.Duration(max(0, min(ms, int64(maxAfter/time.Millisecond)))) * time.Millisecond
}
