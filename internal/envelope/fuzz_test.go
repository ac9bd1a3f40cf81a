package envelope_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	core "github.com/wspulse/core"
	"github.com/wspulse/server/internal/envelope"
)

// Append accepts what core.JSONCodec does, but for payloads that are not valid UTF-8, and those of which JSONCodec makes
// what it cannot decode. The message is that of JSONCodec, but for white space in the payload and what is escaped, and
// both decoders take the same frame from it.
func FuzzAppend(f *testing.F) {
	f.Add("", "", []byte(nil))
	f.Add("1", "chat.post", []byte(`{"text":"hello","n":[1,2.5e-3,null]}`))
	f.Add("\x00\"\\/\n\u2028<é😀", "a\xff\xed\xa0\x80", []byte(" [ ] "))
	f.Add("\uFFFD", "&\u2029>\x7f", []byte("{ \"<&>\u2028\u2029\" : \"\\u003c\\/\" }"))
	f.Add("1", "e", []byte(`{"a":1}}`))
	f.Add("1", "e", []byte("\"\xff\""))
	f.Add("1", "e", []byte(" "))
	f.Add("1", "e", []byte{})
	for _, depth := range []int{63, 64, 65} { // the limit is too far away for a fuzzer: TestNestingLimit
		f.Add("1", "e", []byte(nested(depth)))
	}
	f.Fuzz(func(t *testing.T, id, event string, payload []byte) {
		in := core.Frame{ID: id, Event: event, Payload: payload}
		data, err := envelope.Append(nil, in)

		in.ID, in.Event = toValid(id), toValid(event)
		theirs, theirErr := core.JSONCodec.Encode(in)
		acceptable := theirErr == nil && utf8.Valid(payload) && decodable(theirs)
		if (err == nil) != acceptable {
			t.Fatalf("Append(%s) gives the error %v, JSONCodec %v, acceptable = %t", show(in), err, theirErr, acceptable)
		}
		if err != nil {
			if data != nil || !strings.HasPrefix(err.Error(), "wspulse: encode frame: ") {
				t.Fatalf("Append(%s) = %q, %v", show(in), data, err)
			}
			return
		}
		if !utf8.Valid(data) {
			t.Fatalf("Append(%s) = %q, which is not valid UTF-8", show(in), data)
		}
		if got := asJSONCodec(data); got != string(theirs) {
			t.Fatalf("Append(%s) = %q, which compact and escaped is\n%q, JSONCodec gives\n%q", show(in), data, got, theirs)
		}

		want := core.Frame{ID: in.ID, Event: in.Event, Payload: bytes.Trim(payload, " \t\r\n")}
		if len(payload) == 0 {
			want.Payload = nil
		}
		if got, err := envelope.Parse(data); err != nil || show(got) != show(want) {
			t.Fatalf("Parse(Append(%s)) = %s, %v", show(in), show(got), err)
		}
		if got, err := core.JSONCodec.Decode(data); err != nil || show(got) != show(want) {
			t.Fatalf("JSONCodec decodes Append(%s) to %s, %v", show(in), show(got), err)
		}
	})
}

// Parse accepts what core.JSONCodec does, but for a bare null, and yields the same frame, which stays as it is when the
// buffer is used again.
func FuzzParse(f *testing.F) {
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
		want, wantErr := core.JSONCodec.Decode(data)
		if wantErr == nil && string(bytes.TrimSpace(data)) == "null" {
			wantErr = fmt.Errorf("not an object")
		}

		buffer := bytes.Clone(data)
		got, err := envelope.Parse(buffer)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("Parse(%q) gives the error %v, JSONCodec %v", data, err, wantErr)
		}
		if !bytes.Equal(buffer, data) {
			t.Fatalf("Parse changed its input %q to %q", data, buffer)
		}
		if err != nil {
			if show(got) != `"" "" nil` || !strings.HasPrefix(err.Error(), "wspulse: decode frame: ") {
				t.Fatalf("Parse(%q) = %s, %v", data, show(got), err)
			}
			return
		}
		for i := range buffer {
			buffer[i] = '#'
		}
		if show(got) != show(want) {
			t.Fatalf("Parse(%q) = %s, JSONCodec gives %s", data, show(got), show(want))
		}
	})
}

func decodable(data []byte) bool {
	_, err := core.JSONCodec.Decode(data)
	return err == nil
}

// asJSONCodec takes the white space out of a message and escapes what JSONCodec escapes.
func asJSONCodec(data []byte) string {
	var compact, escaped bytes.Buffer
	if err := json.Compact(&compact, data); err != nil {
		return err.Error()
	}
	json.HTMLEscape(&escaped, compact.Bytes())
	return escaped.String()
}

// toValid replaces each byte of s that is not valid UTF-8.
func toValid(s string) string { return string([]rune(s)) }
