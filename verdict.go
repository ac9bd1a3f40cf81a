package wspulse

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/gorilla/websocket"

	"github.com/wspulse/server/internal/wire"
)

// A verdict is what an error that ended reading means.
type verdict struct {
	err        error       // for OnTransportDrop or OnDisconnect; nil for a clean close
	closeFrame *wire.Frame // that the peer is to get; nil when it is not there to read it
	limit      Limit       // that was reached, or ""
	fault      fault       // what an operator should hear of it
}

// A fault is a way for a peer to fall short that is reported.
type fault int

const (
	noFault      fault = iota
	brokeRules         // of the protocol
	answeredNone       // of the pings
)

// reasonPanic tells the peer of a panic that it is not at fault. What was passed to panic is not for it to know.
const reasonPanic = "the server failed in handling a message"

// judge says what the error that ended reading means. It reports nothing.
func judge(err error, cfg *serverConfig) verdict {
	var (
		closed    *websocket.CloseError
		panicked  *PanicError
		violation *wire.Violation
		exceeded  *LimitError
	)
	switch {
	case errors.As(err, &panicked):
		return verdict{err: err, closeFrame: wire.Close(websocket.CloseInternalServerErr, reasonPanic)}
	case errors.Is(err, io.ErrUnexpectedEOF): // the stream ended without a close frame: RFC 6455, section 7.1.5
		return verdict{err: &websocket.CloseError{Code: websocket.CloseAbnormalClosure, Text: err.Error()}}
	case errors.As(err, &closed):
		v := verdict{closeFrame: wire.Close(closed.Code, "")} // RFC 6455, section 5.5.1: answer with the peer's code
		switch closed.Code {
		case websocket.CloseNormalClosure, websocket.CloseGoingAway, websocket.CloseNoStatusReceived:
		default:
			v.err = err
		}
		return v
	case errors.Is(err, wire.ErrTooLarge):
		reason := fmt.Sprintf("message larger than %d bytes (WithMaxMessageSize)", cfg.maxMessageSize)
		return verdict{
			err:        fmt.Errorf("wspulse: %s: %w", reason, websocket.ErrReadLimit),
			closeFrame: wire.Close(websocket.CloseMessageTooBig, reason),
			limit:      LimitMaxMessageSize,
		}
	case errors.As(err, &violation):
		return verdict{err: err, closeFrame: wire.Close(violation.Code, violation.Reason), fault: brokeRules}
	case errors.As(err, &exceeded):
		return verdict{err: err, closeFrame: wire.Close(exceeded.Code, exceeded.Reason), limit: exceeded.Limit}
	case isTimeout(err):
		return verdict{err: fmt.Errorf("wspulse: no pong within %v: %w", cfg.pongWait, err), fault: answeredNone}
	default:
		return verdict{err: err}
	}
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
