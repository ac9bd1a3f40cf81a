package wspulse_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	wspulse "github.com/wspulse/core"
)

// message is the envelope as encoding/json sees it.
type message struct {
	ID      string          `json:"id,omitempty"`
	Event   string          `json:"event,omitempty"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

// Decode accepts what encoding/json does, but for a bare null, and yields the same
// frame, which stays as it is when the buffer is used again.
func FuzzJSONCodec_Decode(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, ` [] `, `{"id":"1","event":"e","payload":{"a":[1,-2.5e+3,true,false,null,"x"]}}`,
		"\t{\"ID\" : \"\\uD83D\\uDE00\\ud800\" ,\n\"eVent\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\" , \"payload\":[ [ ] , { } ] } ",
		`{"id":"1","id":null,"event":null,"payload":null,"\u0069D":"2","x":{"id":3}}`,
		"{\"id\":\"\xff\xed\xa0\x80\\u0000\",\"payload\":\"\xff\"}", `{"id":1}`, `{"payload":01}`, `{"event":"\uD83D\u0041"}`, `{}{}`,
		`{"payload":` + nested(70) + `}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var want message
		wantErr := json.Unmarshal(data, &want)
		if wantErr == nil && string(bytes.TrimSpace(data)) == "null" {
			wantErr = fmt.Errorf("not an object")
		}

		buffer := bytes.Clone(data)
		got, err := wspulse.JSONCodec.Decode(buffer)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("Decode(%q) gives the error %v, encoding/json %v", data, err, wantErr)
		}
		if !bytes.Equal(buffer, data) {
			t.Fatalf("Decode changed its input %q to %q", data, buffer)
		}
		if err != nil {
			if show(got) != `"" "" nil` || !strings.HasPrefix(err.Error(), "wspulse: ") {
				t.Fatalf("Decode(%q) = %s, %v", data, show(got), err)
			}
			return
		}
		for i := range buffer {
			buffer[i] = '#'
		}
		if w := (wspulse.Frame{ID: want.ID, Event: want.Event, Payload: want.Payload}); show(got) != show(w) {
			t.Fatalf("Decode(%q) = %s, encoding/json gives %s", data, show(got), show(w))
		}
	})
}

// What Encode accepts is valid JSON and valid UTF-8 and comes back from Decode, and from
// encoding/json, as it went in. What it refuses it had to.
func FuzzJSONCodec_RoundTrip(f *testing.F) {
	f.Add("", "", []byte(nil))
	f.Add("1", "chat.post", []byte(`{"text":"hello","n":[1,2.5e-3,null]}`))
	f.Add("\x00\"\\/\n\u2028<é😀", "a\xff\xed\xa0\x80", []byte(" [ ] "))
	f.Add("1", "e", []byte(`{"a":1}}`))
	f.Add("1", "e", []byte("\"\xff\""))
	f.Add("1", "e", []byte(" "))
	f.Fuzz(func(t *testing.T, id, event string, payload []byte) {
		in := wspulse.Frame{ID: id, Event: event, Payload: payload}
		data, err := wspulse.JSONCodec.Encode(in)

		acceptable := len(payload) == 0 || json.Valid(payload) && json.Valid(fmt.Appendf(nil, "[%s]", payload)) && utf8.Valid(payload)
		if (err == nil) != acceptable {
			t.Fatalf("Encode(%s) gives the error %v, acceptable = %t", show(in), err, acceptable)
		}
		if err != nil {
			return
		}
		if !json.Valid(data) || !utf8.Valid(data) {
			t.Fatalf("Encode(%s) = %q, which is not JSON in UTF-8", show(in), data)
		}

		want := wspulse.Frame{ID: toValid(id), Event: toValid(event), Payload: bytes.Trim(payload, " \t\r\n")}
		if len(payload) == 0 {
			want.Payload = nil
		}
		got, err := wspulse.JSONCodec.Decode(data)
		if err != nil || show(got) != show(want) {
			t.Fatalf("Decode(Encode(%s)) = %s, %v", show(in), show(got), err)
		}
		var m message
		if err := json.Unmarshal(data, &m); err != nil {
			t.Fatal(err)
		}
		if std := (wspulse.Frame{ID: m.ID, Event: m.Event, Payload: m.Payload}); show(std) != show(want) {
			t.Fatalf("encoding/json decodes Encode(%s) to %s", show(in), show(std))
		}
	})
}

// toValid replaces each byte of s that is not valid UTF-8.
func toValid(s string) string { return string([]rune(s)) }
