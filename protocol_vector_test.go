package wspulse_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// A vector is a file of testdata/protocol, whose README says what is in it.
type vector struct {
	name   string
	Row    string                     `json:"row"`
	About  string                     `json:"about"`
	Runs   []string                   `json:"runs"`
	Server map[string]json.RawMessage `json:"server"`
	Never  map[string][]string        `json:"never"`
	Steps  []step                     `json:"steps"`
}

// A step has one of the fields of the first block, and some of the others.
type step struct {
	Client            *act   `json:"client"`
	Server            *act   `json:"server"`
	Application       string `json:"application"`
	ClientApplication string `json:"clientApplication"`
	Drop              bool   `json:"drop"`
	Silence           bool   `json:"silence"`
	Wait              span   `json:"wait"`

	On       string `json:"on"`
	Within   span   `json:"within"`
	Optional bool   `json:"optional"`
	Strict   bool   `json:"strict"`

	// Of the applications.
	Count    int      `json:"count"`
	Accepted *int     `json:"accepted"`
	Bytes    int      `json:"bytes"`
	To       string   `json:"to"`
	Events   []string `json:"events"`

	text string // as it is in the file
}

// An act is what one side does: a control message, or one of the fields of the first block.
type act struct {
	Type     string   `json:"t"`
	Dial     *[]offer `json:"dial"`
	Messages *[2]int  `json:"messages"`
	Raw      *string  `json:"raw"`
	Data     *string  `json:"data"`
	Close    int      `json:"close"`
	End      bool     `json:"end"`
	Nothing  span     `json:"nothing"`

	// Of dial.
	As      string          `json:"as"`
	Refuse  string          `json:"refuse"`
	Status  int             `json:"status"`
	Selects *string         `json:"selects"`
	Early   json.RawMessage `json:"early"`

	Bytes  int    `json:"bytes"`  // of messages
	Reason string `json:"reason"` // of close

	fields fields // of a control message
}

// Fields are those of a control message, as they are written.
type fields map[string]json.RawMessage

// An offer is a subprotocol, or a claim of one.
type offer struct {
	Text  string
	Claim *struct {
		ID    string      `json:"id"`
		Recv  json.Number `json:"recv"`
		Token string      `json:"token"`
	} `json:"claim"`
}

// A span is a time.Duration.
type span time.Duration

func (s *span) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	d, err := time.ParseDuration(text)
	*s = span(d)
	return err
}

func (o *offer) UnmarshalJSON(data []byte) error {
	if data[0] == '"' {
		return json.Unmarshal(data, &o.Text)
	}
	type plain offer
	return strictly(data, (*plain)(o))
}

func (a *act) UnmarshalJSON(data []byte) error {
	type plain act
	if err := json.Unmarshal(data, &a.fields); err != nil {
		return err
	}
	if a.fields["t"] != nil {
		return json.Unmarshal(a.fields["t"], &a.Type)
	}
	return strictly(data, (*plain)(a))
}

func (s *step) UnmarshalJSON(data []byte) error {
	type plain step
	s.text = string(data)
	return strictly(data, (*plain)(s))
}

// strictly refuses what it does not know.
func strictly(data []byte, v any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	return decoder.Decode(v)
}

// acts counts what a step says that happens.
func (s *step) acts() (n int) {
	for _, there := range []bool{s.Client != nil, s.Server != nil, s.Application != "", s.ClientApplication != "", s.Drop,
		s.Silence, s.Wait > 0} {
		if there {
			n++
		}
	}
	return n
}

// kinds counts what an act is.
func (a *act) kinds() (n int) {
	for _, there := range []bool{a.Type != "", a.Dial != nil, a.Messages != nil, a.Raw != nil, a.Data != nil, a.Close > 0,
		a.End, a.Nothing > 0} {
		if there {
			n++
		}
	}
	return n
}

