package wspulse_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	wspulse "github.com/wspulse/server"
)

func TestMaxMessageSize(t *testing.T) {
	for _, limit := range []int{512, 1, 70_000} {
		inBubble(t, func(t *testing.T) {
			m := &recorder{}
			w := newWorld(t, wspulse.WithMaxMessageSize(int64(limit)), wspulse.WithMetrics(m),
				wspulse.WithOnMessage(nil))
			alice := w.dial("r", "alice")
			alice.WebSocket.WriteMessage(websocket.BinaryMessage, make([]byte, limit))
			synctest.Wait()
			if m.received.Load() != int64(limit) {
				t.Errorf("a message of %d bytes did not arrive", limit)
			}
			go alice.WebSocket.WriteMessage(websocket.BinaryMessage, make([]byte, limit+1))
			alice.expectClose(1009, fmt.Sprintf("message larger than %d bytes (WithMaxMessageSize)", limit))
			w.expect("alice:connect alice:disconnect(too-large)")
			if m.received.Load() != int64(limit) {
				t.Errorf("a message of %d bytes did arrive", limit+1)
			}
		})
	}
}

func TestMaxMessageSize_CountsFragmentsTogether(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithMaxMessageSize(10))
		alice := w.dial("r", "alice")
		go func() {
			alice.Conn.Write([]byte{0x02, 0x86, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6})
			alice.Conn.Write([]byte{0x80, 0x86, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6})
		}()
		alice.expectClose(1009, "message larger than 10 bytes (WithMaxMessageSize)")
	})
}

func TestProtocolError(t *testing.T) {
	for name, frame := range map[string][]byte{
		"reserved opcode":    {0x83, 0x80, 0, 0, 0, 0},
		"reserved bit":       {0xC1, 0x80, 0, 0, 0, 0},
		"not masked":         {0x81, 0x00},
		"fragmented ping":    {0x09, 0x80, 0, 0, 0, 0},
		"stray continuation": {0x80, 0x80, 0, 0, 0, 0},
		"bad close code":     {0x88, 0x82, 0, 0, 0, 0, 0x03, 0xED},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t)
				alice := w.dial("r", "alice")
				go alice.Conn.Write(frame)
				if code := alice.closeCode(); code != 1002 {
					t.Errorf("the peer read %v", alice.Err())
				}
				synctest.Wait()
				if got := w.events.take(); !strings.HasPrefix(got, "alice:connect alice:disconnect(error=") {
					t.Errorf("events %q", got)
				}
			})
		})
	}
}

func TestMalformedInput_IsDroppedWithARateLimitedWarn(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		core, logs := observer.New(zap.WarnLevel)
		w := newWorld(t, wspulse.WithLogger(zap.New(core)))
		alice := w.dial("r", "alice")
		for _, message := range []string{"", "{", "[]", "null", `{"event":1}`} {
			alice.WebSocket.WriteMessage(websocket.TextMessage, []byte(message))
		}
		alice.send("good")
		w.expect("alice:connect alice:message(good)")
		if logs.Len() != 1 || logs.All()[0].Level != zap.WarnLevel {
			t.Errorf("logged %v", logs.All())
		}
		time.Sleep(time.Minute)
		alice.WebSocket.WriteMessage(websocket.TextMessage, []byte("{"))
		w.expect("")
		if logs.Len() != 2 {
			t.Errorf("%d lines a minute later, want 2", logs.Len())
		}
	})
}

func TestInbound_TextAndBinaryAreBothDecoded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		alice := w.dial("r", "alice")
		alice.WebSocket.WriteMessage(websocket.TextMessage, []byte(`{"event":"text"}`))
		alice.WebSocket.WriteMessage(websocket.BinaryMessage, []byte(`{"event":"binary"}`))
		w.expect("alice:connect alice:message(text) alice:message(binary)")
	})
}

// rawCodec takes a message as the payload, without copying it.
type rawCodec struct{}

func (rawCodec) Encode(f wspulse.Frame) ([]byte, error)    { return f.Payload, nil }
func (rawCodec) Decode(data []byte) (wspulse.Frame, error) { return wspulse.Frame{Payload: data}, nil }
func (rawCodec) FrameType() int                            { return wspulse.BinaryMessage }

