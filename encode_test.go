package wspulse_test

import (
	"strings"
	"testing"

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
