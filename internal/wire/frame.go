// Package wire holds what the server itself puts on the wire: RFC 6455 frames that are built once and shared, batches
// of them that leave in one write, the reader of what a client sends, and the socket under both.
package wire

import (
	"encoding/binary"
	"strings"
	"unicode/utf8"
)

const (
	finalBit      = 0x80 // RFC 6455, section 5.2: the frame is a whole message
	maxControl    = 125  // RFC 6455, section 5.5: the payload of a control frame, in bytes
	length16      = 126  // RFC 6455, section 5.2: the length follows in 2 bytes
	length64      = 127  // RFC 6455, section 5.2: the length follows in 8 bytes
	closeCodeSize = 2    // RFC 6455, section 5.5.1
)

// HeaderSize is the room that a frame's header may need, in bytes: what [Seal] expects before the payload.
const HeaderSize = 10

// Frame is one unmasked frame with its header. It never changes after it was made, so that any number of connections
// can share it.
type Frame struct {
	Bytes []byte // what goes on the wire
	Size  int    // of the payload, in bytes
	Gap   int    // messages that were dropped, if it stands for them; 0: it does not

	deflated *deflated // the other form of it; nil: there is none
}

// New returns a whole message, or a control frame. It copies payload.
func New(opcode Opcode, payload []byte) *Frame {
	return Seal(opcode, append(make([]byte, HeaderSize, HeaderSize+len(payload)), payload...))
}

// Seal makes a whole message of buf, whose first HeaderSize bytes are room for the header and whose rest is the
// payload. It takes buf over.
func Seal(opcode Opcode, buf []byte) *Frame {
	size := len(buf) - HeaderSize
	header := buf[:HeaderSize]
	switch {
	case size < length16:
		header = header[HeaderSize-2:]
		header[1] = byte(size)
	case size < 1<<16:
		header = header[HeaderSize-4:]
		header[1] = length16
		binary.BigEndian.PutUint16(header[2:], uint16(size))
	default:
		header[1] = length64
		binary.BigEndian.PutUint64(header[2:], uint64(size))
	}
	header[0] = finalBit | byte(opcode)
	return &Frame{Bytes: buf[HeaderSize-len(header):], Size: size}
}

// Len returns how many bytes go on the wire, uncompressed.
func (f *Frame) Len() int { return len(f.Bytes) }

// Messages returns how many messages the frame stands for.
func (f *Frame) Messages() int { return max(1, f.Gap) }

// Close returns a close frame with a status code and a reason, which is made UTF-8, and cut to what a control frame
// holds. The code 1005 stands for a close frame without a status (RFC 6455, section 7.4.1).
func Close(code int, reason string) *Frame {
	if code == codeNoStatus {
		return New(OpClose, nil)
	}
	payload := binary.BigEndian.AppendUint16(make([]byte, 0, maxControl), uint16(code))
	payload = append(payload, strings.ToValidUTF8(reason, "?")...)
	payload = payload[:min(len(payload), maxControl)]
	return New(OpClose, payload[:len(payload)-cutRune(payload[closeCodeSize:])])
}

// Join returns a frame that stands for several, which leave one after the other. It has no size.
func Join(frames ...*Frame) *Frame {
	joined := &Frame{}
	for _, f := range frames {
		joined.Bytes = append(joined.Bytes, f.Bytes...)
	}
	return joined
}

// Ping returns a ping without a payload.
func Ping() *Frame { return New(OpPing, nil) }

// Pong returns the answer to a ping with that payload, of 125 bytes at the most.
func Pong(payload []byte) *Frame { return New(OpPong, payload) }

// ParseClose takes the payload of a close frame apart. Without a status the code is 1005. The error is a *Violation.
func ParseClose(data []byte) (code int, reason string, err error) {
	if len(data) == 0 {
		return codeNoStatus, "", nil
	}
	if len(data) < closeCodeSize {
		return 0, "", violation("close frame of one byte")
	}
	code = int(binary.BigEndian.Uint16(data))
	if data = data[closeCodeSize:]; !validCloseCode(code) {
		return 0, "", violation("invalid close code %d", code)
	}
	if !utf8.Valid(data) {
		return 0, "", ErrNotUTF8
	}
	return code, string(data), nil
}

// validCloseCode says whether a peer may send that code: RFC 6455, section 7.4, and the IANA registry that it refers
// to.
func validCloseCode(code int) bool {
	switch code {
	case 1004, codeNoStatus, 1006, 1015: // 1015 is for a failed TLS handshake
		return false
	}
	return 1000 <= code && code <= 1014 || 3000 <= code && code <= 4999
}
