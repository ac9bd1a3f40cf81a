package wspulse_test

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	wspulse "github.com/wspulse/server"
)

// A limitRecorder writes down the limits that were reached, and who lost frames.
type limitRecorder struct {
	wspulse.NoopCollector
	journal
}

func (m *limitRecorder) LimitReached(limit wspulse.Limit, _, id string) { m.add("%s(%s)", limit, id) }
func (m *limitRecorder) FrameDropped(_, id string)                      { m.add("dropped(%s)", id) }

// MessageBroadcast keeps the hub for a second after a broadcast to the room "busy".
func (m *limitRecorder) MessageBroadcast(room string, _, _ int) {
	if room == "busy" {
		time.Sleep(time.Second)
	}
}

func (m *limitRecorder) expect(t *testing.T, want string) {
	t.Helper()
	synctest.Wait()
	if got := m.take(); got != want {
		t.Errorf("limits: got %q, want %q", got, want)
	}
}

// refused connects a peer that must be refused with that status, and told when to come again.
func (w *world) refused(query string, status int) {
	w.t.Helper()
	p, response, err := w.upgrade(query, nil)
	switch {
	case err == nil:
		p.Drop()
		w.t.Errorf("%s: accepted, want %d", query, status)
	case response == nil:
		w.t.Errorf("%s: %v", query, err)
	case response.StatusCode != status || response.Header.Get("Retry-After") == "":
		w.t.Errorf("%s: %s, Retry-After %q, want %d", query, response.Status, response.Header.Get("Retry-After"), status)
	}
}

// Sessions count, connected or not; a session that resumes or is replaced counts once.
func TestMaxConnections(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &limitRecorder{}
		w := newWorld(t, wspulse.WithMaxConnections(2), wspulse.WithResumeWindow(time.Minute), wspulse.WithMetrics(m))
		w.dial("r", "alice").drop()
		w.dial("r", "bob")
		w.refused("?room=r&id=carol", 503)
		m.expect(t, "max_connections()")
		w.dial("r", "alice")
		w.dial("r", "bob")
		w.refused("?room=r&id=carol", 503)
		w.must(w.server.Kick("bob"))
		w.dial("r", "carol").drop()
		w.refused("?room=r&id=bob", 503)
		time.Sleep(time.Minute)
		synctest.Wait()
		w.dial("r", "bob")
	})
}

// A request that fails leaves its seat to the next one.
func TestMaxConnections_FailedUpgradesDoNotCount(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithMaxConnections(1))
		for range 3 {
			for request, status := range map[string]int{"/?refuse": 401, "/?room=r&id=alice": 400} {
				response := httptest.NewRecorder()
				w.server.ServeHTTP(response, httptest.NewRequest("GET", request, nil))
				if response.Code != status {
					t.Errorf("%s: status %d", request, response.Code)
				}
			}
		}
		w.dial("r", "alice")
		w.refused("?room=r&id=bob", 503)
	})
}

func TestConnectionLimit(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &limitRecorder{}
		user := func(r *http.Request) string {
			if r.URL.Query().Get("user") == "bad" {
				panic("no user")
			}
			return r.URL.Query().Get("user")
		}
		w := newWorld(t, wspulse.WithConnectionLimit(user, 2), wspulse.WithMetrics(m))
		w.dial("r", "a1&user=a")
		w.dial("r", "a2&user=a")
		w.refused("?room=r&id=a3&user=a", 429)
		m.expect(t, "connection_limit()")
		w.dial("r", "b1&user=b")
		for i := range 3 {
			w.dial("r", fmt.Sprintf("n%d", i)) // no key, no limit
		}
		if _, response, err := w.upgrade("?room=r&id=x&user=bad", nil); err == nil || response.StatusCode != 500 {
			t.Errorf("key panics: %v", err)
		}
		w.must(w.server.Kick("a1"))
		w.dial("r", "a3&user=a")
		w.refused("?room=r&id=a4&user=a", 429)
	})
}

