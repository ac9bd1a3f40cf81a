package wspulse_test

import (
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/zap"

	wspulse "github.com/wspulse/server"
)

func TestOptions_Bounds(t *testing.T) {
	const ms = time.Millisecond
	heartbeat := func(ping, pong time.Duration) func() wspulse.ServerOption {
		return func() wspulse.ServerOption { return wspulse.WithHeartbeat(ping, pong) }
	}
	writeWait := func(d time.Duration) func() wspulse.ServerOption {
		return func() wspulse.ServerOption { return wspulse.WithWriteWait(d) }
	}
	messageSize := func(n int64) func() wspulse.ServerOption {
		return func() wspulse.ServerOption { return wspulse.WithMaxMessageSize(n) }
	}
	bufferSize := func(n int) func() wspulse.ServerOption {
		return func() wspulse.ServerOption { return wspulse.WithSendBufferSize(n) }
	}
	upgrader := func(r, w int) func() wspulse.ServerOption {
		return func() wspulse.ServerOption { return wspulse.WithUpgraderBufferSize(r, w) }
	}
	window := func(d time.Duration) func() wspulse.ServerOption {
		return func() wspulse.ServerOption { return wspulse.WithResumeWindow(d) }
	}
	for _, tc := range []struct {
		name   string
		make   func() wspulse.ServerOption
		panics string // what the text has to name; empty if it is in bounds
	}{
		{"WithHeartbeat", heartbeat(1, 2), ""},
		{"WithHeartbeat", heartbeat(5*time.Minute, 10*time.Minute), ""},
		{"WithHeartbeat", heartbeat(0, time.Minute), "pingPeriod 0s (0, 5m0s]"},
		{"WithHeartbeat", heartbeat(-1, time.Minute), "pingPeriod -1ns (0, 5m0s]"},
		{"WithHeartbeat", heartbeat(5*time.Minute+1, 10*time.Minute), "pingPeriod (0, 5m0s]"},
		{"WithHeartbeat", heartbeat(ms, ms), "pongWait 1ms 10m0s]"},
		{"WithHeartbeat", heartbeat(ms, ms-1), "pongWait 999.999µs 10m0s]"},
		{"WithHeartbeat", heartbeat(ms, 10*time.Minute+1), "pongWait 10m0.000000001s 10m0s]"},
		{"WithWriteWait", writeWait(1), ""},
		{"WithWriteWait", writeWait(30 * time.Second), ""},
		{"WithWriteWait", writeWait(0), "0s (0, 30s]"},
		{"WithWriteWait", writeWait(-1), "-1ns (0, 30s]"},
		{"WithWriteWait", writeWait(30*time.Second + 1), "30.000000001s (0, 30s]"},
		{"WithMaxMessageSize", messageSize(1), ""},
		{"WithMaxMessageSize", messageSize(64 << 20), ""},
		{"WithMaxMessageSize", messageSize(0), "0 [1, 67108864]"},
		{"WithMaxMessageSize", messageSize(-1), "-1 [1, 67108864]"},
		{"WithMaxMessageSize", messageSize(64<<20 + 1), "67108865 [1, 67108864]"},
		{"WithSendBufferSize", bufferSize(1), ""},
		{"WithSendBufferSize", bufferSize(4096), ""},
		{"WithSendBufferSize", bufferSize(0), "0 [1, 4096]"},
		{"WithSendBufferSize", bufferSize(-1), "-1 [1, 4096]"},
		{"WithSendBufferSize", bufferSize(4097), "4097 [1, 4096]"},
		{"WithUpgraderBufferSize", upgrader(1, 1), ""},
		{"WithUpgraderBufferSize", upgrader(0, 1), "readSize 0 positive"},
		{"WithUpgraderBufferSize", upgrader(-1, 1), "readSize -1 positive"},
		{"WithUpgraderBufferSize", upgrader(1, 0), "writeSize 0 positive"},
		{"WithUpgraderBufferSize", upgrader(1, -1), "writeSize -1 positive"},
		{"WithResumeWindow", window(0), ""},
		{"WithResumeWindow", window(math.MaxInt64), ""},
		{"WithResumeWindow", window(-1), "-1ns negative"},
		{"WithCodec", func() wspulse.ServerOption { return wspulse.WithCodec(nil) }, "nil"},
		{"WithLogger", func() wspulse.ServerOption { return wspulse.WithLogger(nil) }, "nil"},
		{"WithSlog", func() wspulse.ServerOption { return wspulse.WithSlog(nil) }, "nil"},
		{"WithMetrics", func() wspulse.ServerOption { return wspulse.WithMetrics(nil) }, "nil"},
		{"WithCheckOrigin", func() wspulse.ServerOption { return wspulse.WithCheckOrigin(nil) }, "nil"},
		{"WithCodec", func() wspulse.ServerOption { return wspulse.WithCodec(wspulse.JSONCodec) }, ""},
		{"WithLogger", func() wspulse.ServerOption { return wspulse.WithLogger(zap.NewNop()) }, ""},
		{"WithMetrics", func() wspulse.ServerOption { return wspulse.WithMetrics(wspulse.NoopCollector{}) }, ""},
		{"WithCheckOrigin", func() wspulse.ServerOption {
			return wspulse.WithCheckOrigin(func(*http.Request) bool { return true })
		}, ""},
	} {
		text := panicText(tc.make)
		if tc.panics == "" && text != "" {
			t.Errorf("in bounds: %s", text)
		}
		if tc.panics != "" && !strings.HasPrefix(text, "wspulse: "+tc.name+": ") {
			t.Errorf("%s out of bounds: panic %q", tc.name, text)
		}
		for _, word := range strings.Fields(tc.panics) {
			if !strings.Contains(text, word) {
				t.Errorf("panic %q does not name %q", text, word)
			}
		}
	}
}

