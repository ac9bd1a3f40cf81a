package wspulse

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

// JSONCodec carries a frame as one JSON object in a text message:
//
//	{"id":"42","event":"chat.post","payload":{"text":"hello"}}
//
// A key is left out when its field is empty. The payload may be any JSON value
// and is carried as it is: never as base64, nor compacted, nor sorted.
//
// Encode refuses a payload that is not valid JSON, that nests more than 9,999
// deep, or that is not valid UTF-8, which a text message has to be (RFC 6455,
// section 5.6). In ID and Event each byte that is not valid UTF-8 becomes
// U+FFFD. Only what JSON demands is escaped; in particular <, > and & are not,
// so escape a message before you put it into HTML.
//
// Decode accepts and yields what [encoding/json.Unmarshal] does for a struct
// with these three fields, the payload being a [encoding/json.RawMessage]:
//   - Unknown keys are ignored. Known keys match in any case ("ID", "Event").
//     Of a repeated key the last value counts.
//   - An id or event of null counts as absent; one of any other type than
//     string is an error. A payload of null is the four bytes null.
//   - Invalid UTF-8 and lone surrogates become U+FFFD in ID and Event. In the
//     payload they stay as they are.
//   - Malformed JSON anywhere, nesting of more than 10,000 levels, and anything
//     but white space after the object are errors.
//
// Anything that is not an object is an error, and here Decode is the stricter
// one: it refuses a bare null too. The Payload that it returns is a copy, nil
// when there is none. Space around the payload is no part of it.
//
// The errors of both methods begin with "wspulse: " and never quote the
// message. JSONCodec is safe for use by many goroutines; it has no state.
var JSONCodec Codec = jsonCodec{}

type jsonCodec struct{}

// FrameType returns TextMessage.
func (jsonCodec) FrameType() int { return TextMessage }

// Encode returns the message for f in memory of its own: one allocation.
func (c jsonCodec) Encode(f Frame) ([]byte, error) { return c.AppendEncode(nil, f) }

// AppendEncode appends the message for f to dst and returns the extended slice,
// or dst as it was and an error. Callers that reserve room in dst, for a
// WebSocket header say, find it by type assertion.
func (jsonCodec) AppendEncode(dst []byte, f Frame) ([]byte, error) {
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

// Decode returns the frame in data. It makes two allocations: one for the
// payload, one that ID and Event share.
func (jsonCodec) Decode(data []byte) (Frame, error) {
	e, err := parseEnvelope(data)
	if err != nil {
		return Frame{}, err
	}
	var f Frame
	f.ID, f.Event = unquotePair(e.id, e.event)
	f.Payload = bytes.Clone(e.payload)
	return f, nil
}
