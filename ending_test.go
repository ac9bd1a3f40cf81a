package wspulse_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	wspulse "github.com/wspulse/server"
)

// endings are the ways in which the application ends alice, of room r.
var endings = map[string]struct {
	do     func(w *world)
	err    string // that OnDisconnect gets
	code   int
	reason string
	flush  bool
}{
	"Connection.Close": {func(w *world) { w.connection("r", "alice").Close() }, "nil", 1000, "", true},
	"Server.Kick":      {func(w *world) { w.server.Kick("alice") }, "nil", 1000, "kicked", false},
	"Server.Close":     {func(w *world) { w.server.Close() }, "server-closed", 1001, "server shutting down", true},
}

// faults are the ways in which a peer makes the server end its transport.
var faults = map[string]struct {
	do   func(alice *peer)
	code int
}{
	"message too large": {func(alice *peer) { alice.send(strings.Repeat("x", 513)) }, 1009},
	"panic":             {func(alice *peer) { alice.send("panic") }, 1011},
	"protocol error":    {func(alice *peer) { alice.Conn.Write([]byte{0x83, 0x80, 0, 0, 0, 0}) }, 1002},
}

func TestEnding_CloseCodes(t *testing.T) {
	for name, end := range endings {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t)
				alice := w.dial("r", "alice")
				start := time.Now()
				end.do(w)
				alice.expectClose(end.code, end.reason)
				w.expect("alice:connect alice:disconnect(" + end.err + ")")
				w.took(start, 0)
			})
		})
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t, wspulse.WithOnMessage(explode("oops")))
				alice := w.dial("r", "alice")
				start := time.Now()
				fault.do(alice)
				if code := alice.closeCode(); code != fault.code {
					t.Errorf("close code %d, want %d", code, fault.code)
				}
				synctest.Wait()
				w.took(start, 0)
			})
		})
	}
}

func TestEnding_WritesWhatIsQueuedFirst(t *testing.T) {
	for name, end := range endings {
		t.Run(name, func(t *testing.T) {
			for range 10 {
				inBubble(t, func(t *testing.T) {
					m := &recorder{}
					w := newWorld(t, wspulse.WithMetrics(m))
					alice := w.dialStalled("r", "alice")
					w.send("alice", "1", "2")
					w.broadcast("r", "3")
					synctest.Wait()
					go end.do(w)
					time.Sleep(5 * time.Second)
					alice.StartReading()
					alice.expectClose(end.code, end.reason)
					want, dropped := "plug 1 2 3", 0
					if !end.flush {
						want, dropped = "plug", 3 // which was on its way
					}
					alice.expect(want)
					if n := m.count("dropped"); n != dropped {
						t.Errorf("%d frames dropped, want %d", n, dropped)
					}
				})
			}
		})
	}
}

func TestEnding_QueueLargerThanAWrite(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithSendBufferSize(1000))
		alice := w.dialStalled("r", "alice")
		for i := range 1000 {
			w.send("alice", fmt.Sprint(i))
		}
		w.must(w.connection("r", "alice").Close())
		alice.StartReading()
		alice.expectClose(1000, "")
		alice.expect("plug " + seq(0, 999))
	})
}

// Neither a peer that reads nothing, nor one that stops after a while, can hold an ending up for longer than writeWait.
func TestEnding_TakesNoLongerThanWriteWait(t *testing.T) {
	const writeWait = 8 * time.Second
	for name, end := range endings {
		for reads := range 2 {
			t.Run(fmt.Sprintf("%s/reads=%d", name, reads), func(t *testing.T) {
				for range 10 {
					inBubble(t, func(t *testing.T) {
						w := newWorld(t, wspulse.WithWriteWait(writeWait))
						alice := w.dialStalled("r", "alice")
						w.send("alice", "1")
						go func() {
							time.Sleep(7 * time.Second)
							for range reads {
								alice.WebSocket.ReadMessage()
							}
						}()
						start := time.Now()
						end.do(w)
						w.server.Close() // which waits for every socket
						w.took(start, writeWait)
					})
				}
			})
		}
	}
}

func TestEnding_KickAndCloseDoNotWaitForThePeer(t *testing.T) {
	for name, end := range endings {
		if name == "Server.Close" {
			continue
		}
		for _, suspended := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/suspended=%v", name, suspended), func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					w := newWorld(t, wspulse.WithResumeWindow(time.Hour))
					alice := w.dialStalled("r", "alice")
					if suspended {
						alice.drop()
					}
					session := w.connection("r", "alice")
					start := time.Now()
					end.do(w)
					w.took(start, 0)
					select {
					case <-session.Done():
					default:
						t.Error("Done is open")
					}
					if w.connection("r", "alice") != nil ||
						w.server.Send("alice", ev("late")) != wspulse.ErrConnectionNotFound {
						t.Error("the session is still in the maps")
					}
					if err := session.Send(ev("late")); err != wspulse.ErrConnectionClosed {
						t.Errorf("Send: %v", err)
					}
				})
			})
		}
	}
}

