package envelope

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

var (
	errNotObject = errors.New("wspulse: decode frame: not a JSON object")
	errIDType    = errors.New("wspulse: decode frame: id is not a string")
	errEventType = errors.New("wspulse: decode frame: event is not a string")
)

// members are those of a message that count. They alias the message, and are nil for what is absent.
type members struct {
	id, event []byte // between the quotes, escapes not yet resolved
	payload   []byte // one whole value, without the space around it
}

// split takes a message apart. It checks that data is one JSON object whose id and event, if any, are strings or null.
func split(data []byte) (members, error) {
	var m members
	i := skipSpace(data, 0)
	if i == len(data) || data[i] != '{' {
		return m, errNotObject
	}
	i = skipSpace(data, i+1)
	if i < len(data) && data[i] == '}' {
		return m, checkEnd(data, i+1)
	}
	for {
		key, start, ok := skipKey(data, i)
		if !ok {
			return m, syntaxError(start)
		}
		end, ok := skipValue(data, start, 1)
		if !ok {
			return m, syntaxError(end)
		}
		if err := m.set(key, data[start:end]); err != nil {
			return m, err
		}

		i = skipSpace(data, end)
		switch {
		case i < len(data) && data[i] == ',':
			i = skipSpace(data, i+1)
		case i < len(data) && data[i] == '}':
			return m, checkEnd(data, i+1)
		default:
			return m, syntaxError(i)
		}
	}
}

// set takes one member of the object, a key between its quotes and a valid value.
func (m *members) set(key, value []byte) error {
	switch fieldFor(key) {
	case fieldID:
		return setString(&m.id, value, errIDType)
	case fieldEvent:
		return setString(&m.event, value, errEventType)
	case fieldPayload:
		m.payload = value
	case fieldUnknown:
	}
	return nil
}

// setString stores what is between the quotes of value. As in encoding/json, null changes nothing: it does not undo
// what an earlier member of the same key set.
func setString(dst *[]byte, value []byte, notString error) error {
	switch value[0] {
	case '"':
		*dst = value[1 : len(value)-1]
	case 'n':
	default:
		return notString
	}
	return nil
}

type field int

const (
	fieldUnknown field = iota
	fieldID
	fieldEvent
	fieldPayload
)

// fieldFor returns the field that a key, given without its quotes, stands for.
func fieldFor(key []byte) field {
	switch string(key) {
	case "id":
		return fieldID
	case "event":
		return fieldEvent
	case "payload":
		return fieldPayload
	}
	return foldedFieldFor(key)
}

// foldedFieldFor is fieldFor for keys with escapes or capital letters.
func foldedFieldFor(key []byte) field {
	if bytes.IndexByte(key, '\\') >= 0 {
		var b strings.Builder
		writeUnquoted(&b, key)
		key = []byte(b.String())
	}
	// No letter of the three names has a fold outside ASCII, so a key that matches has the length of the name.
	switch {
	case len(key) == len("id") && strings.EqualFold(string(key), "id"):
		return fieldID
	case len(key) == len("event") && strings.EqualFold(string(key), "event"):
		return fieldEvent
	case len(key) == len("payload") && strings.EqualFold(string(key), "payload"):
		return fieldPayload
	}
	return fieldUnknown
}

// checkEnd checks that only white space follows at i.
func checkEnd(data []byte, i int) error {
	if i = skipSpace(data, i); i != len(data) {
		return syntaxError(i)
	}
	return nil
}

func syntaxError(offset int) error {
	return fmt.Errorf("wspulse: decode frame: invalid JSON at offset %d", offset)
}
