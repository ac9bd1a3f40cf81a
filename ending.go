package wspulse

import (
	"fmt"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"github.com/wspulse/server/internal/control"
	"github.com/wspulse/server/internal/wire"
)

// An ending is a way for a session to end.
type ending struct {
	reason     DisconnectReason
	closeFrame *wire.Frame     // for a peer that is connected
	flush      bool            // write what is queued before the close frame
	bye        control.Message // for a peer that speaks wspulse.v1; one that comes back too late hears its reason
}

var twinFrame = wire.Close(websocket.CloseNormalClosure, "duplicate connection id")

// isConnected is what a peer hears that Reject keeps out.
const isConnected = "the connectionID is connected already (WithDuplicatePolicy): try again when it has left"

// takenFrame is for a WebSocket whose session another one has, or is about to get.
var takenFrame = wire.Close(codeConflict, "another connection has taken the session over")

// closedFrame is for a WebSocket of wspulse.v1 that becomes no session, since the server is closed.
var closedFrame = wire.Close(codeUnavailable, "server closed")

// The ways for a session to end. Nobody is left to read a close frame in the last three.
var (
	endClosed   = &ending{DisconnectNormal, wire.Close(websocket.CloseNormalClosure, ""), true, bye("closed")}
	endKicked   = &ending{DisconnectKick, wire.Close(websocket.CloseNormalClosure, "kicked"), false, bye("kicked")}
	endReplaced = &ending{DisconnectDuplicate, twinFrame, false, bye("duplicate")}

	endServerClosed = &ending{DisconnectServerClose, wire.Close(websocket.CloseGoingAway, "server shutting down"), true,
		control.Message{Reason: "shutdown", Reconnect: true, After: [2]int64{0, shutdownSpread}}}

	endOverdue = &ending{DisconnectExpired, wire.Close(codeUnauthorized, "expired"), true, back("expired")}

	endCounts = &ending{DisconnectCount, wire.Close(codeProtocol, "the counts of messages differ"), false, back("count")}

	endDeparted = &ending{reason: DisconnectNormal, bye: bye("closed")}
	endExpired  = &ending{reason: DisconnectGraceExpired, bye: bye("expired")}
	endMemory   = &ending{reason: DisconnectMemory, bye: bye("memory")}
)

// with returns an ending with a code and a reason of the application's. The error names the method that they were given
// to.
func (e *ending) with(method string, code int, reason string) (*ending, error) {
	switch {
	case code != websocket.CloseNormalClosure && (code < 3000 || code > 4999):
		return nil, fmt.Errorf("wspulse: %s: close code %d is neither 1000 nor in [3000, 4999]", method, code)
	case len(reason) > maxCloseReason:
		return nil, fmt.Errorf("wspulse: %s: the reason has %d bytes, %d are allowed", method, len(reason), maxCloseReason)
	case !utf8.ValidString(reason):
		return nil, fmt.Errorf("wspulse: %s: the reason is not UTF-8", method)
	}
	other := *e
	other.closeFrame = wire.Close(code, reason)
	if reason != "" {
		other.bye = bye(reason)
	}
	return &other, nil
}

// maxCloseReason is RFC 6455, section 5.5: a control frame has 125 bytes at the most, of which the code takes two.
const maxCloseReason = 123

// shutdownSpread is the milliseconds over which the clients of a server that is closed come back.
const shutdownSpread = 5000

// bye returns a bye that stands behind so many messages.
func (c *serverConfig) bye(m control.Message, sent uint64) *wire.Frame {
	m.Type = control.Bye
	return c.control(m, sent)
}

// control returns a control message of wspulse.v1 that stands behind so many messages.
func (c *serverConfig) control(m control.Message, sent uint64) *wire.Frame {
	m.At = sent
	return wire.New(c.controlOpcode, m.Append(nil))
}

// bye is what a peer hears that is not to come back.
func bye(reason string) control.Message { return control.Message{Reason: reason} }
