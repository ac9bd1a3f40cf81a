package client

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"
	"go.uber.org/zap"

	core "github.com/wspulse/core"
	"github.com/wspulse/server/internal/ask"
	"github.com/wspulse/server/internal/window"
)

// Client is a connection to a server that comes back by itself. All methods may be called from any goroutine, callbacks
// included. It may gain methods: a fake embeds the interface.
type Client interface {
	// ID returns the connectionID that the server knows the client by: it may change when a session is lost. Without
	// wspulse.v1 it is empty.
	ID() string

	// Send queues a frame. It waits neither for the server nor for a connection: the frame is sent when there is one,
	// and again if need be. It is encoded before Send returns, so that the caller may reuse its Payload.
	//
	// Errors: ErrConnectionClosed; ErrSendBufferFull, the frame is dropped; the codec's error; or one that says what is
	// wrong with the frame, that it is no UTF-8, or by how much it is larger than the server takes.
	Send(f Frame) error

	// Request sends a frame as Send does, and waits for the server's reply: a frame with the same ID, and with the
	// event "ack", or "error" and a payload of {"code","message"} (see WithReplyEvents). f.ID may be empty: an ID is
	// made that no other request of this client has. The first frame that replies counts.
	//
	// It waits until ctx ends, and may be called in a callback: replies are not behind the messages that wait for
	// callbacks. A request outlives its connection as its session does. What is lost on the way without wspulse.v1, or
	// dropped by the server, does not come again: let ctx have a deadline.
	//
	// Errors: context.Cause(ctx); ErrConnectionClosed, the client has ended; a *ReplyError, beside which the frame is
	// returned too; a *SessionLostError; one that says that a request with f.ID is under way; or Send's.
	//
	// From the first Request of a client on, the server's frames with these events and an ID are replies. OnMessage
	// gets none of them any more; those that no request waits for are ignored.
	Request(ctx context.Context, f Frame) (Frame, error)

	// Join asks the server to let the client join a room beside those that it is in, by a request "join" with the
	// payload {"room": roomID}. The server answers it where its program does, with rpc.Rooms say. Rooms that were
	// joined are left with a session that is lost: see WithOnSessionLost. Errors: Request's.
	Join(ctx context.Context, roomID string) error

	// Leave asks the server to let the client leave a room, by a request "leave". See Join. When it returns nil,
	// Presence knows nothing of the room any more.
	Leave(ctx context.Context, roomID string) error

	// Presence returns who is in a room, sorted by ID, as OnPresence was told last: nil where that is not known, or the
	// members are only counted, or WithOnPresence is not set.
	Presence(roomID string) []Member

	// Pending returns how many frames Send has taken that the server's application has not processed yet, as far as is
	// known. Without acknowledgements (WithoutProtocol, or a server that keeps no sessions) it is those that are not
	// written.
	Pending() int

	// Drained waits until nothing is pending. Errors: that of ctx, or ErrConnectionClosed when the client ended with
	// something pending.
	Drained(ctx context.Context) error

	// Close sends what is queued, as far as the server lets the client without waiting for acknowledgements; then it
	// says bye, which ends the session at once, and closes the connection (1000). It returns when the server has
	// answered, or after 5 s, and does not wait for callbacks: those that wait still run, OnDisconnect last, and then
	// Done is closed. The server's answer acknowledges what was sent before; call Drained first to have all of it
	// processed. Close may be called many times. Its error is nil.
	Close() error

	// Done is closed when the client has ended, by Close or since the server does not want it back, and OnDisconnect
	// has returned.
	Done() <-chan struct{}
}

const (
	closeWait = 5 * time.Second // for what is queued to be written, and the server to answer the close frame
	goodAfter = 5 * time.Second // a session that lasts as long lets the count of attempts begin anew
)

type client struct {
	// Set at construction, then read-only.
	cfg    *config
	ctx    context.Context // ends when Close is called without a connection, and with the client
	cancel context.CancelFunc
	closed chan struct{} // closed by run when there will be no more connections
	done   chan struct{} // closed by the inbox after OnDisconnect
	inbox  *inbox
	rooms  rooms

	// Owned by the goroutine that runs the client.
	attempts int  // to come back, without a good session between them
	hurried  bool // one of them was made at once

	requestIDs ask.IDs // begun: replies are looked for

	mu        sync.Mutex // guards what follows; a leaf
	ledger    ledger
	requests  map[string]*waiter // that are under way, by ID; nil until there is one
	transport *transport         // nil while there is none
	closing   bool               // Close has been called
	ended     bool               // nothing is taken in any more
	drained   chan struct{}      // closed by settle; nil: nobody waits for that
}

// Dial connects to a server. It returns when the session is open, or after 10 s at most with an error: a
// [*RefusedError] where the server does not let the client in, and otherwise what the network or the handshake said,
// such as a *net.OpError. It does not try again; only a client that has been connected comes back. ctx is for the dial
// alone.
func Dial(ctx context.Context, url string, options ...Option) (Client, error) {
	cfg := defaultConfig(url)
	for _, option := range options {
		option(cfg)
	}
	c := &client{cfg: cfg, closed: make(chan struct{}), done: make(chan struct{})}
	c.inbox = newInbox(cfg.logger, c.ackNews)
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.ledger.window = window.New[*message](0)
	t, err := c.dial(ctx)
	if err != nil {
		c.cancel()
		return nil, err
	}
	go c.inbox.run()
	go c.run(t)
	return c, nil
}

