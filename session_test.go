package wspulse_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/internal/rawpeer"
	"github.com/wspulse/server/wstest"
)

// The state table: what each event does to a session in each state, told by the callbacks and by the metrics.
func TestSession_StateTable(t *testing.T) {
	const window = time.Minute
	states := map[string]func(w *world){
		"absent":    func(*world) {},
		"connected": func(w *world) { w.dial("r", "alice") },
		"suspended": func(w *world) { w.dial("r", "alice").drop() },
	}
	events := map[string]func(w *world){
		"connects":         func(w *world) { w.dial("r", "alice") },
		"Connection.Close": func(w *world) { w.connection("r", "alice").Close() },
		"Server.Kick":      func(w *world) { w.events.add("%s", name(w.server.Kick("alice"))) },
		"Server.Close":     func(w *world) { w.server.Close() },
		"window passes":    func(*world) { time.Sleep(window) },
	}
	for _, tc := range []struct{ state, event, callbacks, metrics string }{
		{"absent", "connects", "alice:connect", "created(r) opened(r,alice)"},
		{"absent", "Server.Kick", "error=wspulse: connection not found", ""},
		{"absent", "Server.Close", "", ""},

		{"connected", "connects", "alice:connect alice:disconnect(duplicate)",
			"closed(r,alice,0s,duplicate) destroyed(r) created(r) opened(r,alice)"},
		{"connected", "Connection.Close", "alice:disconnect(nil)", "closed(r,alice,0s,normal) destroyed(r)"},
		{"connected", "Server.Kick", "nil alice:disconnect(nil)", "closed(r,alice,0s,kick) destroyed(r)"},
		{"connected", "Server.Close", "alice:disconnect(server-closed)",
			"closed(r,alice,0s,server_close) destroyed(r)"},
		{"connected", "window passes", "", ""},

		{"suspended", "connects", "alice:restore", "resumed(r,alice)"},
		{"suspended", "Connection.Close", "alice:disconnect(nil)", "closed(r,alice,0s,normal) destroyed(r)"},
		{"suspended", "Server.Kick", "nil alice:disconnect(nil)", "closed(r,alice,0s,kick) destroyed(r)"},
		{"suspended", "Server.Close", "alice:disconnect(server-closed)",
			"closed(r,alice,0s,server_close) destroyed(r)"},
		{"suspended", "window passes", "alice:disconnect(1006)", "closed(r,alice,1m0s,grace_expired) destroyed(r)"},
	} {
		t.Run(tc.state+"/"+tc.event, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				m := &recorder{}
				w := newWorld(t, wspulse.WithResumeWindow(window), wspulse.WithMetrics(m))
				states[tc.state](w)
				synctest.Wait()
				w.events.take()
				m.take()
				events[tc.event](w)
				synctest.Wait()
				if got := m.take(); got != tc.metrics {
					t.Errorf("hooks: got %q, want %q", got, tc.metrics)
				}
				w.expectInAnyOrder(tc.callbacks)
			})
		})
	}
}

// expectInAnyOrder is expect for callbacks of several connections, or of a connection and its caller.
func (w *world) expectInAnyOrder(want string) {
	w.t.Helper()
	synctest.Wait()
	if got := w.events.take(); sorted(got) != sorted(want) {
		w.t.Errorf("events: got %q, want %q in any order", got, want)
	}
}

func TestTransportDies_NoWindow(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &recorder{}
		w := newWorld(t, wspulse.WithMetrics(m))
		alice := w.dial("r", "alice")
		session := w.connection("r", "alice")
		time.Sleep(7 * time.Second)
		alice.drop()
		w.expect("alice:connect alice:disconnect(1006)")
		if got := m.take(); got != "created(r) opened(r,alice) closed(r,alice,7s,normal) destroyed(r)" {
			t.Errorf("hooks %q", got)
		}
		<-session.Done()
	})
}

func TestTransportDies_WithAWindowTheSessionLives(t *testing.T) {
	for name, end := range map[string]func(alice *peer){
		"vanishes":         func(alice *peer) { alice.drop() },
		"closes with 1000": func(alice *peer) { alice.close(1000) },
		"closes with 4000": func(alice *peer) { alice.close(4000) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t, wspulse.WithResumeWindow(time.Minute))
				alice := w.dial("r", "alice")
				session := w.connection("r", "alice")
				end(alice)
				synctest.Wait()
				select {
				case <-session.Done():
					t.Error("the session has ended")
				default:
				}
				if w.connection("r", "alice") != session {
					t.Error("GetConnections does not include the suspended session")
				}
				w.dial("r", "alice")
				if w.connection("r", "alice") != session {
					t.Error("the resumed session is another Connection")
				}
			})
		})
	}
}

func TestDuplicate_OldOneEndsNewOneOpens(t *testing.T) {
	for _, window := range []time.Duration{0, time.Minute} {
		inBubble(t, func(t *testing.T) {
			w := newWorld(t, wspulse.WithResumeWindow(window))
			old := w.dial("r", "alice")
			first := w.connection("r", "alice")
			alice := w.dial("other", "alice")
			old.expectClose(1000, "duplicate connection id")
			<-first.Done()
			second := w.connection("other", "alice")
			if second == nil || second == first || len(w.server.GetConnections("r")) != 0 {
				t.Error("the new session is not a Connection of its own, in its own room")
			}
			if err := first.Send(ev("lost")); !errors.Is(err, wspulse.ErrConnectionClosed) {
				t.Errorf("Send on the old session: %v", err)
			}
			w.send("alice", "hello")
			alice.expect("hello")
			time.Sleep(2 * time.Minute)
			w.expectInAnyOrder("alice:connect alice:disconnect(duplicate) alice:connect")
		})
	}
}

