package wspulse_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	wspulse "github.com/wspulse/server"
)

// What a server does where its codec is JSONCodec, beyond what Encode and Decode of that do.

func TestJSONCodec_ServerCarriesThePayloadAsItIs(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithOnMessage(func(c wspulse.Connection, f wspulse.Frame) { _ = c.Send(f) }))
		alice := w.dialIdle("r", "alice")
		const message = `{"id":"<1>","event":"a&b","payload":{ "b": 1.0, "a":"<&>` + "\u2028" + `\u003c\/" , "a":2}}`
		alice.WebSocket.WriteMessage(websocket.TextMessage, []byte(message))
		if _, data, err := alice.WebSocket.ReadMessage(); string(data) != message || err != nil {
			t.Errorf("peer read %s, %v; want what it sent, %s", data, err, message)
		}
	})
}

func TestJSONCodec_ServerSendsNothingThatIsNoTextOrCannotBeDecoded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		alice := w.dial("r", "alice")
		for name, payload := range map[string]string{
			"not UTF-8": "\"\xff\"",
			"too deep":  strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000),
		} {
			f := wspulse.Frame{Event: name, Payload: []byte(payload)}
			if err := w.server.Send("alice", f); err == nil || !strings.HasPrefix(err.Error(), "wspulse: encode frame: ") {
				t.Errorf("%s: %v", name, err)
			}
			if _, err := wspulse.JSONCodec.Encode(f); err != nil {
				t.Errorf("%s: JSONCodec refuses it too: %v", name, err)
			}
		}
		w.send("alice", "good")
		alice.expect("good")
	})
}

func TestJSONCodec_ReplacedByTheProgram(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		codec := wspulse.JSONCodec
		defer func() { wspulse.JSONCodec = codec }()
		wspulse.JSONCodec = rawCodec{}
		w := newWorld(t)
		wspulse.JSONCodec = codec
		alice := w.dialIdle("r", "alice")
		w.must(w.server.Send("alice", wspulse.Frame{Payload: []byte("raw")}))
		if _, data, err := alice.WebSocket.ReadMessage(); string(data) != "raw" || err != nil {
			t.Errorf("peer read %s, %v", data, err)
		}
	})
}

// A latin1 is a codec whose text is not UTF-8 for some frames.
type latin1 struct{ wspulse.Codec }

func (latin1) Encode(f wspulse.Frame) ([]byte, error) { return []byte(f.Event), nil }

// A text that browsers would end the connection for is refused, wherever it is to go, and nothing of it is queued.
func TestCodec_TextThatIsNotUTF8(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &limitRecorder{}
		w := newWorld(t, wspulse.WithCodec(latin1{wspulse.JSONCodec}), wspulse.WithMetrics(m),
			wspulse.WithResumeWindow(time.Minute))
		alice := w.dialIdle("r", "alice")
		w.dial("r", "bob").drop()
		const want = "wspulse: wspulse_test.latin1 made a text of 4 bytes that is not UTF-8; " +
			"its FrameType must be BinaryMessage for such frames"
		for name, got := range map[string]error{
			"Send":                    w.server.Send("alice", ev("caf\xe9")),
			"Send to a suspended one": w.server.Send("bob", ev("caf\xe9")),
			"Connection.Send":         w.connection("r", "alice").Send(ev("caf\xe9")),
			"Broadcast":               w.server.Broadcast("r", ev("caf\xe9")),
			"Broadcast to nobody":     w.server.Broadcast("nowhere", ev("caf\xe9")),
		} {
			if got == nil || got.Error() != want {
				t.Errorf("%s: %v", name, got)
			}
		}
		w.broadcast("r", "café")
		bob := w.dialIdle("r", "bob")
		for name, peer := range map[string]*peer{"alice": alice, "bob": bob} {
			if _, data, err := peer.WebSocket.ReadMessage(); string(data) != "café" || err != nil {
				t.Errorf("%s read %q, %v", name, data, err)
			}
		}
		m.expect(t, "")
	})
}

// What a binary message holds is the codec's own affair.
func TestCodec_BinaryNeedNotBeUTF8(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithCodec(rawCodec{}))
		alice := w.dialIdle("r", "alice")
		w.must(w.server.Broadcast("r", wspulse.Frame{Payload: []byte("caf\xe9")}))
		if _, data, err := alice.WebSocket.ReadMessage(); string(data) != "caf\xe9" || err != nil {
			t.Errorf("peer read %q, %v", data, err)
		}
	})
}
