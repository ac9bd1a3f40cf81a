package wspulse_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

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
		w.expect("alice:connect alice:message(1) alice:message(2) alice:message(3)" +
			strings.Repeat(" alice:message(paced)", 20))
		time.Sleep(time.Hour + time.Second) // not when a ping is due, whose pong nobody would read
		alice.send("1", "2")
		w.must(alice.WebSocket.WriteControl(websocket.PingMessage, nil, time.Time{})) // counts too
		alice.send("too much")
		alice.expectClose(1008, "more than 2 messages a second, after a burst of 3 (WithMessageRate)")
		w.expect("alice:message(1) alice:message(2)")
		m.expect(t, "message_rate(alice) disconnect")
	})
}

func TestMessageRate_CloseIsFree(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithMessageRate(2, 3))
		alice := w.dial("r", "alice")
		alice.send("1", "2", "3")
		alice.close(websocket.CloseNormalClosure)
		w.expect("alice:connect alice:message(1) alice:message(2) alice:message(3) alice:disconnect(nil)")
	})
}

// What comes in while a callback runs waits for it, pongs included, and is then read at once.
func TestMessageRate_WaitingForACallbackIsNoBurst(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &limitRecorder{}
		heard := 0
		w := newWorld(t, wspulse.WithMessageRate(1, 5), wspulse.WithMetrics(m),
			wspulse.WithOnConnect(func(wspulse.Connection) { time.Sleep(30 * time.Second) }),
			wspulse.WithOnMessage(func(wspulse.Connection, wspulse.Frame) {
				if heard++; heard == 30 {
					time.Sleep(2*time.Minute + time.Millisecond) // this network can't say at a ping what is unread
				}
			}))
		alice := w.web.Dial("/?room=r&id=alice")
		for range 300 {
			alice.Send(ev("x"))
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if heard != 300 {
			t.Errorf("%d messages heard", heard)
		}
		m.expect(t, "")
	})
}

// What waited for a callback is free, but the time in callbacks does not count twice.
func TestMessageRate_CallbacksDoNotRaiseIt(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithMessageRate(10, 5), sleepInOnMessage)
		alice := w.dial("r", "alice")
		sent, start := 0, time.Now()
		for ; sent < 1000; sent++ {
			select {
			case <-alice.Done():
			default:
				alice.WebSocket.WriteMessage(1, []byte(`{"event":"50ms"}`))
				time.Sleep(51 * time.Millisecond)
				continue
			}
			break
		}
		if most := 10*time.Since(start).Seconds() + 6; float64(sent) > most {
			t.Errorf("%d messages in %v, want %.0f at most", sent, time.Since(start), most)
		}
	})
}

// Nor is it saved up for a time when nothing waits.
func TestMessageRate_CallbacksRaiseNoLaterBurst(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithMessageRate(10, 5), sleepInOnMessage)
		alice := w.dial("r", "alice")
		alice.send("10s")
		time.Sleep(time.Hour + time.Second)
		alice.send("", "", "", "", "")
		synctest.Wait()
		alice.WebSocket.WriteMessage(1, []byte("{}"))
		alice.expectClose(1008, "more than 10 messages a second, after a burst of 5 (WithMessageRate)")
	})
}

// sleepInOnMessage sleeps for as long as the event says.
var sleepInOnMessage = wspulse.WithOnMessage(func(_ wspulse.Connection, f wspulse.Frame) {
	took, _ := time.ParseDuration(f.Event)
	time.Sleep(took)
})

// writeRaw writes to the socket, past gorilla, which leaves a deadline behind when it answers a ping.
func (p *peer) writeRaw(data string) {
	p.Conn.SetWriteDeadline(time.Time{})
	io.WriteString(p.Conn, data)
}

// A peer that sends a fragment now and then and answers pings holds its message no longer than the limit.
func TestMessageTimeout(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &limitRecorder{}
		w := newWorld(t, wspulse.WithMessageTimeout(time.Minute), wspulse.WithHeartbeat(9*time.Second, 25*time.Second),
			wspulse.WithMetrics(m))
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
		alice.expectClose(1008, "a message took longer than 1m0s (WithMessageTimeout)")
		w.took(start, time.Minute)
		m.expect(t, "message_timeout(alice)")
	})
}

// A message that is there in time leaves the heartbeat's deadline as it was.
func TestMessageTimeout_SlowMessageInTime(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithMessageTimeout(5*time.Second),
			wspulse.WithHeartbeat(10*time.Second, 25*time.Second))
		alice := w.dial("r", "alice")
		for range 20 {
			for _, piece := range []string{"\x01\x82\x00\x00\x00\x00{\"", "\x00\x88\x00\x00\x00\x00event\":\"",
				"\x80\x83\x00\x00\x00\x00e\"}"} {
				alice.writeRaw(piece)
				time.Sleep(time.Second)
			}
			time.Sleep(10 * time.Second)
		}
		w.expect("alice:connect" + strings.Repeat(" alice:message(e)", 20))
	})
}

// A pong that comes in two pieces is no message that takes its time.
func TestMessageTimeout_IsNotForControlFrames(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		alice := w.dial("r", "alice")
		alice.writeRaw("\x8a\x80\x00")
		time.Sleep(time.Millisecond)
		alice.writeRaw("\x00\x00\x00")
		time.Sleep(time.Hour)
		w.expect("alice:connect")
	})
}

// A codec's refusals count until a message is in order, and the peer is gone after so many.
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
		const reason = "3 malformed messages within a minute (WithMalformedLimit)"
		alice.expectClose(1007, reason)
		w.expect("alice:connect alice:message(good) alice:message(good) " +
			"alice:disconnect(error=wspulse: " + reason + ")")
		m.expect(t, "malformed(alice)")
	})
}

// A peer may send malformed messages for ever, such as keep-alives that are no frames, if it does so slowly.
func TestMalformedLimit_IsARate(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t) // the limit is 1,000
		alice := w.dial("r", "alice")
		every := func(peer *peer, period, during time.Duration) {
			for start := time.Now(); time.Since(start) < during; time.Sleep(period) {
				peer.WebSocket.WriteMessage(websocket.TextMessage, []byte("ping"))
			}
		}
		every(alice, 25*time.Second, 24*time.Hour)
		every(alice, 70*time.Millisecond, 10*time.Minute) // 857 a minute
		w.expect("alice:connect")
		every(alice, 30*time.Millisecond, time.Minute) // 2,000
		w.expect("alice:disconnect(error=wspulse: 1000 malformed messages within a minute (WithMalformedLimit))")
		bob := w.dial("r", "bob")
		every(bob, 55*time.Millisecond, 9*time.Minute) // 1,091 a minute, and so 91 too many
		w.expect("bob:connect")
		every(bob, 55*time.Millisecond, 3*time.Minute)
		w.expect("bob:disconnect(error=wspulse: 1000 malformed messages within a minute (WithMalformedLimit))")
	})
}
