package wspulse_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	wspulse "github.com/wspulse/server"
)

func TestCallbacks_Order(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute))
		alice := w.dial("r", "alice")
		alice.send("1", "2")
		alice.drop()
		alice = w.dial("r", "alice")
		alice.send("3")
		alice.drop()
		w.dial("r", "alice")
		w.must(w.connection("r", "alice").Close())
		w.expect("alice:connect alice:message(1) alice:message(2) alice:drop(1006) alice:restore alice:message(3) " +
			"alice:drop(1006) alice:restore alice:disconnect(nil)")
	})
}

// slowly returns callbacks that take a second each, and write down where they begin and end.
func (j *journal) slowly() []wspulse.ServerOption {
	take := func(what string) {
		j.add("(%s", what)
		time.Sleep(time.Second)
		j.add("%s)", what)
	}
	return []wspulse.ServerOption{
		wspulse.WithOnConnect(func(wspulse.Connection) { take("connect") }),
		wspulse.WithOnMessage(func(_ wspulse.Connection, f wspulse.Frame) { take(f.Event) }),
		wspulse.WithOnTransportDrop(func(wspulse.Connection, error) { take("drop") }),
		wspulse.WithOnTransportRestore(func(wspulse.Connection) { take("restore") }),
		wspulse.WithOnDisconnect(func(wspulse.Connection, error) { take("disconnect") }),
	}
}

func TestCallbacks_NeverTwoAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var j journal
		w := newWorld(t, append(j.slowly(), wspulse.WithResumeWindow(time.Minute))...)
		alice := w.dial("r", "alice")
		alice.send("1")
		time.Sleep(1500 * time.Millisecond)
		alice.drop() // while OnMessage runs
		time.Sleep(1500 * time.Millisecond)
		again := w.dial("r", "alice")
		again.drop() // while OnTransportRestore waits for OnTransportDrop
		time.Sleep(10 * time.Second)
		again = w.dial("r", "alice")
		again.send("2")
		time.Sleep(1500 * time.Millisecond)
		w.must(w.server.Kick("alice")) // while OnMessage runs
		time.Sleep(10 * time.Second)
		want := "connect 1 drop restore drop restore 2 disconnect"
		var words []string
		for _, word := range strings.Fields(want) {
			words = append(words, "("+word, word+")")
		}
		if got := j.take(); got != strings.Join(words, " ") {
			t.Errorf("got %q, want each of %q to end before the next begins", got, want)
		}
	})
}

func TestOnConnect_FramesAndHeartbeatsGoOnWhileItBlocks(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var w *world
		w = newWorld(t, wspulse.WithHeartbeat(10*time.Second, 20*time.Second),
			wspulse.WithOnConnect(func(c wspulse.Connection) {
				w.events.add("enter")
				time.Sleep(45 * time.Second)
				w.events.add("leave")
			}))
		alice := w.dialIdle("r", "alice")
		start := time.Now()
		alice.WebSocket.SetPingHandler(func(string) error {
			alice.got.add("ping@%v", time.Since(start))
			go alice.WebSocket.WriteControl(websocket.PongMessage, nil, time.Time{}) // is read when OnConnect has returned
			return nil
		})
		alice.StartReading()
		go alice.send("hello")
		w.send("alice", "frame")
		w.broadcast("r", "all")
		w.expect("enter")
		alice.expect("frame all")
		time.Sleep(44 * time.Second)
		w.expect("")
		time.Sleep(time.Second)
		w.expect("leave alice:message(hello)")
		alice.expect("ping@10s ping@20s ping@30s ping@40s")
		time.Sleep(time.Minute)
		w.expect("") // the time that OnConnect took was not held against the peer
	})
}

func TestOnTransportRestore_ReturnsBeforeTheFirstMessage(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var w *world
		w = newWorld(t, wspulse.WithResumeWindow(time.Minute),
			wspulse.WithOnTransportRestore(func(c wspulse.Connection) {
				time.Sleep(5 * time.Second)
				w.events.add("restored")
			}))
		w.dial("r", "alice").drop()
		again := w.dial("r", "alice")
		w.expect("alice:connect alice:drop(1006)")
		go again.send("hello")
		time.Sleep(5*time.Second - time.Nanosecond)
		w.expect("")
		time.Sleep(time.Nanosecond)
		w.expect("restored alice:message(hello)")
	})
}

