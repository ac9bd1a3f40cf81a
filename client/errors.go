package client

import (
	"errors"
	"fmt"
	"time"

	core "github.com/wspulse/core"
)

// The errors that callers branch on, with errors.Is.
var (
	// ErrConnectionClosed is returned by [Client].Send and [Client].Drained when the client has ended.
	ErrConnectionClosed = core.ErrConnectionClosed

	// ErrSendBufferFull is returned by [Client].Send when as many messages wait as WithSendBuffer allows.
	ErrSendBufferFull = core.ErrSendBufferFull
)

// RefusedError is the error of Dial, and that of OnDisconnect, when the server has refused a connection, or ended the
// session and does not want the client back. It is none when the network was at fault.
type RefusedError struct {
	Status    int    // of the HTTP answer; 101 where the connection had been opened
	Code      int    // of the close frame; 0: there was none
	Reason    string // "unauthorized", "kicked", …, or what the HTTP answer says
	Reconnect bool   // it makes sense to come back

	// When to come back; both 0: nothing was said.
	AfterMin, AfterMax time.Duration
}

// Error says why, and when to come back.
func (e *RefusedError) Error() string {
	text := fmt.Sprintf("wspulse: client: the server has refused: %s", e.Reason)
	switch {
	case e.Code != 0:
		text += fmt.Sprintf(" (close code %d)", e.Code)
	case e.Status != 0:
		text += fmt.Sprintf(" (HTTP status %d)", e.Status)
	}
	switch {
	case !e.Reconnect:
		text += "; to come back will not help"
	case e.AfterMax > 0:
		text += fmt.Sprintf("; come back after %v to %v", e.AfterMin, e.AfterMax)
	}
	return text
}

// The reasons for which a transport ends that are not those of the network.
var (
	errDead     = errors.New("wspulse: client: nothing has come from the server for too long")
	errNoV1     = errors.New("wspulse: client: the server does not speak wspulse.v1: use WithoutProtocol to do without")
	errNoHello  = errors.New("wspulse: client: the server has not said hello")
	errNoReturn = errors.New("wspulse: client: the connection was lost, and WithReconnect allows no more attempts")
)

// A countError says that the two ends have counted messages differently, or that the server broke the protocol: the
// session can't go on.
type countError struct{ text string }

func (e *countError) Error() string { return "wspulse: client: " + e.text }
