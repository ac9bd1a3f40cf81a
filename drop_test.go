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
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/internal/rawpeer"
	"github.com/wspulse/server/wstest"
)

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
		w.expect("alice:drop(broken-pipe) alice:restore")
	})
}

func TestDrop_WhileOnConnectBlocks(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		release := make(chan struct{})
		w := newWorld(t, wspulse.WithOnConnect(func(wspulse.Connection) { <-release }))
		w.dial("r", "alice").drop()
		time.Sleep(11 * time.Second) // the first ping after 10 s fails, and the peer gets a second to have said good-bye
		synctest.Wait()
		if w.connection("r", "alice") != nil {
			t.Error("alice is still there")
		}
		w.expect("")
		close(release)
		w.expect("alice:disconnect(broken-pipe)")
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

func TestOnMessage_EndsItsGoroutine(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithOnMessage(func(wspulse.Connection, wspulse.Frame) { runtime.Goexit() }))
		w.dial("r", "alice").send("hello")
		w.expect("alice:connect alice:disconnect(error=wspulse: a callback ended its goroutine)")
	})
}

// A callback that returns late has nothing to do with the link that the session has by then.
func TestDrop_LatePingDoesNotReachTheNextTransport(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		release := make(chan struct{})
		block := wspulse.WithOnMessage(func(wspulse.Connection, wspulse.Frame) { <-release })
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute), wspulse.WithHeartbeat(4*time.Minute, 5*time.Minute), block)
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
		dialer := websocket.Dialer{NetDialTLSContext: func(context.Context, string, string) (net.Conn, error) { return client, nil }}
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