func TestOnDisconnect_WaitsForTheLastMessage(t *testing.T) {
	for name, end := range map[string]func(w *world, alice *peer){
		"Kick":             func(w *world, _ *peer) { w.server.Kick("alice") },
		"Connection.Close": func(w *world, _ *peer) { w.connection("r", "alice").Close() },
		"Server.Close":     func(w *world, _ *peer) { w.server.Close() },
		"duplicate":        func(w *world, _ *peer) { w.dial("r", "alice") },
		"drop":             func(_ *world, alice *peer) { alice.drop() },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				var w *world
				w = newWorld(t, wspulse.WithOnMessage(func(wspulse.Connection, wspulse.Frame) {
					time.Sleep(time.Minute)
					w.events.add("message")
				}), wspulse.WithOnConnect(nil))
				alice := w.dial("r", "alice")
				alice.send("hello")
				synctest.Wait()
				end(w, alice)
				time.Sleep(time.Minute - 2*time.Second)
				w.expect("")
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if got := w.events.take(); !strings.HasPrefix(got, "message alice:disconnect(") {
					t.Errorf("events %q", got)
				}
			})
		})
	}
}

func TestOnDisconnect_NoMessageAfterTheEnd(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithOnMessage(nil))
		alice := w.dialIdle("r", "alice")
		alice.mute()
		w.must(w.connection("r", "alice").Close())
		synctest.Wait()
		alice.send("late") // before the close frame is read
		alice.readClose()
		w.expect("alice:connect alice:disconnect(nil)")
	})
}

// sessionCounts counts callbacks for each Connection value.
type sessionCounts struct {
	mu     sync.Mutex
	opened map[wspulse.Connection]int
	closed map[wspulse.Connection]int
}

func (c *sessionCounts) options() []wspulse.ServerOption {
	c.opened, c.closed = map[wspulse.Connection]int{}, map[wspulse.Connection]int{}
	count := func(m map[wspulse.Connection]int, s wspulse.Connection) {
		c.mu.Lock()
		defer c.mu.Unlock()
		m[s]++
	}
	return []wspulse.ServerOption{
		wspulse.WithOnConnect(func(s wspulse.Connection) { count(c.opened, s) }),
		wspulse.WithOnDisconnect(func(s wspulse.Connection, _ error) { count(c.closed, s) }),
	}
}

func TestOnDisconnect_ExactlyOnceUnderRaces(t *testing.T) {
	for _, window := range []time.Duration{0, time.Millisecond} {
		inBubble(t, func(t *testing.T) {
			var counts sessionCounts
			w := newWorld(t, append(counts.options(), wspulse.WithResumeWindow(window))...)
			var actors sync.WaitGroup
			for i := range 4 {
				actors.Go(func() {
					for range 100 {
						alice, _, err := w.upgrade("?room=r&id=alice", nil)
						if err != nil {
							return // the server is closed
						}
						alice.StartReading()
						switch i {
						case 0:
							w.server.Kick("alice")
						case 1:
							if c := w.connection("r", "alice"); c != nil {
								c.Close()
							}
						case 2:
							time.Sleep(time.Millisecond)
						}
						alice.Drop()
					}
				})
			}
			actors.Go(func() {
				time.Sleep(50 * time.Millisecond)
				w.server.Close()
			})
			actors.Wait()
			w.server.Close()
			synctest.Wait()
			for s, n := range counts.opened {
				if n != 1 || counts.closed[s] != 1 {
					t.Errorf("OnConnect ran %d times, OnDisconnect %d times", n, counts.closed[s])
				}
			}
			if len(counts.opened) < 100 || len(counts.closed) != len(counts.opened) {
				t.Errorf("%d sessions opened, %d ended", len(counts.opened), len(counts.closed))
			}
		})
	}
}

