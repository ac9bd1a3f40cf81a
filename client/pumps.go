package client

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/zap"

	"github.com/wspulse/server/internal/control"
)

// read reads until the transport ends.
func (c *client) read(t *transport) error {
	for {
		kind, data, err := t.readMessage(c.largest)
		switch {
		case errors.Is(err, errTooLarge) && !c.isData(kind):
			return &protocolError{fmt.Sprintf("the server has sent a control message of more than %d bytes",
				control.MaxSize), false}
		case errors.Is(err, errTooLarge):
			c.gap(1) // it would come again for ever
			return err
		case err != nil:
			return err
		case c.isData(kind):
			c.receive(data)
			continue
		}
		if err := c.hear(t, data); err != nil {
			return err
		}
	}
}

// isData says whether a WebSocket message of that kind is a message, and not a control message.
func (c *client) isData(kind int) bool { return c.cfg.plain || kind == c.cfg.frameType }

// largest returns how large a WebSocket message of that kind may be.
func (c *client) largest(kind int) int64 {
	if c.isData(kind) {
		return c.cfg.maxMessageSize
	}
	return control.MaxSize
}

// receive gives a reply to its request, queues any other message for OnMessage, and counts it.
func (c *client) receive(data []byte) {
	f, err := c.decode(data)
	switch {
	case err != nil:
		c.cfg.logger.Warn("wspulse: client: malformed message dropped", zap.Int("bytes", len(data)))
		fallthrough
	case c.takeReply(f):
		c.count(1, len(data), c.inbox.isFull())
	case c.isPresence(f):
		c.count(1, len(data), c.inbox.put("OnPresence", len(data), func() { c.tellPresence(f) }))
	default:
		c.count(1, len(data), c.inbox.put("OnMessage", len(data), func() { c.handle(f) }))
	}
}

// decode contains a panic of the codec.
func (c *client) decode(data []byte) (f Frame, err error) {
	defer func() {
		if v := recover(); v != nil {
			c.cfg.logger.Warn("wspulse: client: panic in codec", zap.String("panic", fmt.Sprint(v)),
				zap.ByteString("stack", debug.Stack()))
			err = fmt.Errorf("wspulse: client: %T panicked: %v", c.cfg.codec, v)
		}
	}()
	return c.cfg.codec.Decode(data)
}

// gap queues OnGap, and counts messages that will not come.
func (c *client) gap(n uint64) {
	c.inbox.call("OnGap", func() {
		if c.cfg.onGap != nil {
			c.cfg.onGap(c, int(n))
		}
	})
	c.count(n, 0, c.inbox.isFull())
}

// count counts messages of the server.
func (c *client) count(messages uint64, size int, full bool) {
	c.mu.Lock()
	now := c.ledger.receive(messages, size, full, c.ackNews)
	t := c.transport
	c.mu.Unlock()
	if now {
		t.wakeUp()
	}
}

// ackNews acknowledges what has been received, if there is news and room for more.
func (c *client) ackNews() {
	full := c.inbox.isFull()
	c.mu.Lock()
	due := c.ledger.news(full)
	t := c.transport
	c.mu.Unlock()
	if due {
		t.wakeUp()
	}
}

// hear takes a control message. The error is a *protocolError.
func (c *client) hear(t *transport, data []byte) error {
	m, err := control.Parse(data, control.Ack, control.Gap, control.Ping, control.Pong, control.Bye)
	if err != nil {
		return &protocolError{err.Error(), false}
	}
	if err := c.tally(m); err != nil {
		return err
	}
	switch m.Type {
	case control.Ack:
		c.settle()
		t.wakeUp() // there is room for more
	case control.Gap:
		c.gap(m.N)
	case control.Bye:
		t.bye = &m
	case control.Hello, control.Ping, control.Pong:
	}
	return nil
}

// tally compares what a control message says with what has been counted.
func (c *client) tally(m control.Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := &c.ledger
	switch {
	case m.At != v.received:
		return &protocolError{fmt.Sprintf("the server counts %d messages, %d have come", m.At, v.received), true}
	case m.Type == control.Ack:
		return v.acknowledged(m.N)
	}
	return nil
}

// write writes what is due until the transport ends, or the client does: then it has said bye.
func (c *client) write(t *transport) (saidBye bool) {
	for {
		if text := t.pong.Swap(nil); text != nil {
			if err := t.ws.WriteControl(websocket.PongMessage, []byte(*text), time.Time{}); err != nil {
				t.close() // reading ends, and says why
				return false
			}
			continue
		}
		select {
		case <-t.over:
			return false
		default:
		}
		kind, data, ends := c.next()
		switch {
		case ends:
			if err := c.sayBye(t); err != nil {
				t.close()
				return false
			}
			return true
		case data == nil:
			select {
			case <-t.wake:
			case <-t.over:
				return false
			}
			continue
		}
		t.ws.EnableWriteCompression(kind == c.cfg.frameType)
		if err := t.ws.WriteMessage(kind, data); err != nil {
			t.close()
			return false
		}
		if kind == c.cfg.frameType {
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
		return c.cfg.controlType, m.Append(nil), false
	}
	if m := v.next(); m != nil {
		return c.cfg.frameType, m.data, false
	}
	return 0, nil, c.closing
}

// wrote counts a message that has been written.
func (c *client) wrote() {
	c.mu.Lock()
	c.ledger.written()
	c.mu.Unlock()
	c.settle()
}

// sayBye ends the session, and the WebSocket. The server answers.
func (c *client) sayBye(t *transport) error {
	if !c.cfg.plain {
		if err := c.writeBye(t); err != nil {
			return err
		}
	}
	return t.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""),
		time.Now().Add(closeWait))
}

func (c *client) writeBye(t *transport) error {
	c.mu.Lock()
	m := c.ledger.control(control.Message{Type: control.Bye})
	c.mu.Unlock()
	t.ws.EnableWriteCompression(false)
	return t.ws.WriteMessage(c.cfg.controlType, m.Append(nil))
}
