package envelope_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	core "github.com/wspulse/core"
	"github.com/wspulse/server/internal/envelope"
)

// payloadOf returns a JSON object of some size bytes: many small members, then one string that fills it up.
func payloadOf(size int) []byte {
	const item = `{"user":"ada","x":-12.5,"tags":["a","b"],"text":"hello, world"},`
	p := []byte(`{"items":[`)
	for len(p)+len(item) < size-2 {
		p = append(p, item...)
	}
	p = append(p, '"')
	p = append(p, bytes.Repeat([]byte{'x'}, max(0, size-len(p)-3))...)
	return append(p, `"]}`...)
}

// textOf returns one JSON string of size bytes.
func textOf(size int) []byte {
	return append(append([]byte{'"'}, strings.Repeat("words in a line ", size/16+1)[:size-2]...), '"')
}

var benchSizes = []int{32, 128, 1 << 10, 16 << 10}

// eachBenchFrame runs fn for frames of each kind of payload in each size.
func eachBenchFrame(fn func(name string, f core.Frame)) {
	for _, payload := range []struct {
		kind string
		of   func(size int) []byte
	}{{"members", payloadOf}, {"text", textOf}} {
		for _, size := range benchSizes {
			fn(fmt.Sprintf("payload=%s/size=%d", payload.kind, size), core.Frame{
				ID:      "0192f3c1-7a5e-7cc0-9d1b-3f1c3a4b5d6e",
				Event:   "chat.message",
				Payload: payload.of(size),
			})
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	eachBenchFrame(func(name string, f core.Frame) {
		b.Run("by=envelope/"+name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(f.Payload)))
			for b.Loop() {
				if _, err := envelope.Append(nil, f); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("by=JSONCodec/"+name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(f.Payload)))
			for b.Loop() {
				if _, err := core.JSONCodec.Encode(f); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
}

func BenchmarkParse(b *testing.B) {
	eachBenchFrame(func(name string, f core.Frame) {
		data, err := envelope.Append(nil, f)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("by=envelope/"+name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if _, err := envelope.Parse(data); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("by=JSONCodec/"+name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if _, err := core.JSONCodec.Decode(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
}
