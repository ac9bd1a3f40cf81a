package peers

import (
	"bytes"
	"encoding/json"

	"github.com/wspulse/server/benchmarks/internal/stamp"
)

// A Form is what surrounds the stamp and the padding in a message.
type Form struct{ Before, After string }

// Message returns a message of size bytes, or as few as the form needs, and the offset of its stamp.
func (f Form) Message(size int) (message []byte, at int) {
	padding := max(0, size-len(f.Before)-len(f.After)-stamp.Size)
	message = append(message, f.Before...)
	message = append(message, make([]byte, stamp.Size)...)
	message = append(message, bytes.Repeat([]byte{'.'}, padding)...)
	message = append(message, f.After...)
	stamp.Put(message[len(f.Before):], 0, 0)
	return message, len(f.Before)
}

// Stamped returns a function that makes fresh messages.
func (f Form) Stamped(size int) func(seq uint32, now int64) []byte {
	template, at := f.Message(size)
	return func(seq uint32, now int64) []byte {
		message := bytes.Clone(template)
		stamp.Put(message[at:], seq, now)
		return message
	}
}

// An envelope is the JSON message of the peers that leave the format to the application.
type envelope struct {
	ID      string          `json:"id,omitempty"`
	Event   string          `json:"event,omitempty"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

var jsonForm = Form{`{"event":"m","payload":"`, `"}`}

// jsonDialect is that of the peers that leave the format to the application.
var jsonDialect = Dialect{Echo: jsonForm, Count: jsonForm}

// recode decodes a message with encoding/json and, for an echo, does the work and encodes it again.
func (c *Config) recode(data []byte) ([]byte, error) {
	var e envelope
	if err := json.Unmarshal(data, &e); err != nil || !c.Echo {
		return nil, err
	}
	c.Work()
	return json.Marshal(e)
}

// unicast returns a function that makes a message for each of these and sends it by itself.
func unicast[C any](to []C, message func(seq uint32, now int64) []byte, send func(C, []byte) error) Speaker {
	return func(seq uint32, now int64) error {
		for _, c := range to {
			if err := send(c, message(seq, now)); err != nil {
				return err
			}
		}
		return nil
	}
}