func TestInbound_PayloadStaysValid(t *testing.T) {
	for name, tc := range map[string]struct {
		codec  wspulse.Codec
		format string
	}{
		"JSONCodec":              {wspulse.JSONCodec, `{"payload":%q}`},
		"codec that aliases":     {rawCodec{}, `%q`},
		"JSONCodec in a wrapper": {struct{ wspulse.Codec }{wspulse.JSONCodec}, `{"payload":%q}`},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				var payloads [][]byte
				w := newWorld(t, wspulse.WithCodec(tc.codec),
					wspulse.WithOnMessage(func(_ wspulse.Connection, f wspulse.Frame) {
						payloads = append(payloads, f.Payload)
					}))
				alice := w.dial("r", "alice")
				for i := range 20 {
					alice.WebSocket.WriteMessage(websocket.TextMessage,
						fmt.Appendf(nil, tc.format, fmt.Sprint("message ", i%10)))
				}
				synctest.Wait()
				for i, payload := range payloads {
					if want := fmt.Appendf(nil, "%q", fmt.Sprint("message ", i%10)); !bytes.Equal(payload, want) {
						t.Errorf("payload %d is now %s", i, payload)
					}
				}
				if len(payloads) != 20 {
					t.Errorf("%d payloads", len(payloads))
				}
			})
		})
	}
}

func TestCodec_FrameTypeIsTheTypeOfWhatIsSent(t *testing.T) {
	for want, codec := range map[int]wspulse.Codec{websocket.TextMessage: wspulse.JSONCodec, websocket.BinaryMessage: rawCodec{}} {
		inBubble(t, func(t *testing.T) {
			w := newWorld(t, wspulse.WithCodec(codec))
			alice := w.dialIdle("r", "alice")
			w.must(w.server.Send("alice", wspulse.Frame{Payload: []byte("1")}))
			if got, _, err := alice.WebSocket.ReadMessage(); got != want || err != nil {
				t.Errorf("the peer read a message of type %d (%v), want %d", got, err, want)
			}
		})
	}
}

type panickyCodec struct{ wspulse.Codec }

func (panickyCodec) Decode([]byte) (wspulse.Frame, error) { panic("bad codec") }

func TestCodec_PanicInDecodeEndsTheTransportOnly(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithCodec(panickyCodec{wspulse.JSONCodec}))
		alice := w.dial("r", "alice")
		alice.send("hello")
		alice.expectClose(1011, "the server failed in handling a message")
		w.expect("alice:connect alice:disconnect(panic=bad codec)")
	})
}

// A close frame from the peer is answered with the peer's code, with and without an OnMessage.
func TestPeerCloses_IsAnswered(t *testing.T) {
	for code, want := range map[int]string{1000: "nil", 1001: "nil", 1005: "nil", 1002: "1002", 1011: "1011", 3000: "3000", 4999: "4999"} {
		for _, window := range []time.Duration{0, time.Minute} {
			inBubble(t, func(t *testing.T) {
				event := "disconnect"
				if window > 0 {
					event = "drop"
				}
				var got error
				note := func(_ wspulse.Connection, err error) { got = err }
				options := map[string]wspulse.ServerOption{
					"disconnect": wspulse.WithOnDisconnect(note), "drop": wspulse.WithOnTransportDrop(note),
				}
				w := newWorld(t, wspulse.WithOnMessage(nil), wspulse.WithResumeWindow(window), options[event])
				alice := w.dial("r", "alice")
				alice.close(code)
				start := time.Now()
				if answer := alice.closeCode(); answer != code {
					t.Errorf("%d was answered with %d (%v)", code, answer, alice.Err())
				}
				synctest.Wait()
				w.took(start, 0)
				var closed *websocket.CloseError
				if name(got) != want || want != "nil" && (!errors.As(got, &closed) || closed.Code != code) {
					t.Errorf("%d reached On%s as %v", code, event, got)
				}
			})
		}
	}
}
