package wspulse_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/internal/rawpeer"
	"github.com/wspulse/server/wstest"
)

func TestStory_JoinTalkLeave(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		alice, bob := w.dial("r", "alice"), w.dial("r", "bob")
		w.expectInAnyOrder("alice:connect bob:connect")
		alice.send("hello", "there")
		w.expect("alice:message(hello) alice:message(there)")
		w.broadcast("r", "all")
		w.send("bob", "one")
		alice.expect("all")
		bob.expect("all one")
		bob.drop()
		w.expect("bob:disconnect(1006)")
		alice.close(1000)
		w.expect("alice:disconnect(nil)")
	})
}

func TestRooms_AnEmptyNameIsARoomToo(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		alice := w.dial("", "alice")
		w.broadcast("", "hello")
		alice.expect("hello")
	})
}

func TestGetConnections(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Minute))
		members := func(room string) string {
			connections := w.server.GetConnections(room)
			if connections == nil {
				t.Errorf("GetConnections(%q) is nil", room)
			}
			var ids []string
			for _, c := range connections {
				ids = append(ids, c.ID()+"@"+c.RoomID())
			}
			slices.Sort(ids)
			return strings.Join(ids, " ")
		}
		for _, id := range []string{"alice", "bob", "carol"} {
			w.dial("r", id)
		}
		w.dial("other", "dave").drop()
		mine := w.server.GetConnections("r")
		w.must(w.server.Kick("alice"))
		for room, want := range map[string]string{"r": "bob@r carol@r", "other": "dave@other", "nowhere": ""} {
			if got := members(room); got != want {
				t.Errorf("%q: %q, want %q", room, got, want)
			}
		}
		if len(mine) != 3 || mine[0] == nil || mine[2] == nil {
			t.Error("the caller's slice has changed")
		}
		w.server.Close()
		if got := members("r") + members("other"); got != "" {
			t.Errorf("after Close: %q", got)
		}
	})
}

func TestUnknownIDsAndRooms(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		alice := w.dial("r", "alice")
		if err := w.server.Send("nobody", ev("x")); err != wspulse.ErrConnectionNotFound {
			t.Errorf("Send: %v", err)
		}
		if err := w.server.Kick("nobody"); err != wspulse.ErrConnectionNotFound {
			t.Errorf("Kick: %v", err)
		}
		if err := w.server.Broadcast("nowhere", ev("x")); err != nil {
			t.Errorf("Broadcast: %v", err)
		}
		alice.expect("")
	})
}

func TestErrors_Texts(t *testing.T) {
	for err, want := range map[error]string{
		wspulse.ErrConnectionNotFound:    "wspulse: connection not found",
		wspulse.ErrDuplicateConnectionID: "wspulse: kicked: duplicate connection ID",
		wspulse.ErrServerClosed:          "wspulse: server is closed",
		wspulse.ErrConnectionClosed:      "wspulse: connection is closed",
		wspulse.ErrSendBufferFull:        "wspulse: send buffer full, frame dropped",
	} {
		if err.Error() != want {
			t.Errorf("%q, want %q", err, want)
		}
	}
	var panicked error = &wspulse.PanicError{Value: io.ErrUnexpectedEOF, Stack: []byte("stack")}
	if text := panicked.Error(); text != "wspulse: onMessage panic: unexpected EOF" ||
		errors.Is(panicked, io.ErrUnexpectedEOF) {
		t.Errorf("PanicError: %q", text)
	}
}

func TestNewServer_NilConnectFunc(t *testing.T) {
	defer func() {
		if v, ok := recover().(string); !ok || !strings.HasPrefix(v, "wspulse: NewServer: ") {
			t.Errorf("NewServer(nil) panicked with %v", v)
		}
	}()
	wspulse.NewServer(nil)
}

// The last option of a kind counts, and the bubble fails if Close leaves a goroutine behind.
func TestNewServer_LastOptionCounts(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithSendBufferSize(1), wspulse.WithSendBufferSize(2))
		w.dialStalled("r", "alice")
		w.send("alice", "1", "2")
		if err := w.server.Send("alice", ev("3")); err != wspulse.ErrSendBufferFull {
			t.Errorf("Send: %v", err)
		}
		synctest.Wait()
	})
}

func TestServerClose_ManyTimesFromAnyGoroutine(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		alice := w.dialIdle("r", "alice")
		alice.mute()
		start := time.Now()
		var callers sync.WaitGroup
		for range 10 {
			callers.Go(func() {
				w.server.Close()
				w.took(start, 10*time.Second) // each call waits
			})
		}
		alice.readClose()
		callers.Wait()
		w.server.Close()
		w.expect("alice:connect alice:disconnect(server-closed)")
	})
}

// When Close returns the sockets are closed: waiting for that takes no time.
func TestServerClose_EverySocketIsClosed(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithResumeWindow(time.Hour))
		var peers []*peer
		for i := range 20 {
			peers = append(peers, w.dialIdle("r", fmt.Sprint(i)))
			if i%4 == 0 {
				peers[i].drop()
			}
		}
		w.server.Close()
		start := time.Now()
		for _, p := range peers {
			awaitHangUp(p.Conn)
		}
		w.took(start, 0)
	})
}

func TestServerClose_DoesNotWaitForCallbacks(t *testing.T) {
	for _, which := range []string{"OnConnect", "OnMessage", "OnDisconnect"} {
		t.Run(which, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				block := func(name string) {
					if name == which {
						time.Sleep(time.Hour)
					}
				}
				w := newWorld(t, wspulse.WithOnConnect(func(wspulse.Connection) { block("OnConnect") }),
					wspulse.WithOnMessage(func(wspulse.Connection, wspulse.Frame) { block("OnMessage") }),
					wspulse.WithOnDisconnect(func(wspulse.Connection, error) { block("OnDisconnect") }))
				alice := w.dial("r", "alice")
				go alice.WebSocket.WriteMessage(websocket.TextMessage, []byte("{}"))
				synctest.Wait()
				start := time.Now()
				w.server.Close()
				alice.expectClose(1001, "server shutting down")
				if took := time.Since(start); took > time.Second {
					t.Errorf("took %v", took)
				}
				time.Sleep(2 * time.Hour)
			})
		})
	}
}

func TestServerClose_EndsSuspendedSessionsAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &recorder{}
		w := newWorld(t, wspulse.WithResumeWindow(time.Hour), wspulse.WithMetrics(m))
		w.dial("r", "alice").drop()
		w.send("alice", "1", "2")
		m.take()
		start := time.Now()
		w.server.Close()
		w.expect("alice:connect alice:drop(1006) alice:disconnect(server-closed)")
		w.took(start, 0)
		if got := m.take(); got != "closed(r,alice,0s,server_close) destroyed(r) dropped(r,alice) dropped(r,alice)" {
			t.Errorf("hooks %q", got)
		}
	})
}

// handshake sends an upgrade request whose answer is not read yet, on which the server is therefore stuck.
func (w *world) handshake() *wstest.Conn {
	conn, err := w.web.Listener.Dial(unbuffered, unbuffered)
	w.must(err)
	fmt.Fprint(conn, rawpeer.Opening)
	synctest.Wait()
	return conn
}

func TestServerClose_UpgradeInProgress(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		conn := w.handshake()
		start := time.Now()
		closed := make(chan time.Duration, 1)
		go func() {
			w.server.Close()
			closed <- time.Since(start)
		}()
		time.Sleep(3 * time.Second)
		data, _ := io.ReadAll(conn)
		awaitHangUp(conn)
		w.took(start, 4*time.Second)
		if took := <-closed; took != 4*time.Second {
			t.Errorf("Close returned after %v", took)
		}
		head, tail, _ := strings.Cut(string(data), "\r\n\r\n")
		if !strings.HasPrefix(head, "HTTP/1.1 101 ") || tail != "\x88\x16\x03\xe9server shutting down" {
			t.Errorf("the peer read %q", data)
		}
		w.expect("")
	})
}

func TestServerClose_UpgradeWhosePeerDoesNotRead(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithWriteWait(5*time.Second))
		conn := w.handshake()
		start := time.Now()
		w.server.Close()
		w.took(start, 5*time.Second)
		io.Copy(io.Discard, conn)
		w.took(start, 5*time.Second)
	})
}

// Whichever way the race goes, the peer gets 503 or a close frame, and no socket is left open.
func TestServerClose_RacesUpgrades(t *testing.T) {
	outcomes := map[string]int{}
	for round := range 50 {
		inBubble(t, func(t *testing.T) {
			w := newWorld(t)
			var (
				dialers sync.WaitGroup
				said    journal
			)
			for i := range 8 {
				dialers.Go(func() {
					p, response, err := w.upgrade(fmt.Sprintf("?room=r&id=%d", i), nil)
					if err != nil {
						said.add("%d", response.StatusCode)
						return
					}
					p.StartReading()
					p.expectClose(1001, "server shutting down")
					said.add("closed")
				})
			}
			for range round * 6 {
				runtime.Gosched()
			}
			w.server.Close()
			dialers.Wait()
			synctest.Wait()
			for _, word := range strings.Fields(said.take()) {
				outcomes[word]++
			}
			opened := w.events.count("")
			if ended := strings.Count(w.events.take(), "disconnect(server-closed)"); opened != 2*ended {
				t.Errorf("%d of %d callbacks were OnDisconnect", ended, opened)
			}
		})
	}
	if outcomes["503"]+outcomes["closed"] != 400 {
		t.Errorf("outcomes %v", outcomes)
	}
}

func TestServerClose_RefusesWhatComesAfter(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.dial("r", "alice")
		w.server.Close()
		if _, response, _ := w.upgrade("?room=r&id=bob", nil); response == nil ||
			response.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("upgrade: %v", response)
		}
		for call, got := range map[string]error{
			"Broadcast":                  w.server.Broadcast("r", ev("x")),
			"Broadcast, unknown room":    w.server.Broadcast("nowhere", ev("x")),
			"Kick":                       w.server.Kick("alice"),
			"Kick, unknown connectionID": w.server.Kick("nobody"),
		} {
			if got != wspulse.ErrServerClosed {
				t.Errorf("%s: %v", call, got)
			}
		}
		if err := w.server.Send("alice", ev("x")); err != wspulse.ErrConnectionNotFound {
			t.Errorf("Send: %v", err)
		}
		if n := len(w.server.GetConnections("r")); n != 0 {
			t.Errorf("%d connections", n)
		}
	})
}

// Broadcasts that a full queue held up when Close came were accepted too.
func TestServerClose_AcceptedBroadcastsAreDeliveredOrCounted(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const calls = 3000 // more than the hub queues
		m := &slowHub{}
		w := newWorld(t, wspulse.WithMetrics(m), wspulse.WithSendBufferSize(4096))
		w.dial("r", "alice")
		session := w.connection("r", "alice")
		var accepted journal
		for range calls {
			go func() {
				if w.server.Broadcast("r", ev("b")) != nil {
					return
				}
				select {
				case <-session.Done():
				default:
					accepted.add("live")
				}
			}()
		}
		synctest.Wait()
		w.server.Close()
		synctest.Wait()
		if got, want := m.fannedOut.Load(), int64(accepted.count("live")); got < want {
			t.Errorf("%d broadcasts were accepted while the session lived, %d reached it", want, got)
		}
	})
}
