package envelope_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	core "github.com/wspulse/core"
	"github.com/wspulse/server/internal/envelope"
)

// show renders a frame so that tests can compare and print it as one string. It tells a nil payload from an empty one.
func show(f core.Frame) string {
	if f.Payload == nil {
		return fmt.Sprintf("%q %q nil", f.ID, f.Event)
	}
	return fmt.Sprintf("%q %q %q", f.ID, f.Event, f.Payload)
}

// nested returns an array that is n levels deep.
func nested(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

func TestAppend_WritesTheEnvelope(t *testing.T) {
	tests := []struct {
		name  string
		frame core.Frame
		want  string
	}{
		{"nothing", core.Frame{}, `{}`},
		{"id", core.Frame{ID: "1"}, `{"id":"1"}`},
		{"event", core.Frame{Event: "e"}, `{"event":"e"}`},
		{"payload", core.Frame{Payload: []byte(`1`)}, `{"payload":1}`},
		{"all", core.Frame{ID: "1", Event: "e", Payload: []byte(`[]`)}, `{"id":"1","event":"e","payload":[]}`},
		{"empty payload", core.Frame{ID: "1", Payload: []byte{}}, `{"id":"1"}`},
		{"payload is raw", core.Frame{Payload: []byte(`{"b": 1.0, "a": "<\u00e9>"}`)}, `{"payload":{"b": 1.0, "a": "<\u00e9>"}}`},
		{"payload null", core.Frame{Payload: []byte(`null`)}, `{"payload":null}`},
		{"escapes", core.Frame{ID: "\"\\\b\f\n\r\t\x00\x1f\x7f"}, `{"id":"\"\\\b\f\n\r\t\u0000\u001f` + "\x7f" + `"}`},
		{"one quote", core.Frame{ID: `a"b`}, `{"id":"a\"b"}`},
		{"one backslash", core.Frame{Event: `a\b`}, `{"event":"a\\b"}`},
		{"one control character", core.Frame{Event: "a\x1eb"}, `{"event":"a\u001eb"}`},
		{"no more escapes than JSON demands", core.Frame{Event: "</a>&/\u2028é😀"}, `{"event":"</a>&/` + "\u2028" + `é😀"}`},
		{"invalid UTF-8", core.Frame{ID: "a\xff\xed\xa0\x80b\xc3"}, `{"id":"a` + "\uFFFD\uFFFD\uFFFD\uFFFDb\uFFFD" + `"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := envelope.Append(nil, tt.frame)
			if err != nil || string(got) != tt.want {
				t.Errorf("Append = %s, %v; want %s", got, err, tt.want)
			}
		})
	}
}

func TestAppend_RefusesPayloads(t *testing.T) {
	for _, payload := range []string{
		` `, `{`, `{"a"}`, `{"a":1,}`, `[1,]`, `[,1]`, `1 2`, `1}`, `{}{}`, `nul`, `nulll`, `True`, `'a'`, `"a`,
		`"\x"`, `"\'"`, `"\u12"`, "\"\n\"", `01`, `1.`, `.5`, `+1`, `-`, `1e`, `NaN`, `]`, `[}`, `{]`, "\uFEFF1", "\"\xff\"",
		nested(10_000),
	} {
		got, err := envelope.Append(nil, core.Frame{ID: "1", Payload: []byte(payload)})
		if got != nil || err == nil || !strings.HasPrefix(err.Error(), "wspulse: encode frame: payload is not valid ") {
			t.Errorf("payload %.20q: Append = %q, %v; want an error", payload, got, err)
		}
	}
}

func TestParse_ReadsTheEnvelope(t *testing.T) {
	tests := []struct{ name, data, want string }{
		{"nothing", `{}`, `"" "" nil`},
		{"all", `{"id":"1","event":"e","payload":{"a":[1,"x"]}}`, `"1" "e" "{\"a\":[1,\"x\"]}"`},
		{"any order, any space", "\t{ \"payload\" :\n[ 1 ] ,\r\"event\": \"e\" , \"id\":\"1\" } \n", `"1" "e" "[ 1 ]"`},
		{"unknown keys", `{"x":{"id":"no","y":[{}]},"id":"1","":0}`, `"1" "" nil`},
		{"repeated keys", `{"id":"1","id":"2","payload":1,"payload":[2]}`, `"2" "" "[2]"`},
		{"keys in any case", `{"ID":"1","Event":"e","PAYLOAD":0}`, `"1" "e" "0"`},
		{"keys with escapes", `{"\u0069d":"1","e\u0056ent":"e"}`, `"1" "e" nil`},
		{"keys that only look alike", `{"ıd":"1","id ":"2","event\u0000":"e","idd":3}`, `"" "" nil`},
		{"null", `{"id":null,"event":null,"payload":null}`, `"" "" "null"`},
		{"null does not undo", `{"id":"1","id":null}`, `"1" "" nil`},
		{"empty strings", `{"id":"","event":"","payload":""}`, `"" "" "\"\""`},
		{"escapes", `{"id":"\"\\\/\b\f\n\r\t\u00e9\u00E9"}`, `"\"\\/\b\f\n\r\téé" "" nil`},
		{"surrogate pair", `{"id":"\uD83D\uDE00","event":"x\ud83d\ude00y"}`, `"😀" "x😀y" nil`},
		{"lone surrogates", `{"id":"\uD83D","event":"\uDE00\uD83D\uD83D\uDE00\uD83Dx\uD83D\n"}`, `"�" "��😀�x�\n" nil`},
		{"invalid UTF-8", "{\"id\":\"a\xffb\",\"event\":\"\xff\\n\"}", `"a�b" "�\n" nil`},
		{"invalid UTF-8 in the payload", "{\"payload\":\"\xff\"}", `"" "" "\"\xff\""`},
		{"numbers", `{"payload":[0,-0,1.50,-12e+3,9E-9,123456789012345678901234567890]}`, `"" "" "[0,-0,1.50,-12e+3,9E-9,123456789012345678901234567890]"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := envelope.Parse([]byte(tt.data))
			if err != nil || show(f) != tt.want {
				t.Errorf("Parse(%s) = %s, %v; want %s", tt.data, show(f), err, tt.want)
			}
		})
	}
}

func TestParse_Refuses(t *testing.T) {
	const notObject, syntax = "not a JSON object", "invalid JSON at offset "
	tests := []struct{ data, want string }{
		{``, notObject}, {` `, notObject}, {`null`, notObject}, {`[]`, notObject}, {`"a"`, notObject}, {`1`, notObject},
		{`{`, syntax + "1"}, {`{"id"`, syntax + "5"}, {`{"id":`, syntax + "6"}, {`{"id":"1"`, syntax + "9"}, {`{"id":"1`, syntax + "8"},
		{`{"id" "1"}`, syntax + "6"}, {`{id:"1"}`, syntax + "1"}, {`{,}`, syntax + "1"}, {`{"id":"1",}`, syntax + "10"},
		{`{"id":"1"]`, syntax + "9"}, {`{"a":[1}}`, syntax + "7"}, {`{"a":{1:2}}`, syntax + "6"}, {`{"a":[01]}`, syntax + "7"},
		{`{"a":{"x":1,2}}`, syntax + "12"}, {`{"\1}`, syntax + "3"}, {`{"a":{"\1}}`, syntax + "8"},
		{`{}x`, syntax + "2"}, {`{} {}`, syntax + "3"}, {`{"id":"1"}}`, syntax + "10"}, {"{}\x00", syntax + "2"},
		{`{"id":"\q"}`, syntax + "8"}, {`{"id":"\uD8"}`, syntax + "11"}, {"{\"id\":\"\n\"}", syntax + "7"},
		{`{"id":1}`, "id is not a string"}, {`{"ID":["1"]}`, "id is not a string"}, {`{"id":true,"id":"1"}`, "id is not a string"},
		{`{"event":{}}`, "event is not a string"}, {`{"event":false}`, "event is not a string"},
	}
	for _, tt := range tests {
		f, err := envelope.Parse([]byte(tt.data))
		if err == nil || err.Error() != "wspulse: decode frame: "+tt.want || show(f) != `"" "" nil` {
			t.Errorf("Parse(%s) = %s, %v; want the error %q", tt.data, show(f), err, tt.want)
		}
	}
}

// A payload that Append lets through is one that Parse takes, and that is as far as JSONCodec can decode. It encodes one
// level more.
func TestNestingLimit(t *testing.T) {
	for _, depth := range []int{63, 64, 65, 9_999, 10_000} {
		payload := []byte(nested(depth))
		message := fmt.Appendf(nil, `{"payload":%s}`, payload)
		_, err := core.JSONCodec.Decode(message)
		want := err == nil
		if want != (depth < 10_000) {
			t.Errorf("depth %d: JSONCodec decodes with %v", depth, err)
		}
		if _, err := core.JSONCodec.Encode(core.Frame{Payload: payload}); err != nil {
			t.Errorf("depth %d: JSONCodec encodes with %v", depth, err)
		}
		if _, err := envelope.Append(nil, core.Frame{Payload: payload}); (err == nil) != want {
			t.Errorf("depth %d: Append gives %v, JSONCodec can decode it = %t", depth, err, want)
		}
		if f, err := envelope.Parse(message); (err == nil) != want || want && string(f.Payload) != string(payload) {
			t.Errorf("depth %d: Parse gives %v, JSONCodec can decode it = %t", depth, err, want)
		}
	}
}

// Strings are looked at eight bytes at a time: any byte, wherever it stands among them, is what it is for encoding/json.
func TestParse_EveryByteAtEveryPlace(t *testing.T) {
	const before = `{"payload":"`
	for place := range 18 {
		data := []byte(before + strings.Repeat("x", 18) + `"}`)
		for b := range 256 {
			data[len(before)+place] = byte(b)
			_, err := envelope.Parse(data)
			if valid := json.Valid(data); (err == nil) != valid {
				t.Errorf("byte %#x in place %d: Parse gives %v, encoding/json valid = %t", b, place, err, valid)
			}
		}
	}
}

func TestParse_FrameIsACopy(t *testing.T) {
	data := []byte(`{"id":"1","event":"e","payload":[1,2]}`)
	f, err := envelope.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	clear(data)
	if got, want := show(f), `"1" "e" "[1,2]"`; got != want {
		t.Errorf("after the buffer was used again the frame is %s, want %s", got, want)
	}
}

func TestAppend_MessageIsACopy(t *testing.T) {
	f := core.Frame{Payload: []byte(`[1,2]`)}
	data, err := envelope.Append(nil, f)
	if err != nil {
		t.Fatal(err)
	}
	clear(f.Payload)
	if got, want := string(data), `{"payload":[1,2]}`; got != want {
		t.Errorf("after the payload was used again the message is %s, want %s", got, want)
	}
}

func TestAppend_KeepsWhatIsThere(t *testing.T) {
	head := append(make([]byte, 0, 64), "head,"...)
	got, err := envelope.Append(head, core.Frame{ID: "1"})
	if err != nil || string(got) != `head,{"id":"1"}` || &got[0] != &head[0] {
		t.Errorf("AppendAppend = %s, %v; want it appended in place", got, err)
	}
	got, err = envelope.Append(got[:5], core.Frame{})
	if err != nil || string(got) != `head,{}` {
		t.Errorf("Append of nothing = %s, %v", got, err)
	}
	got, err = envelope.Append(got[:5], core.Frame{ID: "1", Payload: []byte(`{`)})
	if err == nil || string(got) != "head," {
		t.Errorf("Append of a bad payload = %s, %v; want dst as it was and an error", got, err)
	}
}

func TestAllocations(t *testing.T) {
	frames := map[string]core.Frame{
		"short":   {ID: "1", Event: "e", Payload: []byte(`{"a":1}`)},
		"long":    {ID: strings.Repeat("i", 300), Event: strings.Repeat("e", 300), Payload: payloadOf(4 << 10)},
		"escapes": {ID: strings.Repeat("\n\"", 100), Event: strings.Repeat("\x00", 100), Payload: []byte(nested(60))},
		"unicode": {ID: "é😀", Event: "日本語", Payload: []byte(`"日本語"`)},
	}
	for name, f := range frames {
		t.Run(name, func(t *testing.T) {
			var data []byte
			if n := testing.AllocsPerRun(100, func() { data, _ = envelope.Append(nil, f) }); n != 1 {
				t.Errorf("Append allocates %v times, want 1", n)
			}
			if n := testing.AllocsPerRun(100, func() { _, _ = envelope.Parse(data) }); n > 2 {
				t.Errorf("Parse allocates %v times, want at most 2", n)
			}
		})
	}
}
