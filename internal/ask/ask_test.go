package ask_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	core "github.com/wspulse/core"
	"github.com/wspulse/server/internal/ask"
)

func TestNewFrame(t *testing.T) {
	for _, tc := range []struct {
		v    any
		want string
	}{
		{map[string]int{"n": 1}, `{"n":1}`},
		{"<b>", `"\u003cb\u003e"`},
		{(*int)(nil), "null"},
		{nil, ""},
	} {
		f, err := ask.NewFrame("say", tc.v)
		if err != nil || f.Event != "say" || f.ID != "" || string(f.Payload) != tc.want {
			t.Errorf("%v: %+v, %v", tc.v, f, err)
		}
	}
	f, err := ask.NewFrame("say", math.NaN())
	if err == nil || f.Event != "" || !strings.HasPrefix(err.Error(), `wspulse: payload of "say": json: unsupported value`) {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestBind(t *testing.T) {
	type said struct{ Text string }
	for payload, want := range map[string]string{
		`{"text":"hello"}`: "hello",
		`{}`:               "before",
		`null`:             "before",
		``:                 "before",
	} {
		v := said{"before"}
		if err := ask.Bind(core.Frame{Payload: []byte(payload)}, &v); err != nil || v.Text != want {
			t.Errorf("%s: %q, %v", payload, v.Text, err)
		}
	}
	for _, payload := range []string{`{"text":7}`, `{"text":"a"} b`, `{`, `7`} {
		err := ask.Bind(core.Frame{Event: "say", Payload: []byte(payload)}, &said{})
		if err == nil || !strings.HasPrefix(err.Error(), `wspulse: payload of "say": `) || errors.Unwrap(err) == nil {
			t.Errorf("%s: %v", payload, err)
		}
	}
}

func TestFailure(t *testing.T) {
	for payload, want := range map[string][2]string{
		`{"code":"full","message":"no room"}`:   {"full", "no room"},
		`{"code":"full"}`:                       {"full", ""},
		`{"code":"full","message":"a","at":17}`: {"full", "a"},
		`{"code":7,"message":"a"}`:              {"", `{"code":7,"message":"a"}`},
		`{"reason":"a"}`:                        {"", `{"reason":"a"}`},
		`"no"`:                                  {"", `"no"`},
		"\xff":                                  {"", "\xff"},
		``:                                      {"", ""},
	} {
		code, text := ask.ParseFailure(core.Frame{Payload: []byte(payload)})
		if code != want[0] || text != want[1] {
			t.Errorf("%s: %q, %q", payload, code, text)
		}
	}
	f := ask.NewFailure("1", "error", "full", "no \"room\"\xff")
	if code, text := ask.ParseFailure(f); f.ID != "1" || f.Event != "error" || code != "full" || text != "no \"room\"\ufffd" {
		t.Errorf("%+v", f)
	}
}

func TestIDs(t *testing.T) {
	var ids ask.IDs
	if ids.Begun() {
		t.Error("begun")
	}
	seen := map[string]bool{}
	for range 1000 {
		seen[ids.Next()] = true
	}
	if len(seen) != 1000 || !ids.Begun() {
		t.Errorf("%d IDs", len(seen))
	}
	var others ask.IDs
	if seen[others.Next()] {
		t.Error("those of another process begin where these did")
	}
}
