package wspulse_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wspulse/server/internal/rawpeer"
	"github.com/wspulse/server/internal/vectors"
	"github.com/wspulse/server/wstest"
)

var noFaults wstest.Faults

// A voice is a client's end of one connection. It answers pings and close frames by itself.
type voice struct {
	t      *testing.T
	conn   *wstest.Conn
	in     *bufio.Reader
	opcode byte // of data messages
	heard  chan utterance
	silent atomic.Bool // it answers nothing any more

	// Owned by the goroutine of the test.
	unread   []utterance // taken from heard, and given back
	claimed  uint64      // recv of the claim
	received uint64      // messages of the server, with those of gaps
	log      []string    // what was said

	mu     sync.Mutex // guards what follows, and the writes
	closed bool       // it has sent a close frame
}

// An utterance is something that the server has said.
type utterance struct {
	kind   kind
	text   string         // what it was; of a close frame, the reason
	typ    string         // of a control message
	fields vectors.Fields // the same
	code   int            // of a close frame
}

type kind int

const (
	saysNothing kind = iota
	saysControl
	saysData
	saysClose
	saysEnd   // the connection has ended
	saysWrong // what the server must not send
)

func (u utterance) String() string {
	switch u.kind {
	case saysNothing:
		return "nothing"
	case saysClose:
		return fmt.Sprintf("close %d %q", u.code, u.text)
	case saysEnd:
		return "the end: " + u.text
	case saysWrong:
		return "what is wrong: " + u.text
	default:
		return fmt.Sprintf("%.200s", u.text)
	}
}

// mayBeSkipped says whether it may come where something else is wanted.
func (u utterance) mayBeSkipped(want *vectors.Act) bool {
	switch u.typ {
	case "ping":
		return true
	case "ack":
		if want.Type != "ack" {
			return true
		}
		n, err := strconv.ParseUint(string(u.fields["n"]), 10, 64)
		most, errWant := strconv.ParseUint(string(want.Fields["n"]), 10, 64)
		return err == nil && errWant == nil && n < most
	default:
		return false
	}
}

func newVoice(t *testing.T, conn *wstest.Conn, opcode byte) *voice {
	t.Helper()
	t.Cleanup(conn.Reset)
	return &voice{t: t, conn: conn, in: bufio.NewReader(conn), opcode: opcode, heard: make(chan utterance, 4096)}
}

// request sends an opening handshake, and a control message behind it in the same write.
func (v *voice) request(query url.Values, offers []string, early string) {
	v.t.Helper()
	text := "GET /?" + query.Encode() + " HTTP/1.1\r\nHost: server\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
	if len(offers) > 0 {
		text += "Sec-WebSocket-Protocol: " + strings.Join(offers, ", ") + "\r\n"
	}
	data := []byte(text + "\r\n")
	if early != "" {
		data = rawpeer.Frame{First: rawpeer.Fin | v.controlOpcode(), Payload: early}.AppendTo(data)
	}
	v.log = append(v.log, "client: offers "+strings.Join(offers, ", "))
	if _, err := v.conn.Write(data); err != nil {
		v.t.Fatal(err)
	}
}

// response returns the answer to the request: its status, and the subprotocol that it selects.
func (v *voice) response(within time.Duration) (status int, selected string) {
	v.t.Helper()
	_ = v.conn.SetReadDeadline(time.Now().Add(within))
	response, err := http.ReadResponse(v.in, nil)
	if err != nil {
		v.t.Fatalf("no response: %v", err)
	}
	_ = response.Body.Close()
	_ = v.conn.SetReadDeadline(time.Time{})
	return response.StatusCode, strings.Join(response.Header["Sec-Websocket-Protocol"], ", ")
}

func (v *voice) controlOpcode() byte {
	if v.opcode == rawpeer.OpText {
		return rawpeer.OpBinary
	}
	return rawpeer.OpText
}

