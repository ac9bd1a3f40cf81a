package wspulse

import (
	"github.com/gorilla/websocket"

	"github.com/wspulse/server/internal/wire"
)

// An ending is a way for a session to end.
type ending struct {
	reason     DisconnectReason
	closeFrame *wire.Frame // for a peer that is connected
	flush      bool        // write what is queued before the close frame
}

var twinFrame = wire.Close(websocket.CloseNormalClosure, "duplicate connection id")

// tooManyFrame is for a WebSocket that becomes no session, since the last seat has been taken meanwhile.
var tooManyFrame = wire.Close(websocket.CloseTryAgainLater, "too many connections")

// The ways for a session to end. Nobody is left to read a close frame in the last two.
var (
	endClosed       = &ending{DisconnectNormal, wire.Close(websocket.CloseNormalClosure, ""), true}
	endKicked       = &ending{DisconnectKick, wire.Close(websocket.CloseNormalClosure, "kicked"), false}
	endReplaced     = &ending{DisconnectDuplicate, twinFrame, false}
	endServerClosed = &ending{DisconnectServerClose, wire.Close(websocket.CloseGoingAway, "server shutting down"), true}
	endDeparted     = &ending{reason: DisconnectNormal}
	endExpired      = &ending{reason: DisconnectGraceExpired}
)
