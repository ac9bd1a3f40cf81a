// Package wspulse holds what wspulse servers and clients share: the [Frame]
// that applications exchange, the [Codec] that turns frames into WebSocket
// messages and back, and the errors that both sides report.
//
// It depends on the standard library only.
package wspulse

// WebSocket message types, with the values of the opcodes in RFC 6455, section 11.8.
// They are what [Codec.FrameType] returns.
const (
	TextMessage   = 1 // UTF-8 text
	BinaryMessage = 2 // any bytes
)

// Frame is one application message. All fields are optional; their meaning
// beyond what is said here is the application's. The zero Frame is valid.
type Frame struct {
	// ID names this message, for instance to match a reply with its request.
	ID string

	// Event says what kind of message this is; a router dispatches on it.
	Event string

	// Payload is the content, encoded as the Codec in use wants it: for
	// JSONCodec any JSON value.
	Payload []byte
}

// Codec translates between frames and the data of WebSocket messages.
//
// One Codec serves all connections, so its methods are called from many
// goroutines at once. They must not panic, whatever the input: what Decode is
// given comes from the network.
type Codec interface {
	// Encode returns the message for f. The caller may keep the result and
	// share it between goroutines, so Encode must not use that memory again.
	// It must not change or retain f.Payload.
	Encode(f Frame) ([]byte, error)

	// Decode returns the frame in data, which is one whole message. The
	// caller reuses data as soon as Decode returns: nothing in the Frame may
	// alias it.
	Decode(data []byte) (Frame, error)

	// FrameType returns the WebSocket message type of what Encode returns,
	// TextMessage or BinaryMessage, the same one each time.
	FrameType() int
}
