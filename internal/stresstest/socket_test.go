package stresstest

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	wspulse "github.com/wspulse/server"
)

// onBothTransports runs a story over TCP and over TLS.
func onBothTransports(t *testing.T,
	story func(t *testing.T, newWorld func(testing.TB, ...wspulse.ServerOption) *netWorld)) {
	t.Run("tcp", func(t *testing.T) { story(t, newNetWorld) })
	t.Run("tls", func(t *testing.T) { story(t, newTLSWorld) })
}

func TestSocket_JoinTalkLeave(t *testing.T) {
	onBothTransports(t, func(t *testing.T, newWorld func(testing.TB, ...wspulse.ServerOption) *netWorld) {
		left := make(chan error, 2)
		w := newWorld(t,
			wspulse.WithOnMessage(func(c wspulse.Connection, f wspulse.Frame) { _ = c.Send(f) }),
			wspulse.WithOnDisconnect(func(_ wspulse.Connection, err error) { left <- err }))
		alice, bob := w.dial("r", "alice"), w.dial("r", "bob")
		w.session("r", "alice")
		w.session("r", "bob")
		for _, step := range []error{
			say(alice, "hello"), hear(alice, "hello"),
			w.server.Broadcast("r", ev("all")), w.server.Send("bob", ev("one")),
			hear(alice, "all"), hear(bob, "all"), hear(bob, "one"),
			alice.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1001, "bye"), time.Time{}),
		} {
			if step != nil {
				t.Fatal(step)
			}
		}
		if err := <-left; err != nil {
			t.Errorf("a peer that leaves: %v", err)
		}
		hearClose(t, alice, 1001, "")
		_ = bob.NetConn().Close()
		if err := <-left; err == nil {
			t.Error("a peer that is cut off: no error")
		}
	})
}

// A peer reads why its connection ends, also when it is sending a lot.
func TestSocket_PeerReadsCloseNotReset(t *testing.T) {
	ends := map[string]struct {
		end    func(w *netWorld)
		code   int
		reason string
	}{
		"Connection.Close": {func(w *netWorld) { _ = w.session("r", "alice").Close() }, 1000, ""},
		"Kick":             {func(w *netWorld) { _ = w.server.Kick("alice") }, 1000, "kicked"},
		"duplicate":        {func(w *netWorld) { w.dial("r", "alice") }, 1000, "duplicate connection id"},
		"Server.Close":     {func(w *netWorld) { w.server.Close() }, 1001, "server shutting down"},
	}
	onBothTransports(t, func(t *testing.T, newWorld func(testing.TB, ...wspulse.ServerOption) *netWorld) {
		for name, tc := range ends {
			t.Run(name, func(t *testing.T) {
				var received atomic.Int64
				w := newWorld(t, wspulse.WithOnMessage(func(wspulse.Connection, wspulse.Frame) { received.Add(1) }))
				alice := w.dial("r", "alice")
				stopped := make(chan struct{})
				go func() {
					defer close(stopped)
					for say(alice, strings.Repeat("x", 400)) == nil {
					}
				}()
				eventually(t, "alice is being heard", func() bool { return received.Load() > 100 })
				tc.end(w)
				hearClose(t, alice, tc.code, tc.reason)
				_ = alice.Close()
				<-stopped
			})
		}
	})
}

// What was queued before an orderly end is read before the close frame.
func TestSocket_CloseWritesWhatIsQueued(t *testing.T) {
	for name, tc := range map[string]struct {
		end    func(w *netWorld, alice wspulse.Connection)
		code   int
		reason string
	}{
		"Connection.Close": {func(_ *netWorld, alice wspulse.Connection) { _ = alice.Close() }, 1000, ""},
		"Server.Close": {func(w *netWorld, _ wspulse.Connection) { go w.server.Close() }, 1001,
			"server shutting down"},
	} {
		t.Run(name, func(t *testing.T) {
			const frames = 250
			w := newNetWorld(t)
			peer := w.dial("r", "alice")
			alice := w.session("r", "alice")
			for i := range frames {
				if err := alice.Send(ev(fmt.Sprint(i))); err != nil {
					t.Fatal(err)
				}
			}
			tc.end(w, alice)
			for i := range frames {
				if err := hear(peer, fmt.Sprint(i)); err != nil {
					t.Fatal(err)
				}
			}
			hearClose(t, peer, tc.code, tc.reason)
		})
	}
}

// A peer that sends until it has read the close frame, and answers it, sees the stream end rather than break.
func TestSocket_EndsWithoutReset(t *testing.T) {
	for name, tc := range map[string]struct {
		end  func(w *netWorld)
		code int
	}{
		"Connection.Close": {func(w *netWorld) { _ = w.session("r", "mallory").Close() }, 1000},
		"Kick":             {func(w *netWorld) { _ = w.server.Kick("mallory") }, 1000},
		"Server.Close":     {func(w *netWorld) { go w.server.Close() }, 1001},
	} {
		t.Run(name, func(t *testing.T) {
			var received atomic.Int64
			w := newNetWorld(t, wspulse.WithOnMessage(func(wspulse.Connection, wspulse.Frame) { received.Add(1) }))
			p := dialRaw(t, w)
			told, stopped := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(stopped)
				for more := true; more; {
					p.Write(masked(finText, `{"event":"more"}`))
					select {
					case <-told:
						more = false
					default:
					}
				}
			}()
			eventually(t, "the peer is being heard", func() bool { return received.Load() > 100 })
			tc.end(w)
			got, err := p.Next()
			close(told)
			<-stopped
			if err != nil || got.Code() != tc.code {
				t.Fatalf("peer read %v (%v), want close %d", got, err, tc.code)
			}
			p.Write(masked(finClose, got.Payload))
			p.ExpectEnd()
		})
	}
}

// The peer sends the whole of a message that is far too large before it reads anything.
func TestSocket_OversizedMessageReads1009(t *testing.T) {
	onBothTransports(t, func(t *testing.T, newWorld func(testing.TB, ...wspulse.ServerOption) *netWorld) {
		left := make(chan error, 1)
		w := newWorld(t, wspulse.WithOnDisconnect(func(_ wspulse.Connection, err error) { left <- err }))
		alice := w.dial("r", "alice")
		if err := alice.WriteMessage(websocket.BinaryMessage, make([]byte, 1<<20)); err != nil {
			t.Errorf("while sending: %v", err)
		}
		hearClose(t, alice, 1009, "message larger than 512 bytes (WithMaxMessageSize)")
		if err := <-left; !errors.Is(err, websocket.ErrReadLimit) {
			t.Errorf("OnDisconnect got %v", err)
		}
	})
}
