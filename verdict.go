package wspulse

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/gorilla/websocket"
	"go.uber.org/zap"

	"github.com/wspulse/server/internal/wire"
)

// explain turns the error that ended reading into the one for the application, nil for a clean close, and decides on
// the closeFrame.
func (l *link) explain(err error) error {
	var (
		closed    *websocket.CloseError
		panicked  *PanicError
		violation *wire.Violation
		exceeded  *LimitError
	)
	switch {
	case errors.As(err, &panicked):
		l.closeFrame = wire.Close(websocket.CloseInternalServerErr, "")
		return err
	case errors.Is(err, io.ErrUnexpectedEOF): // the stream ended without a close frame: RFC 6455, section 7.1.5
		return &websocket.CloseError{Code: websocket.CloseAbnormalClosure, Text: err.Error()}
	case errors.As(err, &closed):
		l.closeFrame = wire.Close(closed.Code, "") // RFC 6455, section 5.5.1: answer with the peer's code
		switch closed.Code {
		case websocket.CloseNormalClosure, websocket.CloseGoingAway, websocket.CloseNoStatusReceived:
			return nil
		}
		return err
	case errors.Is(err, wire.ErrTooLarge):
		l.closeFrame = wire.Close(websocket.CloseMessageTooBig, "")
		l.limitReached(LimitMaxMessageSize)
		return fmt.Errorf("wspulse: message larger than %d bytes: %w", l.hub.cfg.maxMessageSize, websocket.ErrReadLimit)
	case errors.As(err, &violation):
		l.closeFrame = wire.Close(violation.Code, violation.Reason)
	case isTimeout(err) && l.late():
		d := l.hub.cfg.messageTimeout
		return l.explain(&LimitError{LimitMessageTime, websocket.ClosePolicyViolation, fmt.Sprintf("a message took longer than %v", d)})
	case errors.As(err, &exceeded):
		l.closeFrame = wire.Close(exceeded.Code, exceeded.Reason)
		l.limitReached(exceeded.Limit)
		return err
	case isTimeout(err):
		if !l.session.ended() {
			l.hub.cfg.metrics.PongTimeout(l.session.RoomID(), l.session.id)
		}
		return fmt.Errorf("wspulse: no pong within %v: %w", l.hub.cfg.pongWait, err)
	default:
		return err
	}
	l.hub.limited.Warn("wspulse: peer broke the protocol", l.session.field(),
		zap.Stringer("remoteAddr", l.socket.RemoteAddr()), zap.Error(err))
	return err
}

// closeError returns what a peer says with a close frame.
func closeError(data []byte) error {
	code, reason, err := wire.ParseClose(data)
	if err != nil {
		return err
	}
	return &websocket.CloseError{Code: code, Text: reason}
}

// isTimeout says that a deadline of ours has passed, which other timeouts are not: that of TCP, for one.
func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
