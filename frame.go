package wspulse

import "github.com/wspulse/server/internal/ask"

// NewFrame returns a frame with that event and the JSON of v as its payload, or without a payload where v is nil. It is
// for codecs that carry a payload as it is, as JSONCodec does. The error names the event, and wraps that of
// encoding/json.
func NewFrame(event string, v any) (Frame, error) { return ask.NewFrame(event, v) }

// Bind decodes the JSON of a frame's payload into what v points to, by the rules of encoding/json. A frame without a
// payload counts as null, which leaves structs, numbers and strings as they are. The error names the event, and wraps
// that of encoding/json.
func Bind(f Frame, v any) error { return ask.Bind(f, v) }