// ID implements Client.
func (c *client) ID() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ledger.id
}

// Send implements Client.
func (c *client) Send(f Frame) error {
	data, err := c.encode(f)
	if err != nil {
		return err
	}
	t, err := c.queue(&message{data})
	t.wakeUp()
	return err
}

// encode makes a message that is the client's own.
func (c *client) encode(f Frame) ([]byte, error) {
	data, err := c.cfg.codec.Encode(f)
	if err != nil {
		return nil, err
	}
	if c.cfg.frameType == websocket.TextMessage && !utf8.Valid(data) { // the server would end the connection for it
		return nil, fmt.Errorf("wspulse: client: %T made a text of %d bytes that is not UTF-8; its FrameType must be "+
			"BinaryMessage for such frames", c.cfg.codec, len(data))
	}
	if c.cfg.codec != core.JSONCodec {
		data = bytes.Clone(data) // another codec's messages may alias the payload
	}
	return data, nil
}

// queue has a message wait. It returns the transport, if there is one, which is to be woken up.
func (c *client) queue(m *message) (*transport, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.push(m)
}

// push is queue with mu held.
func (c *client) push(m *message) (*transport, error) {
	waiting, _ := c.ledger.window.Waiting()
	switch most := c.ledger.maxBytes; {
	case c.ended || c.closing:
		return nil, ErrConnectionClosed
	case most > 0 && int64(m.Len()) > most:
		return nil, fmt.Errorf("wspulse: client: the frame has %d bytes, and the server takes %d (its WithMaxMessageSize)",
			m.Len(), most)
	case waiting >= c.cfg.sendBuffer:
		return nil, ErrSendBufferFull
	}
	c.ledger.window.Push(m)
	return c.transport, nil
}

// Pending implements Client.
func (c *client) Pending() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ledger.pending()
}

// Drained implements Client.
func (c *client) Drained(ctx context.Context) error {
	c.mu.Lock()
	if c.ledger.pending() == 0 {
		c.mu.Unlock()
		return nil
	}
	if c.drained == nil {
		c.drained = make(chan struct{})
	}
	drained := c.drained
	c.mu.Unlock()
	select {
	case <-drained:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.closed:
		if c.Pending() > 0 {
			return ErrConnectionClosed
		}
		return nil
	}
}

// settle lets go those that wait until nothing is pending.
func (c *client) settle() {
	c.mu.Lock()
	drained := c.drained
	if drained == nil || c.ledger.pending() > 0 {
		c.mu.Unlock()
		return
	}
	c.drained = nil
	c.mu.Unlock()
	close(drained)
}

// Done implements Client.
func (c *client) Done() <-chan struct{} { return c.done }

// Close implements Client.
func (c *client) Close() error {
	c.mu.Lock()
	first := !c.closing
	c.closing = true
	t := c.transport
	c.mu.Unlock()
	c.inbox.overflow() // the server's answer stands behind what has not been read
	switch {
	case !first:
	case t == nil:
		c.cancel()
	default:
		t.wakeUp()
		time.AfterFunc(closeWait, t.close)
	}
	patience := time.NewTimer(closeWait + time.Second) // a function of an option may block the goroutine that dials
	defer patience.Stop()
	select {
	case <-c.closed:
	case <-patience.C:
	}
	return nil
}

// run is the client's goroutine: it serves one transport after the other.
func (c *client) run(t *transport) {
	for {
		opened := time.Now()
		err := c.serve(t)
		if time.Since(opened) >= goodAfter {
			c.attempts, c.hurried = 0, false
		}
		if c.isClosing() {
			c.end(nil)
			return
		}
		c.cfg.logger.Info("wspulse: client: connection lost", zap.Error(err))
		final, why := t.farewell(err)
		if final || c.cfg.retries == 0 {
			c.end(why)
			return
		}
		c.inbox.call("OnTransportDrop", func() {
			if c.cfg.onTransportDrop != nil {
				c.cfg.onTransportDrop(c, why)
			}
		})
		if t, err = c.comeBack(why); err != nil {
			if c.isClosing() {
				err = nil
			}
			c.end(err)
			return
		}
		c.inbox.call("OnTransportRestore", func() {
			if c.cfg.onTransportRestore != nil {
				c.cfg.onTransportRestore(c)
			}
		})
	}
}

func (c *client) isClosing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}

// end ends the client; err is for OnDisconnect.
func (c *client) end(err error) {
	c.mu.Lock()
	c.ended = true
	c.ledger.stopTimer()
	c.mu.Unlock()
	if err != nil {
		c.loseAll(err)
	}
	c.cancel()
	close(c.closed)
	c.inbox.call("OnDisconnect", func() {
		defer close(c.done)
		c.rooms.forgetAll()
		if c.cfg.onDisconnect != nil {
			c.cfg.onDisconnect(c, err)
		}
	})
	c.inbox.close()
}