func TestMessageRate(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &limitRecorder{}
		w := newWorld(t, wspulse.WithMessageRate(2, 3), wspulse.WithMetrics(m),
			wspulse.WithOnDisconnect(func(_ wspulse.Connection, err error) {
				var limit *wspulse.LimitError
				if !errors.As(err, &limit) || limit.Limit != wspulse.LimitMessageRate || limit.Code != 1008 {
					t.Errorf("OnDisconnect got %v", err)
				}
				m.add("disconnect")
			}))
		alice := w.dial("r", "alice")
		alice.send("1", "2", "3") // the burst
		for range 20 {
			time.Sleep(500 * time.Millisecond)
			alice.send("paced")
		}
		w.expect("alice:connect alice:message(1) alice:message(2) alice:message(3)" + strings.Repeat(" alice:message(paced)", 20))
		time.Sleep(time.Hour + time.Second) // not when a ping is due, whose pong nobody would read
		alice.send("1", "2")
		w.must(alice.WebSocket.WriteControl(websocket.PingMessage, nil, time.Time{})) // counts too
		alice.send("too much")
		alice.expectClose(1008, "more than 2 messages a second, after a burst of 3")
		w.expect("alice:message(1) alice:message(2)")
		m.expect(t, "message_rate(alice) disconnect")
	})
}

// A peer that sends a fragment now and then and answers pings holds its message no longer than the limit.
func TestMessageTimeout(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &limitRecorder{}
		w := newWorld(t, wspulse.WithMessageTimeout(time.Minute), wspulse.WithHeartbeat(9*time.Second, 25*time.Second), wspulse.WithMetrics(m))
		alice := w.dial("r", "alice")
		time.Sleep(time.Hour) // time without a message is free
		start := time.Now()
		fragments := time.NewTicker(7 * time.Second)
		defer fragments.Stop()
		for opcode := byte(websocket.TextMessage); ; opcode = 0 {
			alice.writeRaw(string([]byte{opcode, 0x81, 0, 0, 0, 0, 'x'}))
			select {
			case <-fragments.C:
				continue
			case <-alice.Done():
			}
			break
		}
		alice.expectClose(1008, "a message took longer than 1m0s")
		w.took(start, time.Minute)
		m.expect(t, "message_timeout(alice)")
	})
}

// writeRaw writes to the socket, past gorilla, which leaves a deadline behind when it answers a ping.
func (p *peer) writeRaw(data string) {
	p.Conn.SetWriteDeadline(time.Time{})
	io.WriteString(p.Conn, data)
}

// A message that is there in time leaves the heartbeat's deadline as it was.
func TestMessageTimeout_SlowMessageInTime(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithMessageTimeout(5*time.Second), wspulse.WithHeartbeat(10*time.Second, 25*time.Second))
		alice := w.dial("r", "alice")
		for range 20 {
			for _, piece := range []string{"\x01\x82\x00\x00\x00\x00{\"", "\x00\x88\x00\x00\x00\x00event\":\"", "\x80\x83\x00\x00\x00\x00e\"}"} {
				alice.writeRaw(piece)
				time.Sleep(time.Second)
			}
			time.Sleep(10 * time.Second)
		}
		w.expect("alice:connect" + strings.Repeat(" alice:message(e)", 20))
	})
}

func TestHandshakeTimeout(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &limitRecorder{}
		w := newWorld(t, wspulse.WithHandshakeTimeout(time.Second), wspulse.WithMetrics(m))
		start := time.Now()
		w.refused("?slow", 503)
		w.took(start, time.Second)
		m.expect(t, "handshake_timeout()")
		w.dial("r", "alice")
		time.Sleep(time.Minute)
		w.expect("alice:connect")
	})
}