func TestDropAndRestore_NeverWithoutAWindow(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.dial("r", "alice").drop()
		w.dial("r", "alice")
		w.expect("alice:connect alice:disconnect(1006) alice:connect")
	})
}

func TestDropAndRestore_NeverForAnEnding(t *testing.T) {
	for name, end := range endings {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t, wspulse.WithResumeWindow(time.Minute))
				alice := w.dial("r", "alice")
				end.do(w)
				<-alice.Done()
				time.Sleep(2 * time.Minute)
				w.expect("alice:connect alice:disconnect(" + end.err + ")")
			})
		})
	}
}

func TestCallbacks_MayCallEverything(t *testing.T) {
	type call func(w *world, c wspulse.Connection) string
	calls := map[string]call{
		"Connection.Send":  func(_ *world, c wspulse.Connection) string { return fmt.Sprint(c.Send(ev("a")) == nil) },
		"Connection.Close": func(_ *world, c wspulse.Connection) string { return fmt.Sprint(c.Close() == nil) },
		"Server.Send": func(w *world, c wspulse.Connection) string {
			return fmt.Sprint(w.server.Send(c.ID(), ev("b")) == nil)
		},
		"Server.Broadcast": func(w *world, c wspulse.Connection) string {
			return fmt.Sprint(w.server.Broadcast("r", ev("c")) == nil)
		},
		"Server.Kick": func(w *world, c wspulse.Connection) string {
			return fmt.Sprint(w.server.Kick(c.ID()) == nil)
		},
		"Server.GetConnections": func(w *world, c wspulse.Connection) string {
			return fmt.Sprint(len(w.server.GetConnections("r")) == 1)
		},
		"Server.Close": func(w *world, c wspulse.Connection) string { w.server.Close(); return "true" },
	}
	for callback, ended := range map[string]bool{
		"OnConnect": false, "OnMessage": false, "OnTransportDrop": false, "OnTransportRestore": false, "OnDisconnect": true,
	} {
		for name, call := range calls {
			t.Run(callback+"/"+name, func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					var w *world
					run := func(which string, c wspulse.Connection) {
						if which == callback {
							w.events.add("%s", call(w, c))
						}
					}
					w = newWorld(t, wspulse.WithResumeWindow(time.Minute),
						wspulse.WithOnConnect(func(c wspulse.Connection) { run("OnConnect", c) }),
						wspulse.WithOnMessage(func(c wspulse.Connection, _ wspulse.Frame) { run("OnMessage", c) }),
						wspulse.WithOnTransportDrop(func(c wspulse.Connection, _ error) { run("OnTransportDrop", c) }),
						wspulse.WithOnTransportRestore(func(c wspulse.Connection) { run("OnTransportRestore", c) }),
						wspulse.WithOnDisconnect(func(c wspulse.Connection, _ error) { run("OnDisconnect", c) }))
					alice := w.dial("r", "alice")
					go alice.WebSocket.WriteMessage(websocket.TextMessage, []byte("{}"))
					time.Sleep(5 * time.Second)
					alice.drop()
					if again, _, err := w.upgrade("?room=r&id=alice", nil); err == nil {
						again.StartReading()
					}
					time.Sleep(5 * time.Second)
					w.server.Kick("alice")
					synctest.Wait()
					want := "true"
					if ended && name != "Server.Close" && name != "Server.Broadcast" && name != "Connection.Close" {
						want = "false" // there is no such session any more
					}
					got := w.events.take()
					if got = strings.Split(got, " ")[0]; got != want {
						t.Errorf("%q, want %q", got, want)
					}
				})
			})
		}
	}
}

