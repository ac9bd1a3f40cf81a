package client

import (
	"errors"
	"fmt"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/zap"

	"github.com/wspulse/server/internal/control"
)

// read reads until the transport ends.
func (c *client) read(t *transport) error {
	for {
		kind, data, err := t.ws.ReadMessage()
		switch {
		case errors.Is(err, websocket.ErrReadLimit):
			c.skip()
			return err
		case err != nil:
			return err
		case c.cfg.plain || kind == c.cfg.codec.FrameType():
			c.receive(data)
		default:
			err = c.hear(t, data)
		}
		if err != nil {
			return err
		}
	}
}

// receive counts a message, and queues it for OnMessage.
func (c *client) receive(data []byte) {
	c.mu.Lock()
	c.ledger.received++
	c.mu.Unlock()
	f, err := c.cfg.codec.Decode(data)
	c.inbox.put(event{size: len(data), run: func() {
		defer c.handled(1, len(data))
		switch {
		case err != nil:
			c.cfg.logger.Warn("wspulse: client: malformed message dropped", zap.Int("bytes", len(data)))
		case c.cfg.onMessage != nil:
			c.contain("OnMessage", func() { c.cfg.onMessage(c, f) })
		}
	}})
}

// skip counts a message that is larger than WithMaxMessageSize allows: it would come again for ever.
func (c *client) skip() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gap(1)
}

// gap counts messages that will not come, and queues OnGap. It runs with mu held.
func (c *client) gap(n uint64) {
	c.ledger.received += n
	c.inbox.call(c, "OnGap", func() {
		defer c.handled(n, 0)
		if c.cfg.onGap != nil {
			c.cfg.onGap(c, int(n))
		}
	})
}

// handled counts messages that OnMessage, or OnGap, is through with.
func (c *client) handled(messages uint64, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ledger.handle(messages, size, c.ackInTime) {
		c.transport.wakeUp()
	}
}

// ackInTime acknowledges what has been handled, if there is news.
func (c *client) ackInTime() {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := &c.ledger
	if v.armed = false; v.handled > v.told {
		v.ackDue = true
		c.transport.wakeUp()
	}
}

// hear takes a control message. The error is a *countError.
func (c *client) hear(t *transport, data []byte) error {
	m, err := control.Parse(data, control.Ack, control.Gap, control.Ping, control.Pong, control.Bye)
	if err != nil {
		return &countError{err.Error()}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	v := &c.ledger
	if m.At != v.received && m.Type != control.Bye {
		return &countError{fmt.Sprintf("the server counts %d messages, %d have come", m.At, v.received)}
	}
	switch m.Type {
	case control.Ack:
		err := v.acknowledged(m.N)
		c.settle()
		t.wakeUp() // there is room for more
		return err
	case control.Gap:
		c.gap(m.N)
	case control.Bye:
		t.bye = &m
	case control.Hello, control.Ping, control.Pong:
	}
	return nil
}

// write writes what is due until the transport ends.
func (c *client) write(t *transport) {
	for {
		kind, data, ends := c.next()
		var err error
		switch {
		case ends:
			err = c.sayBye(t)
		case data != nil:
			t.ws.EnableWriteCompression(kind == c.cfg.codec.FrameType())
			err = t.ws.WriteMessage(kind, data)
		default:
			select {
			case <-t.wake:
			case <-t.over:
				return
			}
		}
		if ends || err != nil {
			if err != nil {
				t.close() // reading ends, and says why
			}
			return
		}
		if data != nil && kind == c.cfg.codec.FrameType() {
			c.wrote()
		}
	}
}

// next takes what is to be written next: an acknowledgement, or a message. ends says that the client is closed, and all
// that may be sent has been.
func (c *client) next() (kind int, data []byte, ends bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := &c.ledger
	if v.ackDue {
		m := v.ack()
		return c.controlType(), m.Append(nil), false
	}
	if m := v.next(); m != nil {
		return c.cfg.codec.FrameType(), m.data, false
	}
	return 0, nil, c.closing
}

func (c *client) wrote() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ledger.written()
	c.settle()
}

// sayBye ends the session, and the WebSocket. The server answers.
func (c *client) sayBye(t *transport) error {
	if !c.cfg.plain {
		c.mu.Lock()
		m := c.ledger.control(control.Message{Type: control.Bye})
		c.mu.Unlock()
		t.ws.EnableWriteCompression(false)
		if err := t.ws.WriteMessage(c.controlType(), m.Append(nil)); err != nil {
			return err
		}
	}
	return t.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""),
		time.Now().Add(closeWait))
}

// controlType is the message type that the codec does not use.
func (c *client) controlType() int {
	if c.cfg.codec.FrameType() == websocket.TextMessage {
		return websocket.BinaryMessage
	}
	return websocket.TextMessage
}