// panicText returns what the option panics with when it is made, or "".
func panicText(option func() wspulse.ServerOption) (text string) {
	defer func() {
		if v := recover(); v != nil {
			text = fmt.Sprint(v)
		}
	}()
	option()
	return ""
}

func TestOptions_NilCallbacksMeanNone(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithOnConnect(nil), wspulse.WithOnMessage(nil), wspulse.WithOnDisconnect(nil),
			wspulse.WithOnTransportDrop(nil), wspulse.WithOnTransportRestore(nil), wspulse.WithResumeWindow(time.Minute))
		alice := w.dial("r", "alice")
		alice.send("hello")
		alice.drop()
		alice = w.dial("r", "alice")
		w.send("alice", "hello")
		alice.expect("hello")
		session := w.connection("r", "alice")
		alice.drop()
		time.Sleep(time.Minute)
		<-session.Done()
		w.expect("")
	})
}

func TestDefaults_Heartbeat(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		alice := w.dialIdle("r", "alice")
		start := time.Now()
		alice.WebSocket.SetPingHandler(func(string) error {
			alice.got.add("%v", time.Since(start))
			return nil
		})
		alice.StartReading()
		time.Sleep(25 * time.Second)
		alice.expect("10s 20s")
		<-w.connection("r", "alice").Done()
		w.took(start, 40*time.Second)
	})
}

func TestDefaults_WriteWait(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.dialStalled("r", "alice")
		start := time.Now()
		<-w.connection("r", "alice").Done()
		w.took(start, 10*time.Second)
		w.expect("alice:connect alice:disconnect(timeout)")
	})
}

func TestDefaults_MaxMessageSize(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		alice := w.dial("r", "alice")
		const envelope = `{"event":""}`
		alice.send(strings.Repeat("x", 512-len(envelope)))
		w.expect("alice:connect alice:message(" + strings.Repeat("x", 512-len(envelope)) + ")")
		alice.send(strings.Repeat("x", 513-len(envelope)))
		alice.expectClose(1009, "message larger than 512 bytes (WithMaxMessageSize)")
	})
}

func TestDefaults_SendBufferSize(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.dialStalled("r", "alice")
		for range 256 {
			w.send("alice", "x")
		}
		if err := w.server.Send("alice", ev("x")); err != wspulse.ErrSendBufferFull {
			t.Errorf("frame 257: %v", err)
		}
	})
}

func TestDefaults_Codec(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		alice := w.dialIdle("r", "alice")
		w.must(w.server.Send("alice", wspulse.Frame{ID: "1", Event: "e", Payload: []byte(`[ 1 ]`)}))
		kind, data, _ := alice.WebSocket.ReadMessage()
		if kind != websocket.TextMessage || string(data) != `{"id":"1","event":"e","payload":[ 1 ]}` {
			t.Errorf("the peer read %s", data)
		}
	})
}