func TestCallbacks_ErrorsGiven(t *testing.T) {
	for story, tc := range map[string]struct {
		cause func(w *world, alice *peer)
		want  string
	}{
		"peer closes with 1000":  {func(_ *world, alice *peer) { alice.close(1000) }, "nil"},
		"peer closes with 1001":  {func(_ *world, alice *peer) { alice.close(1001) }, "nil"},
		"peer closes without":    {func(_ *world, alice *peer) { alice.close(1005) }, "nil"},
		"peer closes with 1011":  {func(_ *world, alice *peer) { alice.close(1011) }, "1011"},
		"peer closes with 4000":  {func(_ *world, alice *peer) { alice.close(4000) }, "4000"},
		"peer vanishes":          {func(_ *world, alice *peer) { alice.drop() }, "1006"},
		"peer answers no ping":   {func(_ *world, alice *peer) { alice.mute(); alice.StartReading() }, "timeout"},
		"message too large":      {func(_ *world, alice *peer) { alice.send(strings.Repeat("x", 600)) }, "too-large"},
		"OnMessage panics":       {func(_ *world, alice *peer) { alice.send("panic") }, "panic=oops"},
		"peer reads no more":     {func(w *world, _ *peer) { w.send("alice", "plug") }, "timeout"},
		"peer breaks the frames": {func(_ *world, alice *peer) { alice.writeRaw("\x83\x80\x00\x00\x00\x00") }, "error="},
	} {
		for window, format := range map[time.Duration]string{
			0:         "alice:disconnect(%s)",
			time.Hour: "alice:drop(%[1]s) alice:disconnect(%[1]s)",
		} {
			t.Run(story+"/window="+window.String(), func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					var w *world
					var errs []error
					note := func(event string) func(c wspulse.Connection, err error) {
						return func(c wspulse.Connection, err error) {
							word, _, _ := strings.Cut(name(err), "websocket")
							w.events.add("%s:%s(%s)", c.ID(), event, word)
							errs = append(errs, err)
						}
					}
					w = newWorld(t, wspulse.WithResumeWindow(window), wspulse.WithOnConnect(nil),
						wspulse.WithOnMessage(func(_ wspulse.Connection, f wspulse.Frame) { panic("oops") }),
						wspulse.WithOnTransportDrop(note("drop")), wspulse.WithOnDisconnect(note("disconnect")))
					alice := w.dialIdle("r", "alice")
					if story != "peer answers no ping" && story != "peer reads no more" {
						alice.StartReading()
					}
					tc.cause(w, alice)
					time.Sleep(2 * time.Hour)
					w.expect(fmt.Sprintf(format, tc.want))
					if len(errs) == 2 && errs[0] != errs[1] {
						t.Errorf("OnTransportDrop got %v, OnDisconnect %v", errs[0], errs[1])
					}
				})
			})
		}
	}
}

func TestCallbacks_BlockNobodyElse(t *testing.T) {
	block := func(c wspulse.Connection) {
		if c.ID() == "alice" {
			time.Sleep(time.Hour)
		}
	}
	for name, option := range map[string]wspulse.ServerOption{
		"OnConnect":          wspulse.WithOnConnect(block),
		"OnMessage":          wspulse.WithOnMessage(func(c wspulse.Connection, _ wspulse.Frame) { block(c) }),
		"OnTransportDrop":    wspulse.WithOnTransportDrop(func(c wspulse.Connection, _ error) { block(c) }),
		"OnTransportRestore": wspulse.WithOnTransportRestore(block),
		"OnDisconnect":       wspulse.WithOnDisconnect(func(c wspulse.Connection, _ error) { block(c) }),
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t, wspulse.WithResumeWindow(time.Minute), option)
				start := time.Now()
				alice, bob := w.dial("r", "alice"), w.dial("r", "bob")
				still := func() {
					w.broadcast("r", "all")
					bob.expect("all")
					w.must(bob.WebSocket.WriteMessage(websocket.TextMessage, []byte("{}")))
					synctest.Wait()
				}
				still()
				go alice.WebSocket.WriteMessage(websocket.TextMessage, []byte("{}"))
				still()
				alice.drop()
				still()
				w.dial("r", "alice")
				still()
				w.must(w.server.Kick("alice"))
				still()
				w.took(start, 0)
				time.Sleep(2 * time.Hour)
			})
		})
	}
}
