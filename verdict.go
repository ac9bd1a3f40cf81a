package wspulse

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/gorilla/websocket"

	"github.com/wspulse/server/internal/control"
	"github.com/wspulse/server/internal/wire"
)

// A verdict is what an error that ended reading means.
type verdict struct {
	err        error           // for OnTransportDrop or OnDisconnect; nil for a clean close
	closeFrame *wire.Frame     // that the peer is to get; nil when it is not there to read it
	bye        control.Message // before it, for a peer that speaks wspulse.v1
	limit      Limit           // that was reached, or ""
	ends       *ending         // the way in which the session ends with its transport; nil: it is suspended
	fault      fault           // what an operator should hear of it
}

// A fault is a way for a peer to fall short that is reported.
type fault int

const (
	noFault      fault = iota
	brokeRules         // of the protocol
	answeredNone       // of the pings
)

// The close codes of wspulse.v1 that end a transport. docs/protocol.md has all of them.
const (
	codeProtocol     = 4400 // its rules have been broken
	codeUnauthorized = 4401 // ConnectFunc
	codeForbidden    = 4403 // the origin
	codeConflict     = 4409 // another transport has taken the session over, or has its ID
	codeTooMany      = 4429 // a limit
	codeUnavailable  = 4503 // the server is closed, or can't
)

// back is what a peer hears that may come back.
func back(reason string) control.Message { return control.Message{Reason: reason, Reconnect: true} }

// reasonPanic tells the peer of a panic that it is not at fault. What was passed to panic is not for it to know.
const reasonPanic = "the server failed in handling a message"

// judge says what the error that ended reading means. It reports nothing.
func judge(err error, cfg *serverConfig) verdict {
	var (
		closed    *websocket.CloseError
		panicked  *PanicError
		violation *wire.Violation
		exceeded  *LimitError
		broken    *protocolError
	)
	switch {
	case errors.Is(err, errBye):
		return verdict{closeFrame: wire.Close(websocket.CloseNormalClosure, ""), ends: endDeparted}
	case errors.Is(err, ErrTransportReplaced):
		return verdict{err: err, closeFrame: takenFrame,
			bye: control.Message{Reason: "conflict", Reconnect: !errors.Is(err, errTakeoverWar)}}
	case errors.As(err, &broken) && broken.counts:
		return verdict{err: err, closeFrame: wire.Close(codeProtocol, broken.reason), bye: back("count"), ends: endCounts,
			fault: brokeRules}
	case errors.As(err, &broken):
		return verdict{err: err, closeFrame: wire.Close(codeProtocol, broken.reason), bye: back("protocol"), fault: brokeRules}
	case errors.As(err, &panicked):
		return verdict{err: err, closeFrame: wire.Close(websocket.CloseInternalServerErr, reasonPanic), bye: back("panic")}
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
			bye:        back(string(LimitMaxMessageSize)),
			limit:      LimitMaxMessageSize,
		}
	case errors.As(err, &violation):
		return verdict{err: err, closeFrame: wire.Close(violation.Code, violation.Reason), bye: back("protocol"),
			fault: brokeRules}
	case errors.As(err, &exceeded):
		return verdict{err: err, closeFrame: wire.Close(exceeded.Code, exceeded.Reason), bye: back(string(exceeded.Limit)),
			limit: exceeded.Limit}
	case isTimeout(err):
		err = fmt.Errorf("wspulse: no pong within %v (WithHeartbeat): %w", cfg.pongWait, err)
		return verdict{err: err, fault: answeredNone}
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
