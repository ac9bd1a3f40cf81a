// Package presence reads what the members of a room are told of who is there: the payload of the frames that
// WithPresence has a server send.
package presence

import (
	"encoding/json"
	"errors"
	"slices"
)

// Event is the event of the frames.
const Event = "presence"

// A Frame is the payload of one.
type Frame struct {
	Room  string   `json:"room"`
	Full  bool     `json:"full,omitempty"` // Join is everybody
	Join  []Member `json:"join,omitempty"`
	Leave []string `json:"leave,omitempty"` // IDs, as are the other two
	Away  []string `json:"away,omitempty"`
	Back  []string `json:"back,omitempty"`
	Count int      `json:"count"`
}

// A Member is one that has joined, or of whom there is news.
type Member struct {
	ID   string          `json:"id"`
	User string          `json:"user,omitempty"`
	Info json.RawMessage `json:"info,omitempty"`
	Away bool            `json:"away,omitempty"`
}

// IsCount says that the room is counted, and not listed.
func (f Frame) IsCount() bool {
	return !f.Full && len(f.Join)+len(f.Leave)+len(f.Away)+len(f.Back) == 0
}

// The errors of Parse beside those of encoding/json.
var (
	errRoom  = errors.New("presence: no room is named")
	errCount = errors.New("presence: there is no count, or a negative one")
	errID    = errors.New("presence: a member has no ID")
)

// Parse reads a payload. Fields that it does not know are ignored.
func Parse(payload []byte) (Frame, error) {
	var v struct {
		Room  *string  `json:"room"`
		Full  bool     `json:"full"`
		Join  []Member `json:"join"`
		Leave []string `json:"leave"`
		Away  []string `json:"away"`
		Back  []string `json:"back"`
		Count *int     `json:"count"`
	}
	err := json.Unmarshal(payload, &v)
	switch {
	case err != nil:
		return Frame{}, err
	case v.Room == nil:
		return Frame{}, errRoom
	case v.Count == nil || *v.Count < 0:
		return Frame{}, errCount
	case slices.ContainsFunc(v.Join, func(m Member) bool { return m.ID == "" }):
		return Frame{}, errID
	}
	return Frame{*v.Room, v.Full, v.Join, v.Leave, v.Away, v.Back, *v.Count}, nil
}