// A codec's refusals count in a row, and the peer is gone after so many.
func TestMalformedLimit(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &limitRecorder{}
		w := newWorld(t, wspulse.WithMalformedLimit(3), wspulse.WithMetrics(m))
		alice := w.dial("r", "alice")
		malformed := func(n int) {
			for range n {
				alice.WebSocket.WriteMessage(websocket.TextMessage, []byte("malformed"))
			}
		}
		malformed(2)
		alice.send("good")
		malformed(2)
		alice.send("good")
		malformed(3)
		alice.expectClose(1007, "3 malformed messages in a row")
		w.expect("alice:connect alice:message(good) alice:message(good) alice:disconnect(error=wspulse: 3 malformed messages in a row)")
		m.expect(t, "malformed(alice)")
	})
}

// Each of these frames takes 2 bytes of header and 12 of JSON, and one for its event.
const eventFrame = 2 + len(`{"event":"1"}`)

// The collector hears of the limit once for a Send, and once for what is fanned out together; each frame that is lost is
// counted by itself.
func TestSendBufferBytes(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &limitRecorder{}
		w := newWorld(t, wspulse.WithSendBufferBytes(3*eventFrame), wspulse.WithMetrics(m))
		alice := w.dialStalled("r", "alice")
		w.dial("busy", "bob")
		w.send("alice", "1", "2", "3")
		if err := w.server.Send("alice", ev("4")); !errors.Is(err, wspulse.ErrSendBufferFull) {
			t.Errorf("Send over the bound: %v", err)
		}
		m.expect(t, "send_buffer_bytes(alice) dropped(alice)")
		w.broadcast("busy", "hold on")
		synctest.Wait()
		w.broadcast("r", "5", "6") // are both in the queue when the hub goes on
		time.Sleep(time.Second)
		m.expect(t, "send_buffer_bytes(alice) dropped(alice) dropped(alice)")
		w.broadcast("r", strings.Repeat("x", 100)) // larger than all the room there is
		m.expect(t, "send_buffer_bytes(alice) dropped(alice)")
		alice.StartReading()
		alice.expect("plug 3 5 6")
	})
}

func TestSendBufferBytes_BroadcastsOneByOne(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &limitRecorder{}
		w := newWorld(t, wspulse.WithSendBufferBytes(3*eventFrame), wspulse.WithMetrics(m))
		alice := w.dialStalled("r", "alice")
		w.send("alice", "1", "2", "3")
		for _, event := range []string{"4", "5"} {
			w.broadcast("r", event)
			m.expect(t, "send_buffer_bytes(alice) dropped(alice)")
		}
		alice.StartReading()
		alice.expect("plug 3 4 5")
	})
}

// Over the budget the largest queue pays, and nobody else.
func TestMemoryBudget(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &limitRecorder{}
		w := newWorld(t, wspulse.WithMemoryBudget(int64(16*eventFrame)), wspulse.WithMetrics(m))
		alice, bob := w.dialStalled("r", "alice"), w.dialStalled("r", "bob")
		for i := range 4 {
			w.send("bob", fmt.Sprint(i))
		}
		for i := range 13 { // the last of them is one too many
			w.send("alice", string(rune('a'+i)))
		}
		m.expect(t, "dropped(alice) dropped(alice) dropped(alice) memory_budget()")
		alice.StartReading()
		bob.StartReading()
		alice.expect("plug d e f g h i j k l m")
		bob.expect("plug 0 1 2 3")
		w.send("alice", "1")
		m.expect(t, "")
	})
}

// Two queues of one size pay alike, suspended or not, and what is delivered or lost is free again.
func TestMemoryBudget_SharedByTheLargest(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &limitRecorder{}
		w := newWorld(t, wspulse.WithMemoryBudget(int64(8*eventFrame)), wspulse.WithResumeWindow(time.Minute), wspulse.WithMetrics(m))
		w.dial("r", "alice").drop()
		bob := w.dialStalled("r", "bob")
		for i := range 5 {
			w.broadcast("r", fmt.Sprint(i))
		}
		synctest.Wait()
		if got := m.count("dropped(alice)"); got != m.count("dropped(bob)") || got < 1 || got > 2 {
			t.Errorf("limits: %q", m.take())
		}
		m.take()
		bob.StartReading()
		synctest.Wait()
		w.must(w.server.Kick("alice"))
		synctest.Wait()
		m.take()
		carol := w.dialStalled("r", "carol")
		for i := range 8 {
			w.send("carol", fmt.Sprint(i))
		}
		m.expect(t, "")
		w.send("carol", "8")
		m.expect(t, "dropped(carol) dropped(carol) memory_budget()")
		carol.StartReading()
		carol.expect("plug 2 3 4 5 6 7 8")
	})
}