// vectors reads testdata/protocol.
func vectors(t *testing.T) (all []*vector) {
	t.Helper()
	names, err := filepath.Glob("testdata/protocol/*.json")
	if err != nil || len(names) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	for _, name := range names {
		v := &vector{name: strings.TrimSuffix(filepath.Base(name), ".json")}
		data, err := os.ReadFile(name)
		if err == nil {
			err = strictly(data, v)
		}
		if err == nil {
			err = v.check()
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, v)
	}
	return all
}

func (v *vector) check() error {
	if v.Row == "" || len(v.Runs) == 0 || len(v.Steps) == 0 {
		return fmt.Errorf("no row, no runs or no steps")
	}
	for _, side := range v.Runs {
		if side != "server" && side != "client" {
			return fmt.Errorf("runs %q", side)
		}
	}
	for i := range v.Steps {
		s := &v.Steps[i]
		if s.acts() != 1 {
			return fmt.Errorf("step %d is not one thing: %s", i+1, s.text)
		}
		for _, a := range []*act{s.Client, s.Server} {
			if a != nil && a.kinds() != 1 {
				return fmt.Errorf("step %d is not one thing: %s", i+1, s.text)
			}
		}
	}
	return nil
}

func (v *vector) isFor(side string) bool { return slices.Contains(v.Runs, side) }

// Bindings are what the variables of a vector stand for.
type bindings map[string]string

var variable = regexp.MustCompile(`\$\w+`)

// fill puts what they stand for into a text. A new one stands for a token.
func (b bindings) fill(text string) string {
	return variable.ReplaceAllStringFunc(text, func(name string) string {
		if b[name] == "" {
			var secret [32]byte
			_, _ = rand.Read(secret[:])
			b[name] = base64.RawURLEncoding.EncodeToString(secret[:])
		}
		return b[name]
	})
}

// bind compares a text with a variable, which stands for it from now on if it is new.
func (b bindings) bind(name, text string) bool {
	if b[name] != "" {
		return b[name] == text
	}
	for _, other := range b {
		if other == text {
			return false
		}
	}
	b[name] = text
	return true
}

// matches compares a control message with what is wanted of it.
func (b bindings) matches(want, got fields) bool {
	for key, w := range want {
		g, there := got[key]
		var pattern string
		_ = json.Unmarshal(w, &pattern) // where it is no string, it is no pattern
		switch {
		case string(w) == "null":
			if there {
				return false
			}
		case !there:
			return false
		case pattern == "*":
		case variable.FindString(pattern) == pattern && pattern != "":
			var text string
			if json.Unmarshal(g, &text) != nil || !b.bind(pattern, text) {
				return false
			}
		case !sameJSON(w, g):
			return false
		}
	}
	return true
}

// sameJSON compares numbers as they are written.
func sameJSON(a, b json.RawMessage) bool {
	values := make([]any, 2)
	for i, data := range [][]byte{a, b} {
		decoder := json.NewDecoder(bytes.NewReader(data))
		decoder.UseNumber()
		if err := decoder.Decode(&values[i]); err != nil {
			return false
		}
	}
	return reflect.DeepEqual(values[0], values[1])
}

// write returns a control message, with spaces behind it if it has to have a size.
func (b bindings) write(message json.RawMessage) string {
	var (
		all     fields
		size    int
		members []string
	)
	if err := json.Unmarshal(message, &all); err != nil {
		panic(err) // it has been read before
	}
	for key, value := range all {
		switch key {
		case "size":
			_ = json.Unmarshal(value, &size)
		case "t":
			members = slices.Insert(members, 0, fmt.Sprintf("%q:%s", key, value))
		default:
			members = append(members, fmt.Sprintf("%q:%s", key, b.fill(string(value))))
		}
	}
	text := "{" + strings.Join(members, ",") + "}"
	return text + strings.Repeat(" ", max(0, size-len(text)))
}

// write returns the subprotocol that an offer is.
func (o offer) write(b bindings) string {
	if o.Claim == nil {
		return b.fill(o.Text)
	}
	id := base64.RawURLEncoding.EncodeToString([]byte(b.fill(o.Claim.ID)))
	return "wspulse.v1.resume." + id + "." + o.Claim.Recv.String() + "." + b.fill(o.Claim.Token)
}
