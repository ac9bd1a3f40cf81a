package wspulse_test

import (
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	wspulse "github.com/wspulse/server"
)

func TestOnMessagePanic_EndsTheTransport(t *testing.T) {
	for _, window := range []time.Duration{0, time.Minute} {
		inBubble(t, func(t *testing.T) {
			var got error
			note := func(_ wspulse.Connection, err error) { got = err }
			option := wspulse.WithOnDisconnect(note)
			if window > 0 {
				option = wspulse.WithOnTransportDrop(note)
			}
			cause := fmt.Errorf("out of cheese: %w", &websocket.CloseError{Code: 1000}) // not the peer's
			w := newWorld(t, wspulse.WithResumeWindow(window), option, wspulse.WithOnMessage(explode(cause)))
			bob, alice := w.dial("r", "bob"), w.dial("r", "alice")
			alice.send("hello")
			alice.expectClose(1011, "the server failed in handling a message")
			synctest.Wait()
			var panicked *wspulse.PanicError
			if !errors.As(got, &panicked) || panicked.Value != cause ||
				!strings.Contains(string(panicked.Stack), "explode") {
				t.Errorf("window %v: got %v", window, got)
			} else if !strings.Contains(got.Error(), "out of cheese") {
				t.Errorf("error text %q", got)
			}
			if alive := w.connection("r", "alice") != nil; alive != (window > 0) {
				t.Errorf("window %v: session alive: %v", window, alive)
			}
			w.broadcast("r", "still here")
			bob.expect("still here")
		})
	}
}

// explode returns an OnMessage that panics.
func explode(v any) func(wspulse.Connection, wspulse.Frame) {
	return func(wspulse.Connection, wspulse.Frame) { panic(v) }
}

func blowUp() { panic("oops") }

func TestCallbackPanic_IsLoggedWithItsStackAndContained(t *testing.T) {
	for name, option := range map[string]wspulse.ServerOption{
		"OnConnect":          wspulse.WithOnConnect(func(wspulse.Connection) { blowUp() }),
		"OnTransportDrop":    wspulse.WithOnTransportDrop(func(wspulse.Connection, error) { blowUp() }),
		"OnTransportRestore": wspulse.WithOnTransportRestore(func(wspulse.Connection) { blowUp() }),
		"OnDisconnect":       wspulse.WithOnDisconnect(func(wspulse.Connection, error) { blowUp() }),
		"CheckOrigin":        wspulse.WithCheckOrigin(func(r *http.Request) bool { blowUp(); return true }),
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				core, logs := observer.New(zap.WarnLevel)
				w := newWorld(t, option, wspulse.WithResumeWindow(time.Minute), wspulse.WithLogger(zap.New(core)))
				if name == "CheckOrigin" {
					if _, response, _ := w.upgrade("?room=r&id=alice", nil); response.StatusCode != 500 {
						t.Errorf("status %s", response.Status)
					}
				} else {
					w.dial("r", "alice").drop()
					again := w.dial("r", "alice")
					again.send("hello")
					synctest.Wait()
					w.must(w.server.Kick("alice"))
					again.expectClose(1000, "kicked")
					all := []string{"alice:connect", "alice:drop(1006)", "alice:restore", "alice:message(hello)",
						"alice:disconnect(nil)"}
					i := map[string]int{"OnConnect": 0, "OnTransportDrop": 1, "OnTransportRestore": 2,
						"OnDisconnect": 4}[name]
					w.expect(strings.Join(append(all[:i:i], all[i+1:]...), " "))
				}
				if logs.Len() != 1 || !strings.Contains(fmt.Sprint(logs.All()[0].ContextMap()), "blowUp") {
					t.Errorf("logged %v", logs.All())
				}
			})
		})
	}
}

func TestOnMessage_EndsItsGoroutine(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithOnMessage(func(wspulse.Connection, wspulse.Frame) { runtime.Goexit() }))
		w.dial("r", "alice").send("hello")
		w.expect("alice:connect alice:disconnect(error=wspulse: a callback ended its goroutine)")
	})
}
