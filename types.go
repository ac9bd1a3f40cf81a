package wspulse

import (
	"net/http"

	core "github.com/wspulse/core"
)

// The WebSocket message types that a [Codec] may send its frames as (RFC 6455, section 5.6).
const (
	TextMessage   = core.TextMessage
	BinaryMessage = core.BinaryMessage
)

// JSONCodec is the default [Codec]: one text message {"id":…,"event":…,"payload":…} for each frame, the payload
// being any JSON value.
//
// A server whose codec it is carries the payload byte for byte, refuses to send one that is not valid UTF-8, and takes
// a bare null for malformed. Encode, when you call it yourself, takes the white space out of the payload and escapes <,
// > and & in it, and does not look at the UTF-8; Decode takes a bare null for a frame without anything.
var JSONCodec = core.JSONCodec

// Codec turns frames into WebSocket messages and back. Its methods are called from many goroutines at once.
type Codec = core.Codec

// Frame is the unit that servers and clients exchange. A Frame given to Send or Broadcast is encoded before the call
// returns, so that the caller may reuse its Payload.
type Frame = core.Frame

// ConnectFunc decides, for each upgrade request, whether the peer may connect, which room it joins and under which
// connectionID it is known. It runs on the goroutine that net/http serves the request on, before the upgrade, so that
// it may block and may read cookies and headers.
//
// It is not asked about requests that cannot become a session anyway: those that are no upgrade, and those that come
// to a server that is closed. So it may take a ticket that is good for one time.
//
// An error refuses the peer with 401 and the body "unauthorized". Its text is for the log, as a Warn: keep credentials
// out of it. A panic answers 500 and is logged. A request whose context is done by then becomes no session, whatever is
// returned.
//
// An empty connectionID stands for a random UUID, or for the session of a wspulse.v1 client whose token says so. For
// such a client a connectionID must be UTF-8, and have 512 bytes at the most. A connectionID that is connected already
// replaces that session, and one whose session is suspended resumes it (see [WithResumeWindow]). Where two requests for
// one ID are under way, the one that came later wins, whichever returns first. The roomID returned for a resume is
// ignored, since the session stays in its room. Whoever returns somebody else's connectionID takes over that person's
// session, so a ConnectFunc has to authenticate the ID, not only read it.
type ConnectFunc func(r *http.Request) (roomID, connectionID string, err error)
