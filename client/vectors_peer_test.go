package client_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/wspulse/server/internal/control"
	"github.com/wspulse/server/internal/vectors"
	"github.com/wspulse/server/internal/wire"
	"github.com/wspulse/server/wstest"
)

// A peer is the server's end of one connection.
type vectorPeer struct {
	conn   *wstest.Conn
	in     *bufio.Reader
	offers []string
	key    string
	heard  chan utterance
	silent atomic.Bool
	closed atomic.Bool   // it has sent a close frame
	over   chan struct{} // closed when reading has ended
	next   []utterance   // given back
	count  uint64        // messages of the client
}

// utterance is something that the client has utterance.
type utterance struct {
	opcode wire.Opcode // 0: the end of the connection
	text   string
	fields vectors.Fields
}

func (s utterance) String() string { return fmt.Sprintf("%d %.200s", s.opcode, s.text) }

func (s utterance) is(t control.Type) bool { return string(s.fields["t"]) == strconv.Quote(string(t)) }

// listen reads what the client says.
func (c *vectorPeer) listen() {
	reader := wire.NewReader(1024)
	reader.Reset(c.in, nil, 1<<20, false)
	for {
		opcode, data, err := reader.Next()
		if err != nil {
			c.heard <- utterance{text: err.Error()}
			close(c.over)
			return
		}
		s := utterance{opcode: opcode, text: string(data)}
		switch opcode {
		case wire.OpPing, wire.OpPong:
			continue
		case wire.OpBinary:
			_ = json.Unmarshal(data, &s.fields)
		case wire.OpClose:
			if c.closed.Load() {
				continue
			}
			if !c.silent.Load() {
				_, _ = c.conn.Write(wire.New(wire.OpClose, data[:min(2, len(data))]).Bytes)
			}
		default:
		}
		c.heard <- s
	}
}

// beat pings as a server does that says it has a heartbeat of 10 s.
func (c *vectorPeer) beat() {
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for !c.silent.Load() {
		_, _ = c.conn.Write(wire.Ping().Bytes) // where it fails, reading does
		select {
		case <-tick.C:
		case <-c.over:
			return
		}
	}
}

// less says that an acknowledgement is for fewer messages than is wanted: more may follow.
func isLess(u utterance, want *vectors.Act) bool {
	n, err := strconv.ParseUint(string(u.fields["n"]), 10, 64)
	most, errWant := strconv.ParseUint(string(want.Fields["n"]), 10, 64)
	return err == nil && errWant == nil && n < most
}

// ours leaves out what a vector says only for the other side.
func kept(fields vectors.Fields) json.RawMessage {
	left := make(vectors.Fields)
	for key, value := range fields {
		switch string(value) {
		case "null":
		case `"*"`:
			if key == "recv" {
				left[key] = json.RawMessage("0")
			}
		default:
			left[key] = value
		}
	}
	text, err := json.Marshal(left)
	if err != nil {
		panic(err) // it has been read before
	}
	return text
}

// sized returns a message that has an event, and a payload that brings it to a size.
func sizedFrame(event string, size int) string {
	text := fmt.Sprintf(`{"event":%q}`, event)
	if size <= len(text) {
		return text
	}
	text = fmt.Sprintf(`{"event":%q,"payload":""}`, event)
	return strings.TrimSuffix(text, `"}`) + strings.Repeat("x", max(0, size-len(text))) + `"}`
}
