package wspulse_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	wspulse "github.com/wspulse/server"
)

// What a limit must not do to a peer that keeps to it.

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
					time.Sleep(2 * time.Minute)
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

// A session that has ended and still writes costs nobody else a frame.
func TestMemoryBudget_EndedSessionsDoNotCount(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &limitRecorder{}
		w := newWorld(t, wspulse.WithMemoryBudget(int64(16*eventFrame)), wspulse.WithMetrics(m))
		w.dialStalled("r", "alice")
		bob := w.dial("r", "bob")
		for i := range 16 {
			w.send("alice", string(rune('a'+i)))
		}
		w.must(w.connection("r", "alice").Close())
		for i := range 40 {
			w.broadcast("r", fmt.Sprint(i))
			synctest.Wait()
		}
		bob.expect(seq(0, 39))
		m.expect(t, "")
		time.Sleep(time.Minute) // alice is given up
		m.expect(t, strings.TrimSpace(strings.Repeat("dropped(alice) ", 17)))
		for i := range 10 {
			w.send("bob", fmt.Sprint(i))
		}
		bob.expect(seq(0, 9))
		m.expect(t, "")
	})
}

// A client that hangs up during ConnectFunc has not taken too long; a check that takes too long has.
func TestHandshakeTimeout_IsForTime(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &limitRecorder{}
		w := newWorld(t, wspulse.WithHandshakeTimeout(time.Minute), wspulse.WithMetrics(m),
			wspulse.WithCheckOrigin(func(*http.Request) bool { time.Sleep(2 * time.Minute); return true }))
		client, err := w.web.Listener.Dial(unbuffered, unbuffered)
		w.must(err)
		fmt.Fprint(client, "GET /?slow HTTP/1.1\r\nHost: x\r\n\r\n")
		time.Sleep(time.Second)
		client.Close()
		m.expect(t, "")
		response := recordUpgrade(w.server)
		if response.Code != 503 || response.Header().Get("Retry-After") == "" {
			t.Errorf("status %d, header %v", response.Code, response.Header())
		}
		m.expect(t, "handshake_timeout()")
	})
}
