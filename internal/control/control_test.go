package control_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/wspulse/server/internal/control"
)

var (
	toClient = []control.Type{control.Hello, control.Ack, control.Gap, control.Ping, control.Pong, control.Bye}
	toServer = []control.Type{control.Ack, control.Ping, control.Bye}
)

const most = 1<<53 - 1

func TestMessage_IsReadAsItWasWritten(t *testing.T) {
	for text, m := range map[string]control.Message{
		`{"t":"ack","n":12,"at":7}`:                        {Type: control.Ack, N: 12, At: 7},
		`{"t":"ack","n":0,"at":9007199254740991}`:          {Type: control.Ack, At: most},
		`{"t":"gap","n":3,"at":100}`:                       {Type: control.Gap, N: 3, At: 100},
		`{"t":"ping","at":0}`:                              {Type: control.Ping},
		`{"t":"pong","at":1}`:                              {Type: control.Pong, At: 1},
		`{"t":"bye","reason":"","reconnect":false,"at":5}`: {Type: control.Bye, At: 5},
		`{"t":"bye","reason":"shutdown","reconnect":true,"after":[0,5000],"at":5}`: {
			Type: control.Bye, Reason: "shutdown", Reconnect: true, After: [2]int64{0, 5000}, At: 5},
		`{"t":"hello","id":"a\"b","token":"x","resumed":false,"reason":"expired","recv":4,"window":30000,` +
			`"heartbeat":25000,"maxBytes":1048576,"inflight":256,"at":2}`: {Type: control.Hello, At: 2, Hello: control.Welcome{
			ID: `a"b`, Token: "x", Reason: "expired", Recv: 4, Window: 30000, Heartbeat: 25000, MaxBytes: 1 << 20, Inflight: 256}},
	} {
		if got := string(m.Append([]byte("before"))); got != "before"+text {
			t.Errorf("%+v: %s, want %s", m, got, text)
		}
		if got, err := control.Parse([]byte(text), toClient...); err != nil || got != m {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
}

func TestParse_WhatALaterVersionAdds(t *testing.T) {
	got, err := control.Parse([]byte(` {"later":[1,{"t":"x"}],"t":"ack","at":1,"n":2} `), toServer...)
	if want := (control.Message{Type: control.Ack, N: 2, At: 1}); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestParse_Refuses(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":                     ``,
		"no object":                   `[{"t":"ping","at":1}]`,
		"null":                        `null`,
		"no type":                     `{"at":1}`,
		"an unknown type":             `{"t":"pinq","at":1}`,
		"a type that is no string":    `{"t":1,"at":1}`,
		"what a server sends":         `{"t":"gap","n":1,"at":1}`,
		"no at":                       `{"t":"ping"}`,
		"at: null":                    `{"t":"ping","at":null}`,
		"no n":                        `{"t":"ack","at":1}`,
		"n: negative":                 `{"t":"ack","n":-1,"at":1}`,
		"n: a fraction":               `{"t":"ack","n":1.5,"at":1}`,
		"n: whole, but as a float":    `{"t":"ack","n":1.0,"at":1}`,
		"n: with an exponent":         `{"t":"ack","n":1e308,"at":1}`,
		"n: a string":                 `{"t":"ack","n":"1","at":1}`,
		"n: an object":                `{"t":"ack","n":{},"at":1}`,
		"n: larger than any is":       `{"t":"ack","n":9007199254740992,"at":1}`,
		"n: larger than 64 bits":      `{"t":"ack","n":18446744073709551617,"at":1}`,
		"two messages":                `{"t":"ping","at":1}{"t":"ping","at":1}`,
		"a broken one":                `{"t":"ping","at":1`,
		"more than 4 KiB":             `{"t":"ping","at":1,"x":"` + strings.Repeat("x", 4<<10) + `"}`,
		"a reconnect that is no bool": `{"t":"bye","reconnect":1,"at":1}`,
	} {
		if m, err := control.Parse([]byte(text), toServer...); err == nil || len(err.Error()) > 200 {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
	for _, text := range []string{`{"t":"gap","n":0,"at":1}`, `{"t":"hello","recv":-1,"at":1}`, `{"t":"hello","id":1,"at":1}`} {
		if m, err := control.Parse([]byte(text), toClient...); err == nil {
			t.Errorf("%s: %+v", text, m)
		}
	}
}

var token = strings.Repeat("t", 43)

func TestOffered(t *testing.T) {
	for _, c := range []control.Claim{
		{ID: "alice", Recv: 17, Token: token},
		{ID: "a.b\x00\n✓", Token: token},
		{ID: "", Recv: most, Token: token},
	} {
		v1, got, others := control.Offered([]string{"a token", control.Protocol, c.String(), "json"})
		if !v1 || got == nil || *got != c || len(others) != 2 || others[0] != "a token" || others[1] != "json" {
			t.Errorf("%+v: %v, %+v, %q", c, v1, got, others)
		}
		if i := strings.IndexFunc(c.String(), func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r) }); i >= 0 {
			t.Errorf("%s is no token of RFC 9110, section 5.6.2", c)
		}
	}
	if v1, claim, others := control.Offered([]string{"wspulse.v1x", "WSPULSE.V1"}); v1 || claim != nil || len(others) != 2 {
		t.Errorf("%v, %v, %q", v1, claim, others)
	}
}

// What can't be read is no claim, and no other offer either.
func TestOffered_NoClaim(t *testing.T) {
	const mark = "wspulse.v1.resume."
	for _, value := range []string{
		"", ".", "..", "YQ", "YQ.1", "YQ.1." + token[1:], "YQ.1." + token + "t", "YQ.-1." + token, "YQ.1.0." + token, "YQ.1e3." + token,
		"YQ.9007199254740992." + token, "Y.1." + token, "YQ==.1." + token, "Y+.1." + token, "YR.1." + token,
		strings.Repeat("YWFh", 2000) + ".1." + token,
	} {
		if v1, claim, others := control.Offered([]string{mark + value}); v1 || claim != nil || len(others) > 0 {
			t.Errorf("%.60q: %v, %+v, %q", value, v1, claim, others)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"t":"bye","reason":"x","reconnect":true,"after":[1,2],"at":3}`))
	f.Add([]byte(`{"t":"hello","id":"x","recv":4,"at":2}`))
	f.Add([]byte(`{"t":"ack","n":9007199254740991,"at":0}`))
	f.Add([]byte(`{"t":"ack","n":01,"at":10}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := control.Parse(data, toClient...)
		if slow, slowErr := control.Parse(append([]byte(" "), data...), toClient...); len(data) < control.MaxSize &&
			(slow != m || (slowErr == nil) != (err == nil)) {
			t.Errorf("%q is %+v, %v, and behind a space %+v, %v", data, m, err, slow, slowErr)
		}
		if err != nil {
			return
		}
		text := m.Append(nil)
		if !json.Valid(text) {
			t.Fatalf("%q becomes %q", data, text)
		}
		if again, err := control.Parse(text, toClient...); len(text) <= control.MaxSize && (err != nil || again != m) {
			t.Errorf("%q becomes %+v, then %q, then %+v, %v", data, m, text, again, err)
		}
	})
}

// A claim of a megabyte is none, and is not kept.
func TestOffered_LongClaim(t *testing.T) {
	for _, claim := range []string{
		control.Claim{ID: strings.Repeat("x", 1<<20), Token: strings.Repeat("t", 43)}.String(),
		"wspulse.v1.resume.YQ." + strings.Repeat("1", 1<<20) + "." + strings.Repeat("t", 43),
	} {
		if v1, got, _ := control.Offered([]string{control.Protocol, claim}); !v1 || got != nil {
			t.Errorf("%v, %v", v1, got)
		}
	}
}
