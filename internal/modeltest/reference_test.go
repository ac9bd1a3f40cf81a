package modeltest

import (
	"crypto/sha1" // RFC 6455, section 4.2.2
	"encoding/base64"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// What follows reads RFC 6455 a second time, slowly, for the fuzz targets to compare with. It shares nothing with the
// library.

// understood is what a client has said with the bytes that it sent after the opening handshake, up to its close frame
// or its first fault.
type understood struct {
	messages, pings []string
	closes          bool  // by a close frame that is in order
	codes           []int // of which one is that of the close frame that has to come; 0 stands for none
}

// ending returns how what OnDisconnect gets begins, by the words of name, when a close frame with that code has come.
func (u understood) ending(code int) string {
	switch {
	case u.closes && (code == 1000 || code == 1001 || code == 1005):
		return "nil)"
	case u.closes:
		return fmt.Sprintf("%d)", code)
	case code == 1009:
		return "too-large)"
	default:
		return "error=websocket: "
	}
}

// A slowReader is in the middle of understanding.
type slowReader struct {
	understood
	limit   int    // of a message, in bytes
	open    bool   // a message is under way
	text    bool   // it is a text
	message []byte // what has come of it
	empty   int    // its frames without payload
}

// understand takes apart what a client sends to a server that takes messages of up to limit bytes.
func understand(p []byte, limit int) understood {
	r := slowReader{limit: limit}
	for r.codes == nil {
		p = r.frame(p)
	}
	return r.understood
}

// end says that there is nothing more to understand, and which close codes are in order.
func (r *slowReader) end(codes ...int) (rest []byte) {
	r.codes = codes
	return nil
}

// frame understands the first frame of p, and returns the rest.
func (r *slowReader) frame(p []byte) (rest []byte) {
	if len(p) < 2 {
		return r.end(0)
	}
	final, reserved, opcode, masked := p[0] >= 0x80, p[0]/16%8, p[0]%16, p[1] >= 0x80
	control, continuation := opcode >= 8, opcode == 0
	size, length := uint64(p[1]%0x80), 0
	switch {
	case reserved != 0, !masked, !slices.Contains([]byte{0, 1, 2, 8, 9, 10}, opcode),
		control && (!final || size > 125), !control && continuation != r.open:
		return r.end(1002)
	case size == 126:
		length = 2
	case size == 127:
		length = 8
	}
	if p = p[2:]; len(p) < length {
		return r.end(0)
	}
	if length > 0 {
		size = 0
		for _, b := range p[:length] {
			size = size*256 + uint64(b)
		}
		p = p[length:]
	}
	fault := 0
	switch {
	case length > 0 && size < 126, length == 8 && size < 1<<16, size >= 1<<63:
		fault = 1002
	case !control && size > uint64(r.limit-len(r.message)):
		fault = 1009
	}
	switch {
	case len(p) < 4:
		return r.end(0, fault) // the server may know already
	case fault != 0:
		return r.end(fault)
	}
	data := make([]byte, min(size, uint64(len(p)-4)))
	for i := range data {
		data[i] = p[4+i] ^ p[i%4]
	}
	if len(data) < int(size) {
		return r.cut(opcode, data)
	}
	if control {
		r.control(opcode, data)
	} else {
		r.data(opcode, final, data)
	}
	return p[4+len(data):]
}

// cut understands the beginning of a frame that has not come whole: a text that is wrong already may be refused.
func (r *slowReader) cut(opcode byte, data []byte) (rest []byte) {
	text := opcode == 1 || opcode == 0 && r.text
	if _, possible := isUTF8(slices.Concat(r.message, data)); text && !possible {
		return r.end(0, 1007)
	}
	return r.end(0)
}

// control understands a control frame.
func (r *slowReader) control(opcode byte, data []byte) {
	switch code := closeCode(string(data)); {
	case opcode == 9:
		r.pings = append(r.pings, string(data))
	case opcode == 10:
	case len(data) == 0:
		r.closes = true
		r.end(1005)
	case code == 0:
		r.end(1002)
	default:
		if whole, _ := isUTF8(data[2:]); !whole {
			r.end(1007)
			return
		}
		r.closes = true
		r.end(code)
	}
}

// data understands a frame of a message.
func (r *slowReader) data(opcode byte, final bool, data []byte) {
	if opcode != 0 {
		r.open, r.text, r.empty = true, opcode == 1, 0
	}
	r.message = append(r.message, data...)
	if len(data) == 0 {
		r.empty++
	}
	whole, possible := isUTF8(r.message)
	switch {
	case r.empty > 64: // docs/protocol.md
		r.end(1008)
	case r.text && (!possible || final && !whole):
		r.end(1007)
	case final:
		r.messages = append(r.messages, string(r.message))
		r.open, r.message = false, nil
	}
}

// closeCode returns the code at the beginning of a close frame's payload, or 0 if it is none that may be sent: RFC
// 6455, section 7.4, with the codes that have been registered since.
func closeCode(payload string) int {
	if len(payload) < 2 {
		return 0
	}
	code := int(payload[0])<<8 | int(payload[1])
	switch {
	case code >= 1000 && code <= 1003, code >= 1007 && code <= 1014, code >= 3000 && code <= 4999:
		return code
	default:
		return 0
	}
}

// isUTF8 says whether p is UTF-8, and whether more bytes can make it that: RFC 3629, section 4.
func isUTF8(p []byte) (whole, possible bool) {
	for len(p) > 0 {
		more, low, high := 0, byte(0x80), byte(0xBF) // the bytes behind the first, and the bounds of the second
		switch lead := p[0]; {
		case lead < 0x80:
		case lead >= 0xC2 && lead <= 0xDF:
			more = 1
		case lead == 0xE0:
			more, low = 2, 0xA0
		case lead == 0xED:
			more, high = 2, 0x9F
		case lead >= 0xE1 && lead <= 0xEF:
			more = 2
		case lead == 0xF0:
			more, low = 3, 0x90
		case lead == 0xF4:
			more, high = 3, 0x8F
		case lead >= 0xF1 && lead <= 0xF3:
			more = 3
		default:
			return false, false
		}
		for _, b := range p[1:min(1+more, len(p))] {
			if b < low || b > high {
				return false, false
			}
			low, high = 0x80, 0xBF
		}
		if len(p) < 1+more {
			return false, true
		}
		p = p[1+more:]
	}
	return true, true
}

// isOpening says whether a request is an opening handshake, one number of the list in RFC 6455, section 4.2.1 after the
// other. The second, the Host header, is what net/http asks of every request.
func isOpening(r *http.Request) bool {
	named := func(header, token string) (found bool) {
		for _, value := range r.Header.Values(header) {
			for _, word := range strings.Split(value, ",") {
				found = found || strings.ToLower(strings.Trim(word, " \t")) == token
			}
		}
		return found
	}
	only := func(header string) string {
		if values := r.Header.Values(header); len(values) == 1 {
			return values[0]
		}
		return ""
	}
	for _, extensions := range r.Header.Values("Sec-WebSocket-Extensions") {
		if !extensionList.MatchString(extensions) {
			return false // section 9.1
		}
	}
	key, err := base64.StdEncoding.DecodeString(only("Sec-WebSocket-Key"))
	return r.Method == "GET" && (r.ProtoMajor > 1 || r.ProtoMajor == 1 && r.ProtoMinor >= 1) && r.ContentLength == 0 && // 1
		named("Upgrade", "websocket") && // 3
		named("Connection", "upgrade") && // 4
		err == nil && len(key) == 16 && // 5
		only("Sec-WebSocket-Version") == "13" // 6
}

// extensionList is the grammar of RFC 6455, section 9.1, with the lists and tokens of RFC 9110, section 5.6.
var extensionList = func() *regexp.Regexp {
	const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"
	const param = `[ \t]*;[ \t]*` + token + `([ \t]*=[ \t]*(` + token + `|"` + token + `"))?`
	const extension = token + `(` + param + `)*[ \t]*`
	return regexp.MustCompile(`^[ \t,]*(` + extension + `(,[ \t,]*` + extension + `)*)?[ \t,]*$`)
}()

// acceptFor returns the Sec-WebSocket-Accept that is due (RFC 6455, section 4.2.2).
func acceptFor(r *http.Request) string {
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}
