package client

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/wspulse/server/internal/window"
)

// Client is a connection to a server that comes back by itself. All methods may be called from any goroutine, callbacks
// included.
type Client interface {
	// ID returns the connectionID that the server knows the client by: it may change when a session is lost. Without
	// wspulse.v1 it is empty.
	ID() string

	// Send queues a frame. It does not wait, for the server or for a connection: the frame is sent when there is one, and
	// again if need be. Errors: ErrConnectionClosed; ErrSendBufferFull, the frame is dropped; the codec's error; or one that
	// says by how much the frame is larger than the server takes.
	Send(f Frame) error

	// Pending returns how many frames Send has taken that the server's application has not processed yet, as far as is
	// known. Without acknowledgements (WithoutProtocol, or a server that keeps no sessions) it is those that are not
	// written.
	Pending() int

	// Drained waits until nothing is pending. Errors: that of ctx, or ErrConnectionClosed when the client ended with
	// something pending.
	Drained(ctx context.Context) error

	// Close sends what is queued, as far as the server takes it within 5 s, ends the session, and closes the connection.
	// What is not acknowledged by then may or may not have been processed; see Drained. It returns when the connection is
	// closed, and does not wait for callbacks: OnDisconnect may still run. It may be called many times. Its error is nil.
	Close() error

	// Done is closed when the client has ended: by Close, or since the server does not want it back.
	Done() <-chan struct{}
}

const (
	closeWait = 5 * time.Second // for what is queued to be written, and the server to answer the close frame
	goodAfter = 5 * time.Second // a session that lasts as long lets the count of attempts begin anew
)

type client struct {
	cfg    *config
	ctx    context.Context // ends when Close is called without a connection, and with the client
	cancel context.CancelFunc
	done   chan struct{} // closed when the client has ended
	inbox  *inbox

	// Owned by the goroutine that runs the client.
	attempts int // to come back, without a good session between them

	mu        sync.Mutex // guards what follows; a leaf, but for the lock of a transport's wake-up
	ledger    ledger
	transport *transport    // nil while there is none
	closing   bool          // Close has been called
	ended     bool          // nothing is taken in any more
	drained   chan struct{} // closed when nothing is pending; nil: nobody waits for that
}

// Dial connects to a server. It returns when the session is open, or with an error: a [*RefusedError] where the server
// does not let the client in, and otherwise what the network or the handshake said. It does not try again; only a client
// that has been connected comes back. ctx is for the dial alone.
func Dial(ctx context.Context, url string, options ...Option) (Client, error) {
	cfg := defaultConfig(url)
	for _, option := range options {
		option(cfg)
	}
	c := &client{cfg: cfg, done: make(chan struct{}), inbox: newInbox()}
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
	data, err := c.cfg.codec.Encode(f)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	waiting, _ := c.ledger.window.Waiting()
	switch most := c.ledger.maxBytes; {
	case c.ended || c.closing:
		return ErrConnectionClosed
	case most > 0 && int64(len(data)) > most:
		return fmt.Errorf("wspulse: client: the frame has %d bytes, and the server takes %d (its WithMaxMessageSize)",
			len(data), most)
	case waiting >= c.cfg.sendBuffer:
		return ErrSendBufferFull
	}
	c.ledger.window.Push(&message{data})
	c.transport.wakeUp()
	return nil
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
	case <-c.done:
		if c.Pending() > 0 {
			return ErrConnectionClosed
		}
		return nil
	}
}

// Done implements Client.
func (c *client) Done() <-chan struct{} { return c.done }

// Close implements Client.
func (c *client) Close() error {
	c.mu.Lock()
	first := !c.closing
	c.closing = true
	t := c.transport
	t.wakeUp()
	c.mu.Unlock()
	if first {
		c.inbox.overflow()
		if t == nil {
			c.cancel()
		} else {
			time.AfterFunc(closeWait, t.close)
		}
	}
	<-c.done
	return nil
}

// run is the client's goroutine: it serves one transport after the other.
func (c *client) run(t *transport) {
	for {
		opened := time.Now()
		err := c.serve(t)
		if time.Since(opened) >= goodAfter {
			c.attempts = 0
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
		c.inbox.call(c, "OnTransportDrop", func() {
			if c.cfg.onTransportDrop != nil {
				c.cfg.onTransportDrop(c, why)
			}
		})
		if t, err = c.comeBack(t.wait()); err != nil {
			if c.isClosing() {
				err = nil
			}
			c.end(err)
			return
		}
		c.inbox.call(c, "OnTransportRestore", func() {
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
	c.cancel()
	close(c.done)
	c.inbox.call(c, "OnDisconnect", func() {
		if c.cfg.onDisconnect != nil {
			c.cfg.onDisconnect(c, err)
		}
	})
	c.inbox.close()
}
