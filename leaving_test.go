package wspulse_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/wstest"
)

// The ways for a client to leave, and the error that tells of each.
var leaves = map[string]struct {
	do  func(p *peer)
	err string
}{
	"close frame": {func(p *peer) { p.close(1001) }, "nil"}, // and waits for the answer
	"FIN":         {func(p *peer) { p.Drop() }, "1006"},
	"reset":       {func(p *peer) { p.Conn.Reset() }, "reset"},
}

// A client that has left while a callback of its runs is not connected. The drop waits for the callback.
func TestLeaving_WhileACallbackRuns(t *testing.T) {
	for name, leave := range leaves {
		for _, backlog := range []int{0, 5} {
			t.Run(fmt.Sprintf("%s behind %d messages", name, backlog), func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					release := make(chan struct{})
					var w *world
					block := func(_ wspulse.Connection, f wspulse.Frame) {
						<-release
						w.events.add("(%s)", f.Event)
					}
					w = newWorld(t, wspulse.WithResumeWindow(time.Minute), wspulse.WithOnMessage(block))
					alice := w.dial("r", "alice")
					session := w.connection("r", "alice")
					said := ""
					for i := range 1 + backlog {
						alice.send(fmt.Sprint(i))
						said += fmt.Sprintf("(%d) ", i)
					}
					leave.do(alice)
					time.Sleep(time.Second)
					w.send("alice", "1", "2")
					again := w.dial("r", "alice")
					again.expect("1 2")
					if w.connection("r", "alice") != session {
						t.Error("the session was not resumed")
					}
					w.expect("alice:connect")
					close(release)
					w.expect(said + "alice:drop(" + leave.err + ") alice:restore")
				})
			})
		}
	}
}

// Without a window its session ends, and its last callback is still the last.
func TestLeaving_WithoutAWindow(t *testing.T) {
	for name, leave := range leaves {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				release := make(chan struct{})
				w := newWorld(t, wspulse.WithOnMessage(func(wspulse.Connection, wspulse.Frame) { <-release }))
				alice := w.dial("r", "alice")
				session := w.connection("r", "alice")
				alice.send("work")
				leave.do(alice)
				time.Sleep(100 * time.Millisecond)
				select {
				case <-session.Done():
				default:
					t.Error("the session lives")
				}
				if n := len(w.server.GetConnections("r")); n != 0 {
					t.Errorf("%d members", n)
				}
				w.expect("alice:connect")
				close(release)
				w.expect("alice:disconnect(" + leave.err + ")")
			})
		})
	}
}

// A client that closes and is back at once is resumed, though nobody may have read its close frame yet: not even what
// came before that, if it is more than may wait for a callback.
func TestLeaving_AndBackAtOnce(t *testing.T) {
	for _, messages := range []int{1, 100} {
		inBubble(t, func(t *testing.T) {
			busy := true
			w := newWorld(t, wspulse.WithResumeWindow(time.Minute),
				wspulse.WithOnMessage(func(wspulse.Connection, wspulse.Frame) {
					if busy {
						busy = false
						time.Sleep(5 * time.Second)
					}
				}))
			alice, _, err := w.upgrade("?room=r&id=alice", nil, wstest.WithUpstream(wstest.Faults{}))
			w.must(err)
			synctest.Wait()
			session := w.connection("r", "alice")
			for range messages {
				alice.send("work")
			}
			alice.close(1001)
			synctest.Wait()
			again := w.dial("r", "alice") // no time has passed
			time.Sleep(10 * time.Millisecond)
			w.send("alice", "hello")
			again.expect("hello")
			if w.connection("r", "alice") != session {
				t.Errorf("%d messages: the session was not resumed", messages)
			}
			time.Sleep(5 * time.Second)
			w.expect("alice:connect alice:drop(nil) alice:restore")
		})
	}
}

// A client that is there is replaced, whether or not its callback runs; within a moment if it does.
func TestLeaving_WhoIsThereIsReplaced(t *testing.T) {
	for _, busy := range []bool{false, true} {
		inBubble(t, func(t *testing.T) {
			release := make(chan struct{})
			w := newWorld(t, wspulse.WithResumeWindow(time.Minute),
				wspulse.WithOnMessage(func(wspulse.Connection, wspulse.Frame) { <-release }))
			alice := w.dial("r", "alice")
			session := w.connection("r", "alice")
			if busy {
				alice.send("work")
				synctest.Wait() // until the callback runs
			}
			start := time.Now()
			again := w.dial("r", "alice")
			alice.expectClose(1000, "duplicate connection id")
			if took := time.Since(start); !busy && took > 0 || took > 10*time.Millisecond {
				t.Errorf("busy: %t; replaced after %v", busy, took)
			}
			synctest.Wait()
			if w.connection("r", "alice") == session {
				t.Error("resumed")
			}
			close(release)
			w.send("alice", "hello")
			again.expect("hello")
		})
	}
}

