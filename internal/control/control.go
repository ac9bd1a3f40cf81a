// Package control holds the control messages of wspulse.v1, as both ends write and read them: JSON objects that say with
// `t` what they are, in messages of the opcode that the codec does not use.
//
// docs/protocol.md is their specification.
package control

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Protocol is the subprotocol that a client offers.
const Protocol = "wspulse.v1"

// MaxSize is that of a control message, in bytes.
const MaxSize = 4 << 10

const (
	claimMark = "wspulse.v1.resume."     // that another offered value begins with, if the client comes back
	maxCount  = 1<<53 - 1                // the largest whole number that every client can hold
	tokenSize = 43                       // of 32 bytes in base64url without padding
	maxClaim  = MaxSize - len(claimMark) // so that a header of a claim is not read for long
)

// TypeBeside returns the WebSocket message type of control messages: the one of text (1) and binary (2) that the codec
// does not use.
func TypeBeside(frameType int) int { return 3 - frameType }

// A Type says what a control message is.
type Type string

// The types. A server sends all of them, a client Ack, Ping and Bye.
const (
	Hello Type = "hello"
	Ack   Type = "ack"
	Gap   Type = "gap"
	Ping  Type = "ping"
	Pong  Type = "pong"
	Bye   Type = "bye"
)

// A Message is a control message. At belongs to each of them: how many messages its sender had sent before it.
type Message struct {
	Type Type
	At   uint64

	N uint64 // of Ack: messages processed, or received; of Gap: messages dropped

	Hello     Welcome  // of Hello
	Reason    string   // of Bye
	Reconnect bool     // of Bye: the client may come back
	After     [2]int64 // of Bye: between so many milliseconds; zero: nothing is said
}

// A Welcome is what a hello says of the session. Durations are in milliseconds, sizes in bytes.
type Welcome struct {
	ID        string `json:"id"`
	Token     string `json:"token,omitempty"`
	Resumed   bool   `json:"resumed"`
	Reason    string `json:"reason,omitempty"` // why it is not resumed though that was claimed
	Recv      uint64 `json:"recv"`             // messages of the client that the session has accepted
	Window    int64  `json:"window"`           // that a session outlives its transport
	Heartbeat int64  `json:"heartbeat"`
	MaxBytes  int64  `json:"maxBytes"` // of a message that the client may send
	Inflight  int    `json:"inflight"` // messages that it may have sent and not been acknowledged
}

// Append appends the message as JSON.
func (m *Message) Append(dst []byte) []byte {
	dst = append(append(append(dst, `{"t":"`...), m.Type...), '"')
	switch m.Type {
	case Ack, Gap:
		dst = strconv.AppendUint(append(dst, `,"n":`...), m.N, 10)
	case Hello:
		dst = appendFields(dst, m.Hello)
	case Bye:
		dst = appendFields(dst, farewell{m.Reason, m.Reconnect, m.After})
	case Ping, Pong:
	}
	dst = strconv.AppendUint(append(dst, `,"at":`...), m.At, 10)
	return append(dst, '}')
}

// appendFields appends those of a struct, behind others.
func appendFields(dst []byte, v any) []byte {
	fields, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings and numbers can be written
	}
	return append(append(dst, ','), fields[1:len(fields)-1]...)
}

type farewell struct {
	Reason    string   `json:"reason"`
	Reconnect bool     `json:"reconnect"`
	After     [2]int64 `json:"after,omitzero"`
}

// A count is a whole number that is written as one: 1e3 and 1.0 are none.
type count struct {
	n     uint64
	given bool
}

func (c *count) UnmarshalJSON(data []byte) error {
	if c.n, c.given = parseCount(data); !c.given {
		return fmt.Errorf("%.40q is not a whole number of at most %d", data, uint64(maxCount))
	}
	return nil
}