func TestConnectionClosed_DurationIsTheWholeLife(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &recorder{}
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute), wspulse.WithMetrics(m))
		alice := w.dial("r", "alice")
		time.Sleep(5 * time.Second)
		alice.drop()
		time.Sleep(30 * time.Second)
		w.dial("r", "alice")
		time.Sleep(7 * time.Second)
		w.must(w.server.Kick("alice"))
		if got := m.take(); got != "created(r) opened(r,alice) resumed(r,alice) closed(r,alice,42s,kick) destroyed(r)" {
			t.Errorf("hooks %q", got)
		}
	})
}

func TestConnection_IdentityOutlivesTheSession(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.dial("r", "alice")
		session := w.connection("r", "alice")
		w.must(session.Close())
		w.must(session.Close()) // again is no error
		if session.ID() != "alice" || session.RoomID() != "r" {
			t.Errorf("it is now %q in %q", session.ID(), session.RoomID())
		}
	})
}

// An ended session's frames are no concern of the one that has its name now.
func TestSession_SuccessorStartsEmpty(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute))
		w.dial("r", "alice").drop()
		w.send("alice", "old")
		w.must(w.server.Kick("alice"))
		alice := w.dial("r", "alice")
		w.send("alice", "new")
		alice.expect("new")
	})
}

// A callback that blocks does not keep a dead transport alive, once a write has found it out.
func TestDrop_WhileOnMessageBlocks(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		release := make(chan struct{})
		block := wspulse.WithOnMessage(func(wspulse.Connection, wspulse.Frame) { <-release })
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute), block)
		alice := w.dial("r", "alice")
		session := w.connection("r", "alice")
		alice.send("hello")
		alice.drop()
		w.send("alice", "1")
		w.send("alice", "2")
		time.Sleep(5 * time.Second)
		again := w.dial("r", "alice")
		again.expect("1 2")
		if w.connection("r", "alice") != session {
			t.Error("the session was not resumed")
		}
		w.expect("alice:connect")
		close(release)
		w.expect("alice:drop(1006) alice:restore")
	})
}

func TestDrop_WhileOnConnectBlocks(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		release := make(chan struct{})
		w := newWorld(t, wspulse.WithOnConnect(func(wspulse.Connection) { <-release }))
		w.dial("r", "alice").drop()
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if w.connection("r", "alice") != nil {
			t.Error("alice is still there")
		}
		w.expect("")
		close(release)
		w.expect("alice:disconnect(1006)")
	})
}

// A peer that closes and reads no more has departed within a second, however much is queued for it.
func TestDrop_CloseByAPeerThatReadsNoMore(t *testing.T) {
	for range 30 {
		inBubble(t, func(t *testing.T) {
			w := newWorld(t, wspulse.WithResumeWindow(time.Minute))
			alice := w.dialStalled("r", "alice")
			for i := range 100 {
				w.send("alice", fmt.Sprint(i))
			}
			w.expect("alice:connect")
			go alice.close(websocket.CloseNormalClosure)
			synctest.Wait()
			go alice.readRaw(len(`{"event":"plug"}`) + 2)
			time.Sleep(1100 * time.Millisecond)
			w.expect("alice:drop(nil)")
		})
	}
}

// A callback that returns late has nothing to do with the link that the session has by then.
func TestDrop_LatePingDoesNotReachTheNextTransport(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		release := make(chan struct{})
		block := wspulse.WithOnMessage(func(wspulse.Connection, wspulse.Frame) { <-release })
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute), wspulse.WithHeartbeat(4*time.Minute, 5*time.Minute),
			block)
		alice := w.dialIdle("r", "alice")
		ping := rawpeer.Frame{First: rawpeer.Fin | rawpeer.OpPing, Payload: "old"}
		message := rawpeer.Masked(rawpeer.Fin|rawpeer.OpText, `{"event":"x"}`)
		if _, err := alice.Conn.Write(ping.AppendTo(message)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		alice.drop()
		w.send("alice", "1")
		time.Sleep(2 * time.Second)
		again := w.dialIdle("r", "alice")
		again.WebSocket.SetPongHandler(func(text string) error {
			t.Errorf("got pong %q", text)
			return nil
		})
		again.StartReading()
		close(release)
		again.expect("1")
	})
}

// TLS says good-bye to a peer with a patience of its own, which one that reads nothing does not get.
func TestDrop_TLSPeerThatReadsNothing(t *testing.T) {
	const writeWait = 300 * time.Millisecond
	certified := httptest.NewUnstartedServer(nil)
	certified.StartTLS()
	defer certified.Close()
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute), wspulse.WithWriteWait(writeWait))
		listener := wstest.Listen()
		secure := &http.Server{Handler: w.server, ErrorLog: log.New(io.Discard, "", 0)}
		defer secure.Close()
		go secure.Serve(tls.NewListener(listener, &tls.Config{Certificates: certified.TLS.Certificates}))
		conn, err := listener.Dial(unbuffered, unbuffered)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		client := tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
		dialer := websocket.Dialer{NetDialTLSContext: func(context.Context, string, string) (net.Conn, error) {
			return client, nil
		}}
		if _, _, err := dialer.Dial("wss://server/?room=r&id=alice", nil); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.send("alice", "plug")
		time.Sleep(writeWait)
		w.expect("alice:connect alice:drop(timeout)")
		start := time.Now()
		w.server.Close()
		w.took(start, 0)
	})
}
