package wspulse_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/internal/vectors"
)

// protocolOptions are the options of the vectors.
var protocolOptions = map[string]func(t *testing.T, value json.RawMessage) wspulse.ServerOption{
	"window": option(func(d vectors.Span) wspulse.ServerOption { return wspulse.WithResumeWindow(time.Duration(d)) }),
	"heartbeat": option(func(d [2]vectors.Span) wspulse.ServerOption {
		return wspulse.WithHeartbeat(time.Duration(d[0]), time.Duration(d[1]))
	}),
	"maxBytes":       option(wspulse.WithMaxMessageSize),
	"sendBuffer":     option(wspulse.WithSendBufferSize),
	"ackWindow":      option(func(most [2]int) wspulse.ServerOption { return wspulse.WithAckWindow(most[0], most[1]) }),
	"ackTimeout":     option(func(d vectors.Span) wspulse.ServerOption { return wspulse.WithAckTimeout(time.Duration(d)) }),
	"memoryBudget":   option(wspulse.WithMemoryBudget),
	"maxConnections": option(wspulse.WithMaxConnections),
	"messageRate": option(func(r [2]float64) wspulse.ServerOption {
		return wspulse.WithMessageRate(r[0], int(r[1]))
	}),
	"handshakeTimeout": option(func(d vectors.Span) wspulse.ServerOption {
		return wspulse.WithHandshakeTimeout(time.Duration(d))
	}),
	"duplicates": option(func(policy string) wspulse.ServerOption {
		return wspulse.WithDuplicatePolicy(map[string]wspulse.DuplicatePolicy{"reject": wspulse.Reject}[policy])
	}),
	"refusalStatus": option(func(bool) wspulse.ServerOption { return wspulse.WithRefusalStatus() }),
	"origin": option(func(s string) wspulse.ServerOption {
		return wspulse.WithCheckOrigin(func(*http.Request) bool { return s != "refuse" })
	}),
	"codec": option(func(string) wspulse.ServerOption { return wspulse.WithCodec(binaryJSON{wspulse.JSONCodec}) }),
}

// option reads the value of an option.
func option[T any](with func(T) wspulse.ServerOption) func(*testing.T, json.RawMessage) wspulse.ServerOption {
	return func(t *testing.T, value json.RawMessage) wspulse.ServerOption {
		var v T
		if err := json.Unmarshal(value, &v); err != nil {
			t.Fatal(err)
		}
		return with(v)
	}
}

// binaryJSON is the JSON codec in binary messages.
type binaryJSON struct{ wspulse.Codec }

func (binaryJSON) FrameType() int { return wspulse.BinaryMessage }