// Parse reads a control message of one of these types. Fields that it does not know are for later versions.
func Parse(data []byte, types ...Type) (m Message, err error) {
	if m, ok := parseAck(data); ok && slices.Contains(types, Ack) {
		return m, nil
	}
	if len(data) > MaxSize {
		return m, fmt.Errorf("control message of %d bytes, %d are the most", len(data), MaxSize)
	}
	var fields struct {
		Type Type  `json:"t"`
		At   count `json:"at"`
		N    count `json:"n"`
	}
	if err := json.Unmarshal(data, &fields); err != nil {
		return m, fmt.Errorf("control message: %w", err)
	}
	switch t := fields.Type; {
	case !slices.Contains(types, t):
		return m, fmt.Errorf("control message of type %.40q", t)
	case !fields.At.given:
		return m, fmt.Errorf("%s without at", t)
	case !fields.N.given && (t == Ack || t == Gap):
		return m, fmt.Errorf("%s without n", t)
	case fields.N.n == 0 && t == Gap:
		return m, errors.New("gap of no messages")
	}
	m = Message{Type: fields.Type, At: fields.At.n, N: fields.N.n}
	switch m.Type {
	case Hello:
		err = json.Unmarshal(data, &m.Hello)
	case Bye:
		var f farewell
		err = json.Unmarshal(data, &f)
		m.Reason, m.Reconnect, m.After = f.Reason, f.Reconnect, f.After
	case Ack, Gap, Ping, Pong:
	}
	return m, err
}

// parseAck reads an acknowledgement that is written as Append writes it: most control messages are, and there may be
// many.
func parseAck(data []byte) (m Message, ok bool) {
	rest, ok := bytes.CutPrefix(data, ackFront)
	n, rest, found := bytes.Cut(rest, ackMiddle)
	at, closed := bytes.CutSuffix(rest, ackBack)
	if !ok || !found || !closed {
		return m, false
	}
	m.Type = Ack
	if m.N, ok = parseCount(n); ok {
		m.At, ok = parseCount(at)
	}
	return m, ok
}

var ackFront, ackMiddle, ackBack = []byte(`{"t":"ack","n":`), []byte(`,"at":`), []byte(`}`)

// parseCount reads a whole number as JSON has it.
func parseCount(text []byte) (n uint64, ok bool) {
	if len(text) == 0 || len(text) > 1 && text[0] == '0' {
		return 0, false
	}
	for _, digit := range text {
		if digit < '0' || digit > '9' || n > maxCount {
			return 0, false
		}
		n = 10*n + uint64(digit-'0')
	}
	return n, n <= maxCount
}

// A Claim is what a client that comes back says in the request.
type Claim struct {
	ID    string
	Recv  uint64 // messages that it has received
	Token string // of the last hello that it has seen
}

// String returns the value that the client offers as a subprotocol.
func (c Claim) String() string {
	return claimMark + base64.RawURLEncoding.EncodeToString([]byte(c.ID)) + "." + strconv.FormatUint(c.Recv, 10) + "." + c.Token
}

// Offered looks through the subprotocols that a request offers. It says whether wspulse.v1 is among them, and returns
// the claim, if there is one. Others are returned as they are. A claim that can't be read is none: its client gets a new
// session, as with one that is wrong.
func Offered(values []string) (v1 bool, claim *Claim, others []string) {
	for _, value := range values {
		switch text, isClaim := strings.CutPrefix(value, claimMark); {
		case value == Protocol:
			v1 = true
		case isClaim:
			claim = parseClaim(text)
		default:
			others = append(others, value)
		}
	}
	return v1, claim, others
}

func parseClaim(text string) *Claim {
	if len(text) > maxClaim {
		return nil
	}
	id, rest, _ := strings.Cut(text, ".")
	recv, token, _ := strings.Cut(rest, ".")
	name, err := base64.RawURLEncoding.Strict().DecodeString(id)
	if err != nil || len(token) != tokenSize {
		return nil
	}
	n, err := strconv.ParseUint(recv, 10, 64)
	if err != nil || n > maxCount {
		return nil
	}
	return &Claim{string(name), n, token}
}