// listen reads until the end of the connection.
func (v *voice) listen() {
	for {
		f, err := rawpeer.Read(v.in)
		if err != nil {
			v.heard <- utterance{kind: saysEnd, text: err.Error()}
			_ = v.conn.Close()
			return
		}
		switch f.First {
		case rawpeer.Fin | rawpeer.OpPing:
			v.answer(rawpeer.Frame{First: rawpeer.Fin | rawpeer.OpPong, Payload: f.Payload})
		case rawpeer.Fin | rawpeer.OpPong:
		case rawpeer.Fin | rawpeer.OpClose:
			u := utterance{kind: saysClose, code: f.Code()}
			if len(f.Payload) > 2 {
				u.text = f.Payload[2:]
			}
			v.heard <- u
			v.answer(rawpeer.Frame{First: f.First, Payload: f.Payload[:min(2, len(f.Payload))]})
		case rawpeer.Fin | v.opcode:
			v.heard <- utterance{kind: saysData, text: f.Payload}
		case rawpeer.Fin | v.controlOpcode():
			u := utterance{kind: saysControl, text: f.Payload}
			if json.Unmarshal([]byte(f.Payload), &u.fields) != nil || json.Unmarshal(u.fields["t"], &u.typ) != nil ||
				len(f.Payload) > 4096 {
				u.kind = saysWrong
			}
			v.heard <- u
		default:
			v.heard <- utterance{kind: saysWrong, text: f.String()}
		}
	}
}

// next returns what has been said next, or what will be until then; fresh: it has not been returned before.
func (v *voice) next(deadline time.Time) (u utterance, fresh bool) {
	if len(v.unread) > 0 {
		u, v.unread = v.unread[0], v.unread[1:]
		return u, false
	}
	timeout := time.NewTimer(time.Until(deadline))
	defer timeout.Stop()
	select {
	case u = <-v.heard:
	case <-timeout.C:
	}
	return u, true
}

// forget drops what has been said and not been taken.
func (v *voice) forget() {
	v.unread = nil
	for len(v.heard) > 0 {
		<-v.heard
	}
}

// count counts messages, and compares the at of control messages. It says what is wrong.
func (v *voice) count(u utterance) (fault string) {
	number := func(key string) (n uint64) {
		n, err := strconv.ParseUint(string(u.fields[key]), 10, 64)
		if err != nil {
			fault = fmt.Sprintf("%s is %s", key, u.fields[key])
		}
		return n
	}
	switch {
	case u.kind == saysWrong:
		return "the server must not say that"
	case u.kind == saysData:
		v.received++
	case u.kind != saysControl:
	case u.typ == "hello":
		v.received = 0
		if string(u.fields["resumed"]) == "true" {
			v.received = v.claimed
		}
		fallthrough
	default:
		if at := number("at"); fault == "" && at != v.received {
			return fmt.Sprintf("the count is %d", v.received)
		}
		if u.typ == "gap" {
			v.received += number("n")
		}
	}
	return fault
}

// answer sends a frame, unless it is silent, or has sent a close frame.
func (v *voice) answer(f rawpeer.Frame) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.silent.Load() || v.closed {
		return
	}
	v.closed = f.First == rawpeer.Fin|rawpeer.OpClose
	_, _ = v.conn.Write(f.AppendTo(nil)) // where it fails, reading does
}

func (v *voice) send(first byte, payload string) {
	v.log = append(v.log, fmt.Sprintf("client: %.200s", payload))
	v.answer(rawpeer.Frame{First: first, Payload: payload})
}

func (v *voice) control(text string) { v.send(rawpeer.Fin|v.controlOpcode(), text) }

func (v *voice) data(text string) { v.send(rawpeer.Fin|v.opcode, text) }

func (v *voice) close(code int) {
	v.log = append(v.log, fmt.Sprint("client: close ", code))
	v.answer(rawpeer.Close(code, ""))
}