func TestLimits_AreLogged(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, logs := newLoggedWorld(t, zap.WarnLevel, wspulse.WithMaxConnections(1))
		w.dial("r", "alice")
		for range 100 {
			w.refused("?room=r&id=bob", 503)
		}
		if got := logs.All(); len(got) != 1 || got[0].Message != "wspulse: limit reached: max_connections" {
			t.Errorf("logged %v", got)
		}
	})
}

func TestLog_WarnOfAcceptingEveryOrigin(t *testing.T) {
	for _, tc := range []struct {
		options []wspulse.ServerOption
		lines   int
	}{
		{nil, 1},
		{[]wspulse.ServerOption{wspulse.WithCheckOrigin(wspulse.SameOrigin)}, 0},
		{[]wspulse.ServerOption{wspulse.WithCheckOrigin(wspulse.AllowOrigins("https://example.com"))}, 0},
	} {
		core, logs := observer.New(zap.WarnLevel)
		wspulse.NewServer(fromQuery, append(tc.options, wspulse.WithLogger(zap.New(core)))...).Close()
		if got := logs.All(); len(got) != tc.lines || tc.lines == 1 && !strings.Contains(got[0].Message, "WithCheckOrigin") {
			t.Errorf("logged %v", got)
		}
	}
}

func TestLimitOptions_Bounds(t *testing.T) {
	key := func(*http.Request) string { return "" }
	for text, make := range map[string]func() wspulse.ServerOption{
		"WithMaxConnections: -1 is negative":                 func() wspulse.ServerOption { return wspulse.WithMaxConnections(-1) },
		"WithConnectionLimit: key must not be nil":           func() wspulse.ServerOption { return wspulse.WithConnectionLimit(nil, 1) },
		"WithConnectionLimit: 0 is not positive":             func() wspulse.ServerOption { return wspulse.WithConnectionLimit(key, 0) },
		"WithMessageRate: perSecond 0 is not positive":       func() wspulse.ServerOption { return wspulse.WithMessageRate(0, 1) },
		"WithMessageRate: perSecond NaN is not positive":     func() wspulse.ServerOption { return wspulse.WithMessageRate(math.NaN(), 1) },
		"WithMessageRate: perSecond +Inf is not positive":    func() wspulse.ServerOption { return wspulse.WithMessageRate(math.Inf(1), 1) },
		"WithMessageRate: burst 0 is less than 1":            func() wspulse.ServerOption { return wspulse.WithMessageRate(1, 0) },
		"WithMessageTimeout: -1ns is not in [0, 1h0m0s]":     func() wspulse.ServerOption { return wspulse.WithMessageTimeout(-1) },
		"WithHandshakeTimeout: 1h0m0.000000001s is not in [": func() wspulse.ServerOption { return wspulse.WithHandshakeTimeout(time.Hour + 1) },
		"WithMalformedLimit: -1 is negative":                 func() wspulse.ServerOption { return wspulse.WithMalformedLimit(-1) },
		"WithSendBufferBytes: -1 is negative":                func() wspulse.ServerOption { return wspulse.WithSendBufferBytes(-1) },
		"WithMemoryBudget: -1 is negative":                   func() wspulse.ServerOption { return wspulse.WithMemoryBudget(-1) },
		"WithCompression: level 0 is not in [1, 9]":          func() wspulse.ServerOption { return wspulse.WithCompression(0, 0) },
		"WithCompression: level 10 is not in [1, 9]":         func() wspulse.ServerOption { return wspulse.WithCompression(10, 0) },
		"WithCompression: threshold -1 is negative":          func() wspulse.ServerOption { return wspulse.WithCompression(1, -1) },
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