// Two that come back while the old link is about to depart: the later one wins.
func TestLeaving_TwoComeBack(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		release := make(chan struct{})
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute),
			wspulse.WithOnConnect(nil), wspulse.WithOnMessage(func(wspulse.Connection, wspulse.Frame) { <-release }))
		alice := w.dial("r", "alice")
		alice.send("work")
		alice.Drop()
		second, _, err := w.upgrade("?room=r&id=alice", nil)
		w.must(err)
		second.StartReading()
		third, _, err := w.upgrade("?room=r&id=alice", nil)
		w.must(err)
		third.StartReading()
		second.expectClose(1000, "duplicate connection id")
		time.Sleep(time.Second)
		w.send("alice", "hello")
		third.expect("hello")
		close(release)
	})
}

// What waits behind a callback is bounded, and what does not fit waits in the network.
func TestLeaving_BacklogIsBounded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		release := make(chan struct{})
		m := &recorder{}
		w := newWorld(t, wspulse.WithMaxMessageSize(1<<10), wspulse.WithMetrics(m),
			wspulse.WithOnMessage(func(wspulse.Connection, wspulse.Frame) { <-release }))
		alice := w.dial("r", "alice")
		go func() {
			for range 100 {
				if alice.WebSocket.WriteMessage(2, make([]byte, 1000)) != nil { // not JSON: never waits
					return
				}
				alice.send("some words")
			}
		}()
		time.Sleep(time.Minute)
		if n := m.received.Load(); n == 0 || n > 60<<10 {
			t.Errorf("%d bytes were read while the callback ran", n)
		}
		close(release)
		time.Sleep(time.Second)
		if n := m.received.Load(); n < 100_000 {
			t.Errorf("%d bytes were read in all", n)
		}
	})
}

// A panic behind a callback that took long ends the transport, and nothing behind it is given to OnMessage.
func TestLeaving_PanicInTheBacklog(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		release := make(chan struct{})
		var w *world
		w = newWorld(t, wspulse.WithOnMessage(func(_ wspulse.Connection, f wspulse.Frame) {
			<-release
			w.events.add("(%s)", f.Event)
			if f.Event == "2" {
				panic("oops")
			}
		}))
		alice := w.dial("r", "alice")
		alice.send("1", "2", "3")
		time.Sleep(time.Second)
		close(release)
		if code := alice.closeCode(); code != 1011 {
			t.Errorf("close code %d", code)
		}
		w.expect("alice:connect (1) (2) alice:disconnect(panic=oops)")
	})
}

// Whoever comes back again and again, while it is not known whether the first link departs, does not put that off.
func TestLeaving_ComingBackAgainAndAgain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		release := make(chan struct{})
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute), wspulse.WithMaxMessageSize(16<<10),
			wspulse.WithOnMessage(func(wspulse.Connection, wspulse.Frame) { <-release }))
		alice := w.dial("r", "alice")
		session := w.connection("r", "alice")
		flood := strings.Repeat("x", 15<<10)
		go func() {
			data := []byte(`{"event":"` + flood + `"}`)
			for alice.WebSocket.WriteMessage(websocket.TextMessage, data) == nil {
			}
		}()
		time.Sleep(time.Second) // so much waits that nobody reads any more
		start := time.Now()
		for session == w.connection("r", "alice") {
			if p, _, err := w.upgrade("?room=r&id=alice", nil); err == nil {
				p.StartReading()
			}
			if time.Sleep(300 * time.Millisecond); time.Since(start) > 3*time.Second {
				t.Fatal("the first link keeps the others out")
			}
		}
		close(release)
	})
}

// Whoever ends a session from OnMessage, or kicks one whose client has left, gets no more of the messages that wait.
func TestLeaving_NothingMoreAfterTheEnd(t *testing.T) {
	for name, end := range map[string]func(w *world, c wspulse.Connection){
		"Close":        func(_ *world, c wspulse.Connection) { c.Close() },
		"Kick":         func(w *world, _ wspulse.Connection) { w.server.Kick("alice") },
		"Server.Close": func(w *world, _ wspulse.Connection) { w.server.Close() },
	} {
		for _, window := range []time.Duration{0, time.Minute} {
			t.Run(fmt.Sprintf("%s, window %v", name, window), func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					release := make(chan struct{})
					var calls atomic.Int64
					w := newWorld(t, wspulse.WithResumeWindow(window), wspulse.WithOnTransportDrop(nil),
						wspulse.WithOnMessage(func(wspulse.Connection, wspulse.Frame) {
							calls.Add(1)
							<-release
						}))
					alice := w.dial("r", "alice")
					session := w.connection("r", "alice")
					alice.send("1", "2", "3")
					alice.Drop()
					time.Sleep(time.Second)
					end(w, session)
					close(release)
					time.Sleep(time.Second)
					if window == 0 && name == "Kick" { // there is nobody to kick any more
						if calls.Load() != 3 {
							t.Errorf("OnMessage ran %d times", calls.Load())
						}
					} else if calls.Load() != 1 {
						t.Errorf("OnMessage ran %d times", calls.Load())
					}
					w.events.take()
				})
			})
		}
	}
}
