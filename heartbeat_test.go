package wspulse_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/internal/rawpeer"
	"github.com/wspulse/server/wstest"
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
			w.took(start, time.Duration(answers+1)*10*time.Second+25*time.Second) // from the first ping without an answer
			w.expect("alice:connect alice:disconnect(timeout)")
			if got := m.take(); !strings.Contains(got, "timeout(r,alice)") || strings.Count(got, "timeout") != 1 {
				t.Errorf("hooks %q", got)
			}
		})
	}
}

// Bytes that come in are life, whatever they are. A peer is dead when nothing has come for pongWait after a ping.
func TestHeartbeat_MessagesKeepAPeerAlive(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithHeartbeat(10*time.Second, 25*time.Second), wspulse.WithOnMessage(nil))
		alice := w.dialIdle("r", "alice")
		alice.mute()
		alice.StartReading()
		for range 124 {
			time.Sleep(time.Second)
			alice.send("busy")
		}
		start := time.Now()
		<-w.connection("r", "alice").Done()
		w.took(start, 6*time.Second+25*time.Second)
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
			time.Sleep(40*busy + time.Minute)
			w.expect("alice:connect")
			alice.expect(seq(0, 39))
		})
	}
}

// While OnMessage runs, somebody reads all the same.
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
		w.took(start, 35*time.Second)
		time.Sleep(time.Minute) // the callback returns
	})
}

// The cause is the pong that did not come, also when a write is under way to the peer that does not read.
func TestAbuse_PongTimeoutDuringWrite(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithHeartbeat(time.Second, 3500*time.Millisecond),
			wspulse.WithWriteWait(30*time.Second))
		w.dialIdle("r", "alice")
		time.Sleep(4500*time.Millisecond - time.Nanosecond)
		w.expect("alice:connect")
		time.Sleep(time.Nanosecond)
		w.expect("alice:disconnect(timeout)")
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
					if err := alice.WebSocket.WriteControl(websocket.PingMessage, fmt.Append(nil, i),
						time.Time{}); err != nil {
						t.Fatal(err)
					}
				}
				alice.StartReading()
				alice.expect(seq(0, 9))
			})
		})
	}
}

// A peer that downloads on a slow line answers a ping when it gets to it. What it takes meanwhile is life.
func TestHeartbeat_DownloadIsLife(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithHeartbeat(10*time.Second, 25*time.Second), wspulse.WithWriteWait(20*time.Second))
		alice := w.dialIdle("r", "alice")
		alice.Conn.Downstream(wstest.Faults{Window: 1 << 10, Throttle: wstest.Rate{Bytes: 1 << 10, Every: time.Second}})
		alice.StartReading()
		large := wspulse.Frame{Event: "large", Payload: []byte(`"` + strings.Repeat("x", 300<<10) + `"`)}
		w.must(w.server.Send("alice", large)) // takes five minutes, and a ping stands behind it
		w.send("alice", "behind")
		time.Sleep(310 * time.Second)
		alice.expect("large behind")
		w.expect("alice:connect")
	})
}

// One that takes a message of one frame very long to send is not cut for that, but for WithMessageTimeout.
func TestHeartbeat_UploadIsLife(t *testing.T) {
	for timeout, want := range map[time.Duration]string{0: "",
		2 * time.Minute: "alice:disconnect(error=wspulse: a message took longer than 2m0s (WithMessageTimeout))"} {
		inBubble(t, func(t *testing.T) {
			w := newWorld(t, wspulse.WithHeartbeat(10*time.Second, 25*time.Second), wspulse.WithMessageTimeout(timeout))
			alice := w.dialIdle("r", "alice")
			alice.mute()
			alice.StartReading()
			w.expect("alice:connect")
			message := rawpeer.Masked(rawpeer.Fin|rawpeer.OpText, `{"event":"`+strings.Repeat("x", 50)+`"}`)
			go func() {
				for _, b := range message {
					time.Sleep(3 * time.Second)
					if _, err := alice.Conn.Write([]byte{b}); err != nil {
						return
					}
				}
			}()
			time.Sleep(time.Duration(len(message)) * 3 * time.Second)
			if timeout == 0 {
				want = "alice:message(" + strings.Repeat("x", 50) + ")"
			}
			w.expect(want)
		})
	}
}

// A standstill holds the hub up for a while when a session named "standstill" opens, as a pause of the process does.
type standstill struct {
	wspulse.NoopCollector
	lasts time.Duration
}

func (s standstill) ConnectionOpened(_, id string) {
	if id == "standstill" {
		time.Sleep(s.lasts)
	}
}

func (w *world) standStill() {
	_, _, err := w.upgrade("?room=other&id=standstill", nil)
	w.must(err)
}

// After a standstill a peer is asked once more before it is given up, since its answer may not have been read.
func TestHeartbeat_AsksAgainAfterAStandstill(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithHeartbeat(10*time.Second, 25*time.Second),
			wspulse.WithMetrics(standstill{lasts: time.Minute}))
		alice := w.dialIdle("r", "alice")
		alice.mute()
		alice.StartReading()
		session := w.connection("r", "alice")
		start := time.Now()
		time.Sleep(12 * time.Second) // a ping has been sent
		w.standStill()
		<-session.Done()
		w.took(start, 72*time.Second+25*time.Second)
	})
}

// A window that ends during a standstill lasts a moment longer: its peer may have come back meanwhile.
func TestResume_WindowOutlivesAStandstill(t *testing.T) {
	for _, back := range []bool{false, true} {
		inBubble(t, func(t *testing.T) {
			w := newWorld(t, wspulse.WithResumeWindow(20*time.Second),
				wspulse.WithMetrics(standstill{lasts: time.Minute}))
			alice := w.dial("r", "alice")
			session := w.connection("r", "alice")
			alice.drop()
			start := time.Now()
			time.Sleep(time.Second)
			w.standStill()
			if back {
				time.Sleep(30 * time.Second)
				_, _, err := w.upgrade("?room=r&id=alice", nil) // is let in after the standstill
				w.must(err)
				time.Sleep(time.Minute)
				if w.connection("r", "alice") != session {
					t.Error("the session was not resumed")
				}
				return
			}
			<-session.Done()
			w.took(start, 61*time.Second+5*time.Second)
		})
	}
}
