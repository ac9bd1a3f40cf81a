// Package ask holds what the two ends have in common where one asks and the other replies. A request is a frame
// with an ID; its reply is a frame with the same ID, and with one of two events: the reply proper, or a failure.
package ask

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"

	core "github.com/wspulse/core"
)

// The events of replies, unless an option sets others.
const (
	Reply   = "ack"
	Failure = "error"
)

// The codes of failures that the library itself replies with.
const (
	CodeInvalid     = "invalid"
	CodeInternal    = "internal"
	CodeForbidden   = "forbidden"
	CodeUnsupported = "unsupported"
)

// The events by which a client asks for a room.
const (
	Join  = "join"
	Leave = "leave"
)

// A Room is the payload that goes with them.
type Room struct {
	Room string `json:"room"`
}

// Internal is the text that goes with CodeInternal: what has happened is no business of the peer.
const Internal = "internal error"

// NewFrame returns a frame with the JSON of v as its payload, or with none where v is nil.
func NewFrame(event string, v any) (core.Frame, error) {
	f := core.Frame{Event: event}
	if v == nil {
		return f, nil
	}
	payload, err := json.Marshal(v)
	if err != nil {
		return core.Frame{}, fmt.Errorf("wspulse: payload of %.40q: %w", event, err)
	}
	f.Payload = payload
	return f, nil
}

// Bind decodes the payload into what v points to. No payload counts as null, which changes nothing but pointers, maps
// and slices.
func Bind(f core.Frame, v any) error {
	payload := f.Payload
	if len(payload) == 0 {
		payload = []byte("null")
	}
	if err := json.Unmarshal(payload, v); err != nil {
		return fmt.Errorf("wspulse: payload of %.40q: %w", f.Event, err)
	}
	return nil
}

// NewFailure returns a failure with that code and text.
func NewFailure(id, event, code, text string) core.Frame {
	payload, _ := json.Marshal(failure{code, text}) // two strings
	return core.Frame{ID: id, Event: event, Payload: payload}
}

// ParseFailure returns the code and the text of a failure: no code, and the payload as it is, where that is anything
// else than an object with the two.
func ParseFailure(f core.Frame) (code, text string) {
	var v failure
	if json.Unmarshal(f.Payload, &v) != nil || v == (failure{}) {
		return "", string(f.Payload)
	}
	return v.Code, v.Message
}

type failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// IDs makes the IDs of requests, each but once: also, as far as chance goes, not those of a process before this one,
// whose replies may still come. The zero value is ready.
type IDs struct{ last atomic.Uint64 }

const firstIDs = 1 << 40 // from which the first one is taken

// Next returns another ID, of eight letters and digits or so.
func (n *IDs) Next() string {
	if n.last.Load() == 0 {
		n.last.CompareAndSwap(0, 1+rand.Uint64N(firstIDs))
	}
	return strconv.FormatUint(n.last.Add(1), 36)
}

// Begun says that there has been one.
func (n *IDs) Begun() bool { return n.last.Load() != 0 }
