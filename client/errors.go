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

// RefusedError says that the server has refused a connection, or ended one and said why. It is the error of Dial, of
// OnTransportDrop where the client may come back, and of OnDisconnect where it may not. It is none where the network
// was at fault.
type RefusedError struct {
	Status    int    // of the HTTP answer; 101 where the connection had been opened
	Code      int    // of the close frame; 0: there was none
	Reason    string // "unauthorized", "kicked", …, or what the HTTP answer or the close frame says
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
	errTooLarge = errors.New("wspulse: client: a message from the server is larger than WithMaxMessageSize allows")
	errNoV1     = errors.New("wspulse: client: the server does not speak wspulse.v1: use WithoutProtocol to do without")
	errNoHello  = errors.New("wspulse: client: the server has not said hello")
	errNoReturn = errors.New("wspulse: client: the connection was lost, and WithReconnect allows no more attempts")
)

// A protocolError is what a server has done that wspulse.v1 does not allow. It ends the transport with 4400.
type protocolError struct {
	text   string
	counts bool // the two ends have counted differently: the session can't go on
}

func (e *protocolError) Error() string { return "wspulse: client: " + e.text }

// closeText is the text of the close frame.
func (e *protocolError) closeText() string {
	if e.counts {
		return "count"
	}
	return "protocol"
}