// A peer that reads the close frame but does not answer it has writeWait until the socket is closed.
func TestEnding_PeerThatDoesNotAnswerIsCut(t *testing.T) {
	for name, end := range endings {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t, wspulse.WithWriteWait(7*time.Second))
				alice := w.dialIdle("r", "alice")
				alice.mute()
				start := time.Now()
				go end.do(w)
				if code := alice.readClose(); code != end.code {
					t.Errorf("close code %d", code)
				}
				w.took(start, 7*time.Second)
			})
		})
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t, wspulse.WithWriteWait(7*time.Second), wspulse.WithOnMessage(explode("oops")))
				alice := w.dialIdle("r", "alice")
				alice.mute()
				start := time.Now()
				fault.do(alice)
				if code := alice.readClose(); code != fault.code {
					t.Errorf("close code %d", code)
				}
				w.took(start, 7*time.Second)
			})
		})
	}
}

func TestEnding_RacesTheDeathOfTheTransport(t *testing.T) {
	for name, end := range endings {
		t.Run(name, func(t *testing.T) {
			for round := range 100 {
				inBubble(t, func(t *testing.T) {
					m := &recorder{}
					w := newWorld(t, wspulse.WithResumeWindow(time.Duration(round%2)*time.Minute),
						wspulse.WithMetrics(m))
					alice := w.dialStalled("r", "alice")
					w.send("alice", "1")
					session := w.connection("r", "alice")
					go alice.Conn.Close()
					for range round % 10 {
						runtime.Gosched()
					}
					if name == "Connection.Close" {
						session.Close()
					} else {
						end.do(w)
					}
					<-session.Done()
					synctest.Wait()
					got := w.events.take()
					if strings.Count(got, "disconnect(") != 1 || m.count("closed") != 1 {
						t.Errorf("events %q, hooks %q", got, m.take())
					}
					w.server.Close()
					if n := m.count("dropped"); n != 2 {
						t.Errorf("%d of 2 frames counted", n)
					}
				})
			}
		})
	}
}

func TestKick_RacesTheExpiry(t *testing.T) {
	for range 50 {
		inBubble(t, func(t *testing.T) {
			m := &recorder{}
			w := newWorld(t, wspulse.WithResumeWindow(time.Minute), wspulse.WithMetrics(m))
			w.dial("r", "alice").drop()
			w.events.take()
			time.Sleep(time.Minute) // to the instant of the expiry
			err := w.server.Kick("alice")
			synctest.Wait()
			want := map[string]string{"nil": "alice:disconnect(nil)",
				name(wspulse.ErrConnectionNotFound): "alice:disconnect(1006)"}
			if got := w.events.take(); err == nil && got == "alice:disconnect(1006)" {
				// the window passed between Kick's look-up and its turn
			} else if got != want[name(err)] {
				t.Errorf("Kick: %v, events %q", err, got)
			}
			if m.count("closed") != 1 || m.count("destroyed") != 1 {
				t.Errorf("hooks %q", m.take())
			}
		})
	}
}

// Close wins over a panic that follows it.
func TestClose_ThenPanic(t *testing.T) {
	for range 30 {
		inBubble(t, func(t *testing.T) {
			w := newWorld(t, wspulse.WithOnMessage(func(c wspulse.Connection, _ wspulse.Frame) {
				w := c.Send(ev("good-bye"))
				if err := errors.Join(w, c.Close()); err != nil {
					t.Error(err)
				}
				panic("oops")
			}))
			alice := w.dial("r", "alice")
			alice.send("hello")
			alice.expectClose(1000, "")
			alice.expect("good-bye")
			w.expect("alice:connect alice:disconnect(nil)")
		})
	}
}

func TestEnding_UnfinishedWriteIsCounted(t *testing.T) {
	for cut := range 3*frameBytes + 1 {
		inBubble(t, func(t *testing.T) {
			m := &recorder{}
			w := newWorld(t, wspulse.WithMetrics(m))
			alice := w.dialStalled("r", "alice")
			w.send("alice", "1", "2", "3")
			alice.WebSocket.ReadMessage()
			read := alice.cut(cut)
			time.Sleep(time.Minute)
			if n := m.count("dropped"); n != 3-read || w.connection("r", "alice") != nil {
				t.Errorf("cut after %d bytes: %d frames dropped, want %d", cut, n, 3-read)
			}
		})
	}
}

// A peer that has closed, but does not read the answer, is waited for no longer than a second, and no longer than
// writeWait.
func TestEnding_PeerThatClosedAndDoesNotReadIsCut(t *testing.T) {
	for writeWait, want := range map[time.Duration]time.Duration{
		300 * time.Millisecond: 300 * time.Millisecond,
		7 * time.Second:        time.Second,
	} {
		t.Run(writeWait.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t, wspulse.WithWriteWait(writeWait))
				alice := w.dialIdle("r", "alice")
				start := time.Now()
				alice.close(1000)
				synctest.Wait()
				w.server.Close() // which waits for the socket
				w.took(start, want)
			})
		})
	}
}
