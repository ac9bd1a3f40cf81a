// Package envelope writes and reads the messages of core.JSONCodec, several times faster than that does: a frame as one
// JSON object,
//
//	{"id":"42","event":"chat.post","payload":{"text":"hello"}}
//
// in which a key is left out when its field is empty, and the payload is any JSON value.
//
// [Append] and [Parse] accept, refuse and yield what Encode and Decode of core.JSONCodec v0.2.0 do, but for this:
//
//   - Append carries the payload as it is. JSONCodec takes the white space out of it, and in its strings escapes <, >, &,
//     U+2028 and U+2029.
//   - Append escapes in ID and Event only what JSON demands, and writes U+FFFD itself for a byte that is not valid UTF-8.
//     JSONCodec escapes the five above too, and writes \ufffd. Whoever decodes either gets the same.
//   - Append refuses a payload that is not valid UTF-8, which a text message has to be (RFC 6455, section 5.6). JSONCodec
//     passes it on.
//   - Append refuses a payload that nests 10,000 deep. JSONCodec makes a message of it that nests 10,001 deep, and that
//     it cannot decode.
//   - Parse refuses a bare null, which is not an object. JSONCodec takes it for a frame without anything.
//   - The errors are of other types and texts. These begin with "wspulse: ", and never quote the message.
//
// The fuzz targets hold both to that list.
package envelope

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	core "github.com/wspulse/core"
)

// Append appends the message for f to dst and returns the extended slice, or dst as it was and an error. To a dst of nil
// it makes one allocation, of the right size.
//
// The payload must be valid JSON in valid UTF-8 that nests at most 9,999 deep. In ID and Event each byte that is not valid
// UTF-8 becomes U+FFFD. <, > and & are not escaped: do that before you put a message into HTML.
func Append(dst []byte, f core.Frame) ([]byte, error) {
	if len(f.Payload) > 0 {
		if err := checkPayload(f.Payload); err != nil {
			return dst, err
		}
	}

	const overhead = len(`{"id":,"event":,"payload":}`)
	idLen, eventLen := quotedLen(f.ID), quotedLen(f.Event)
	n := overhead + idLen + eventLen + len(f.Payload)
	if dst == nil {
		dst = make([]byte, 0, n)
	} else {
		dst = slices.Grow(dst, n)
	}

	// Each member ends with a comma; the last one becomes the closing brace.
	dst = append(dst, '{')
	if f.ID != "" {
		dst = append(dst, `"id":`...)
		dst = append(appendQuoted(dst, f.ID, idLen), ',')
	}
	if f.Event != "" {
		dst = append(dst, `"event":`...)
		dst = append(appendQuoted(dst, f.Event, eventLen), ',')
	}
	if len(f.Payload) > 0 {
		dst = append(dst, `"payload":`...)
		dst = append(append(dst, f.Payload...), ',')
	}
	if last := len(dst) - 1; dst[last] == ',' {
		dst[last] = '}'
		return dst, nil
	}
	return append(dst, '}'), nil
}

var errPayloadUTF8 = errors.New("wspulse: encode frame: payload is not valid UTF-8")

// checkPayload reports whether p can stand as a value inside the envelope.
func checkPayload(p []byte) error {
	end, ok := skipValue(p, skipSpace(p, 0), 1)
	if ok {
		end = skipSpace(p, end)
		ok = end == len(p)
	}
	if !ok {
		return fmt.Errorf("wspulse: encode frame: payload is not valid JSON at offset %d", end)
	}
	if !utf8.Valid(p) {
		return errPayloadUTF8
	}
	return nil
}

// Parse returns the frame in data, which it does not keep. It makes two allocations: one for the payload, one that ID and
// Event share.
//
// It yields what [encoding/json.Unmarshal] does for a struct with these three fields, the payload being a
// [encoding/json.RawMessage]:
//   - Unknown keys are ignored. Known keys match in any case ("ID", "Event"). Of a repeated key the last value counts.
//   - An id or event of null counts as absent; one of any other type than string is an error. A payload of null is the
//     four bytes null.
//   - Invalid UTF-8 and lone surrogates become U+FFFD in ID and Event. In the payload they stay as they are.
//   - Malformed JSON anywhere, nesting of more than 10,000 levels, anything but white space after the object, and
//     anything that is not an object are errors.
//
// The Payload is nil when there is none. Space around it is no part of it.
func Parse(data []byte) (core.Frame, error) {
	m, err := split(data)
	if err != nil {
		return core.Frame{}, err
	}
	var f core.Frame
	f.ID, f.Event = unquotePair(m.id, m.event)
	f.Payload = bytes.Clone(m.payload)
	return f, nil
}
