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

func TestHeartbeat_PingsEveryPingPeriod(t *testing.T) {
	for _, window := range []time.Duration{0, time.Minute} {
		inBubble(t, func(t *testing.T) {
			w := newWorld(t, wspulse.WithHeartbeat(7*time.Second, 20*time.Second), wspulse.WithResumeWindow(window))
			alice := w.dialIdle("r", "alice")
			start := time.Now()
			pong := alice.WebSocket.PingHandler()
			alice.WebSocket.SetPingHandler(func(payload string) error {
				alice.got.add("%v", time.Since(start))
				return pong(payload)
			})
			alice.StartReading()
			time.Sleep(36 * time.Second)
			alice.expect("7s 14s 21s 28s 35s")
			w.expect("alice:connect")
		})
	}
}

func TestHeartbeat_PeerThatAnswersNoPingIsDead(t *testing.T) {
	for _, answers := range []int{0, 3} {
		inBubble(t, func(t *testing.T) {
			m := &recorder{}
			w := newWorld(t, wspulse.WithHeartbeat(10*time.Second, 25*time.Second), wspulse.WithMetrics(m))
			alice := w.dialIdle("r", "alice")
			left, pong := answers, alice.WebSocket.PingHandler()
			alice.WebSocket.SetPingHandler(func(payload string) error {
				if left--; left < 0 {
					return nil
				}
				return pong(payload)
			})
			alice.StartReading()
			start := time.Now()
			<-w.connection("r", "alice").Done()
			w.took(start, time.Duration(answers)*10*time.Second+25*time.Second)
			w.expect("alice:connect alice:disconnect(timeout)")
			if got := m.take(); !strings.Contains(got, "timeout(r,alice)") || strings.Count(got, "timeout") != 1 {
				t.Errorf("hooks %q", got)
			}
		})
	}
}

// Messages are no substitute for pongs.
func TestHeartbeat_MessagesDoNotKeepAPeerAlive(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithHeartbeat(10*time.Second, 25*time.Second), wspulse.WithOnMessage(nil))
		alice := w.dialIdle("r", "alice")
		alice.mute()
		alice.StartReading()
		for range 24 {
			time.Sleep(time.Second)
			alice.send("busy")
		}
		start := time.Now()
		<-w.connection("r", "alice").Done()
		w.took(start, time.Second)
	})
}

// pongLater answers pings when the server reads, as a peer behind a socket buffer does.
func (p *peer) pongLater() {
	p.WebSocket.SetPingHandler(func(payload string) error {
		go p.WebSocket.WriteControl(websocket.PongMessage, []byte(payload), time.Time{})
		return nil
	})
}

func TestHeartbeat_SlowOnMessageDoesNotKillAPeerThatAnswers(t *testing.T) {
	for _, busy := range []time.Duration{50 * time.Second, 3 * time.Second, 100 * time.Microsecond} {
		inBubble(t, func(t *testing.T) {
			w := newWorld(t, wspulse.WithHeartbeat(10*time.Second, 12*time.Second), wspulse.WithSendBufferSize(4096),
				wspulse.WithOnMessage(func(c wspulse.Connection, f wspulse.Frame) {
					time.Sleep(busy)
					c.Send(f)
				}))
			alice := w.dialIdle("r", "alice")
			alice.pongLater()
			alice.StartReading()
			for i := range 40 {
				alice.send(fmt.Sprint(i))
			}
			time.Sleep(5 * time.Minute)
			w.expect("alice:connect")
			alice.expect(seq(0, 39))
		})
	}
}

// The time that OnMessage took is added to the wait for a pong, and no more than that.
func TestHeartbeat_SlowOnMessageDoesNotKeepADeadPeer(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithHeartbeat(10*time.Second, 25*time.Second),
			wspulse.WithOnMessage(func(wspulse.Connection, wspulse.Frame) { time.Sleep(40 * time.Second) }))
		alice := w.dialIdle("r", "alice")
		alice.mute()
		alice.StartReading()
		start := time.Now()
		alice.send("hello")
		<-w.connection("r", "alice").Done()
		w.took(start, 65*time.Second)
	})
}

// The cause is the pong that did not come, also when a write is under way to the peer that does not read.
func TestAbuse_PongTimeoutDuringWrite(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithHeartbeat(time.Second, 3500*time.Millisecond), wspulse.WithWriteWait(30*time.Second))
		w.dialIdle("r", "alice")
		time.Sleep(4 * time.Second)
		w.expect("alice:connect alice:disconnect(timeout)")
	})
}

func TestPing_IsAnswered(t *testing.T) {
	for name, onMessage := range map[string]func(wspulse.Connection, wspulse.Frame){
		"OnMessage":  func(wspulse.Connection, wspulse.Frame) {},
		"no handler": nil,
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t, wspulse.WithOnMessage(onMessage))
				alice := w.dialIdle("r", "alice")
				alice.WebSocket.SetPongHandler(func(payload string) error {
					alice.got.add("%s", payload)
					return nil
				})
				for i := range 10 { // all of them before the first answer is read
					if err := alice.WebSocket.WriteControl(websocket.PingMessage, fmt.Append(nil, i), time.Time{}); err != nil {
						t.Fatal(err)
					}
				}
				alice.StartReading()
				alice.expect(seq(0, 9))
			})
		})
	}
}

func TestMaxMessageSize(t *testing.T) {
	for _, limit := range []int{512, 1, 70_000} {
		inBubble(t, func(t *testing.T) {
			m := &recorder{}
			w := newWorld(t, wspulse.WithMaxMessageSize(int64(limit)), wspulse.WithMetrics(m), wspulse.WithOnMessage(nil))
			alice := w.dial("r", "alice")
			alice.WebSocket.WriteMessage(websocket.BinaryMessage, make([]byte, limit))
			synctest.Wait()
			if m.received.Load() != int64(limit) {
				t.Errorf("a message of %d bytes did not arrive", limit)
			}
			go alice.WebSocket.WriteMessage(websocket.BinaryMessage, make([]byte, limit+1))
			alice.expectClose(1009, "")
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
		alice.expectClose(1009, "")
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
				w := newWorld(t, wspulse.WithCodec(tc.codec), wspulse.WithOnMessage(func(_ wspulse.Connection, f wspulse.Frame) {
					payloads = append(payloads, f.Payload)
				}))
				alice := w.dial("r", "alice")
				for i := range 20 {
					alice.WebSocket.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, tc.format, fmt.Sprint("message ", i%10)))
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
		alice.expectClose(1011, "")
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
