// Package vectors reads testdata/protocol, whose README says what is in it, for the tests of the server and the client.
package vectors

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

// A Vector is a file of testdata/protocol, whose README says what is in it.
type Vector struct {
	Name   string                     `json:"-"`
	Row    string                     `json:"row"`
	About  string                     `json:"about"`
	Runs   []string                   `json:"runs"`
	Server map[string]json.RawMessage `json:"server"`
	Never  map[string][]string        `json:"never"`
	Steps  []Step                     `json:"steps"`
}

// A Step has one of the fields of the first block, and some of the others.
type Step struct {
	Client            *Act   `json:"client"`
	Server            *Act   `json:"server"`
	Application       string `json:"application"`
	ClientApplication string `json:"clientApplication"`
	Drop              bool   `json:"drop"`
	Silence           bool   `json:"silence"`
	Wait              Span   `json:"wait"`

	On       string `json:"on"`
	Within   Span   `json:"within"`
	Optional bool   `json:"optional"`
	Strict   bool   `json:"strict"`

	// Of the applications.
	Count    int      `json:"count"`
	Accepted *int     `json:"accepted"`
	Bytes    int      `json:"bytes"`
	To       string   `json:"to"`
	Code     int      `json:"code"`   // 0: the method that takes none
	Reason   string   `json:"reason"` // beside it
	Events   []string `json:"events"`

	Text string `json:"-"` // as it is in the file
}

// An Act is what one side does: a control message, or one of the fields of the first block.
type Act struct {
	Type     string   `json:"t"`
	Dial     *[]Offer `json:"dial"`
	Messages *[2]int  `json:"messages"`
	Raw      *string  `json:"raw"`
	Data     *string  `json:"data"`
	Close    int      `json:"close"`
	End      bool     `json:"end"`
	Nothing  Span     `json:"nothing"`

	// Of dial.
	As      string          `json:"as"`
	User    string          `json:"user"`
	Refuse  string          `json:"refuse"`
	Status  int             `json:"status"`
	Selects *string         `json:"selects"`
	Early   json.RawMessage `json:"early"`

	Bytes  int    `json:"bytes"`  // of messages
	Reason string `json:"reason"` // of close

	Fields Fields `json:"-"` // of a control message
}

// Fields are those of a control message, as they are written.
type Fields map[string]json.RawMessage

// An Offer is a subprotocol, or a claim of one.
type Offer struct {
	Text  string
	Claim *struct {
		ID    string      `json:"id"`
		Recv  json.Number `json:"recv"`
		Token string      `json:"token"`
	} `json:"claim"`
}

// A Span is a time.Duration.
type Span time.Duration

// UnmarshalJSON implements json.Unmarshaler.
func (s *Span) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	d, err := time.ParseDuration(text)
	*s = Span(d)
	return err
}

// UnmarshalJSON implements json.Unmarshaler.
func (o *Offer) UnmarshalJSON(data []byte) error {
	if data[0] == '"' {
		return json.Unmarshal(data, &o.Text)
	}
	type plain Offer
	return strictly(data, (*plain)(o))
}

// UnmarshalJSON implements json.Unmarshaler.
func (a *Act) UnmarshalJSON(data []byte) error {
	type plain Act
	if err := json.Unmarshal(data, &a.Fields); err != nil {
		return err
	}
	if a.Fields["t"] != nil {
		return json.Unmarshal(a.Fields["t"], &a.Type)
	}
	return strictly(data, (*plain)(a))
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *Step) UnmarshalJSON(data []byte) error {
	type plain Step
	s.Text = string(data)
	return strictly(data, (*plain)(s))
}

// strictly refuses what it does not know.
func strictly(data []byte, v any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	return decoder.Decode(v)
}

// acts counts what a step says that happens.
func (s *Step) acts() (n int) {
	for _, there := range []bool{s.Client != nil, s.Server != nil, s.Application != "", s.ClientApplication != "", s.Drop,
		s.Silence, s.Wait > 0} {
		if there {
			n++
		}
	}
	return n
}

// kinds counts what an act is.
func (a *Act) kinds() (n int) {
	for _, there := range []bool{a.Type != "", a.Dial != nil, a.Messages != nil, a.Raw != nil, a.Data != nil, a.Close > 0,
		a.End, a.Nothing > 0} {
		if there {
			n++
		}
	}
	return n
}

// Read reads all vectors of a directory.
func Read(t testing.TB, dir string) (all []*Vector) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	for _, name := range names {
		v := &Vector{Name: strings.TrimSuffix(filepath.Base(name), ".json")}
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

func (v *Vector) check() error {
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
			return fmt.Errorf("step %d is not one thing: %s", i+1, s.Text)
		}
		for _, a := range []*Act{s.Client, s.Server} {
			if a != nil && a.kinds() != 1 {
				return fmt.Errorf("step %d is not one thing: %s", i+1, s.Text)
			}
		}
	}
	return nil
}

// IsFor says whether a side, "server" or "client", can run the vector.
func (v *Vector) IsFor(side string) bool { return slices.Contains(v.Runs, side) }

// Bindings are what the variables of a Vector stand for.
type Bindings map[string]string

var variable = regexp.MustCompile(`\$\w+`)

// Fill puts what they stand for into a text. A new one stands for a token.
func (b Bindings) Fill(text string) string {
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
func (b Bindings) bind(name, text string) bool {
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

// Matches compares a control message with what is wanted of it.
func (b Bindings) Matches(want, got Fields) bool {
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

// Write returns a control message, with spaces behind it if it has to have a size.
func (b Bindings) Write(message json.RawMessage) string {
	var (
		all     Fields
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
			members = append(members, fmt.Sprintf("%q:%s", key, b.Fill(string(value))))
		}
	}
	text := "{" + strings.Join(members, ",") + "}"
	return text + strings.Repeat(" ", max(0, size-len(text)))
}

// Write returns the subprotocol that an Offer is.
func (o Offer) Write(b Bindings) string {
	if o.Claim == nil {
		return b.Fill(o.Text)
	}
	id := base64.RawURLEncoding.EncodeToString([]byte(b.Fill(o.Claim.ID)))
	return "wspulse.v1.resume." + id + "." + o.Claim.Recv.String() + "." + b.Fill(o.Claim.Token)
}
