package wspulse

import (
	"bytes"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/zap"
)

// receive decodes a message and gives it to OnMessage. A session that has ended gets none. The error is a *PanicError.
func (l *link) receive(data []byte) (err error) {
	s, cfg := l.session, l.hub.cfg
	if !l.gate.enter() {
		return nil
	}
	defer l.gate.exit()
	cfg.metrics.MessageReceived(s.RoomID(), len(data))
	if cfg.onMessage == nil {
		return nil
	}
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
			l.hub.logPanic("OnMessage", s.id, v)
		}
	}()
	if cfg.appender == nil {
		data = bytes.Clone(data) // another codec's Payload may alias what it decodes
	}
	start := time.Now()
	f, err := cfg.codec.Decode(data)
	if err != nil {
		if entry := l.hub.limited.Check(zap.WarnLevel, "wspulse: malformed message dropped"); entry != nil {
			reason := zap.Error(err)
			if cfg.appender == nil {
				reason = zap.String("errorType", fmt.Sprintf("%T", err)) // its text may quote the message
			}
			entry.Write(s.field(), zap.Int("bytes", len(data)), reason)
		}
		return l.checkMalformed()
	}
	l.malformed = 0
	cfg.onMessage(s, f)
	now := time.Now()
	took := now.Sub(start)
	l.received.credit(cfg.messageRate, now, took)
	l.stalled += took
	if l.stalled >= stallStep {
		l.deadline = l.deadline.Add(l.stalled)
		l.stalled = 0
		_ = l.socket.SetReadDeadline(l.deadline) // reading fails at once where this does
	}
	return nil
}

// checkMalformed ends a transport whose peer sends nothing but malformed messages.
func (l *link) checkMalformed() error {
	most := l.hub.cfg.malformedLimit
	if l.malformed++; most == 0 || l.malformed < most {
		return nil
	}
	return &LimitError{LimitMalformed, websocket.CloseInvalidFramePayloadData, fmt.Sprintf("%d malformed messages in a row", most)}
}