func TestWithSendBufferSize_SmallestAndLargest(t *testing.T) {
	for _, size := range []int{1, 4096} {
		inBubble(t, func(t *testing.T) {
			w := newWorld(t, wspulse.WithSendBufferSize(size))
			alice := w.dialStalled("r", "alice")
			for i := range size {
				w.send("alice", fmt.Sprint(i))
			}
			if err := w.server.Send("alice", ev("x")); err != wspulse.ErrSendBufferFull {
				t.Errorf("frame %d: %v", size+1, err)
			}
			alice.StartReading()
			alice.expect("plug " + seq(0, size-1))
		})
	}
}

// Buffers limit no message.
func TestWithUpgraderBufferSize_DoesNotLimitMessages(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithUpgraderBufferSize(1, 1), wspulse.WithMaxMessageSize(1<<20))
		alice := w.dial("r", "alice")
		for _, size := range []int{1, 1000, 20_000, 100_000} {
			event := strings.Repeat("x", size)
			alice.send(event)
			w.send("alice", event)
			w.broadcast("r", "a", event, "b")
			alice.expect(event + " a " + event + " b")
		}
		synctest.Wait()
		if n := w.events.count("alice:message"); n != 4 {
			t.Errorf("%d messages", n)
		}
	})
}

func TestLimitOptions_Bounds(t *testing.T) {
	type option = wspulse.ServerOption
	key := func(*http.Request) string { return "" }
	for text, make := range map[string]func() option{
		"WithMaxConnections: -1 is negative":                 func() option { return wspulse.WithMaxConnections(-1) },
		"WithConnectionLimit: key must not be nil":           func() option { return wspulse.WithConnectionLimit(nil, 1) },
		"WithConnectionLimit: 0 is not positive":             func() option { return wspulse.WithConnectionLimit(key, 0) },
		"WithMessageRate: perSecond 0 is not positive":       func() option { return wspulse.WithMessageRate(0, 1) },
		"WithMessageRate: perSecond NaN is not positive":     func() option { return wspulse.WithMessageRate(math.NaN(), 1) },
		"WithMessageRate: perSecond +Inf is not positive":    func() option { return wspulse.WithMessageRate(math.Inf(1), 1) },
		"WithMessageRate: burst 0 is less than 1":            func() option { return wspulse.WithMessageRate(1, 0) },
		"WithMessageTimeout: -1ns is not in [0, 1h0m0s]":     func() option { return wspulse.WithMessageTimeout(-1) },
		"WithHandshakeTimeout: 1h0m0.000000001s is not in [": func() option { return wspulse.WithHandshakeTimeout(time.Hour + 1) },
		"WithMalformedLimit: -1 is negative":                 func() option { return wspulse.WithMalformedLimit(-1) },
		"WithSendBufferBytes: -1 is negative":                func() option { return wspulse.WithSendBufferBytes(-1) },
		"WithMemoryBudget: -1 is negative":                   func() option { return wspulse.WithMemoryBudget(-1) },
		"WithAckWindow: frames 0 is not in [1, 65536]":       func() option { return wspulse.WithAckWindow(0, 1) },
		"WithAckWindow: bytes 0 is not in [1, 1073741824]":   func() option { return wspulse.WithAckWindow(1, 0) },
		"WithAckTimeout: 1ms is neither 0 nor in [1s, 1h":    func() option { return wspulse.WithAckTimeout(time.Millisecond) },
		"WithDuplicatePolicy: 3 is none of Replace, Resume":  func() option { return wspulse.WithDuplicatePolicy(3) },
		"WithCompression: level 0 is not in [1, 9]":          func() option { return wspulse.WithCompression(0, 0) },
		"WithCompression: level 10 is not in [1, 9]":         func() option { return wspulse.WithCompression(10, 0) },
		"WithCompression: threshold -1 is negative":          func() option { return wspulse.WithCompression(1, -1) },
	} {
		func() {
			defer func() {
				if got := fmt.Sprint(recover()); !strings.HasPrefix(got, "wspulse: "+text) {
					t.Errorf("panic %q, want %q", got, text)
				}
			}()
			make()
		}()
	}
}
