package wspulse_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"go.uber.org/zap"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/internal/rawpeer"
	"github.com/wspulse/server/wstest"
)

// An upgrade for a session that is there takes no seat. It may be held up until that session is gone, and then it must
// find one.
func TestMaxConnections_HeldUpgradesNeedSeats(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &limitRecorder{}
		w := newWorld(t, wspulse.WithMaxConnections(2), wspulse.WithMetrics(m))
		alice, bob := w.dial("r", "alice"), w.dial("r", "bob")
		conn, err := w.web.Listener.Dial(wstest.Faults{}, unbuffered)
		w.must(err)
		defer conn.Close()
		io.WriteString(conn, strings.Replace(rawpeer.Opening, "id=mallory", "id=alice", 1))
		synctest.Wait() // the server is stuck in its answer
		alice.drop()
		bob.drop()
		w.dial("r", "carol")
		w.dial("r", "dave")
		w.events.take()
		answer, err := io.ReadAll(conn)
		w.must(err)
		head, frames, _ := strings.Cut(string(answer), "\r\n\r\n")
		if want := "\x88\x16\x03\xf5too many connections"; !strings.Contains(head, " 101 ") || frames != want {
			t.Errorf("read %q, want a 101 and %q", answer, want)
		}
		w.expect("")
		m.expect(t, "max_connections(alice)")
	})
}

// Replacing a session takes a seat of the key that it is replaced by.
func TestConnectionLimit_ReplacingUnderAnotherKey(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		user := func(r *http.Request) string { return r.URL.Query().Get("user") }
		w := newWorld(t, wspulse.WithConnectionLimit(user, 1), wspulse.WithMaxConnections(2))
		w.dial("r", "1&user=a")
		b := w.dial("r", "2&user=b")
		intruder := w.dial("r", "2&user=a") // the session of b is not ended for it
		intruder.expectClose(1013, "too many connections")
		w.server.Send("2", ev("still here"))
		b.expect("still here")
		w.dial("r", "2&user=b")
		b.expectClose(1000, "duplicate connection id")
		w.dial("r", "2&user=c")
		w.dial("r", "1&user=b")
	})
}

type hijackPanics struct{ http.ResponseWriter }

func (hijackPanics) Hijack() (net.Conn, *bufio.ReadWriter, error) { panic("this middleware cannot") }

func TestMaxConnections_PanicOfMiddlewareFreesTheSeat(t *testing.T) {
	server := wspulse.NewServer(fromQuery, anyOrigin, wspulse.WithMaxConnections(1))
	defer server.Close() // waits for upgrades under way
	for range 2 {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(rawpeer.Opening)))
		if err != nil {
			t.Fatal(err)
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			server.ServeHTTP(hijackPanics{httptest.NewRecorder()}, r)
		}()
	}
}

// What waited for a callback is free, but the time in callbacks does not count twice.
func TestMessageRate_CallbacksDoNotRaiseIt(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithMessageRate(10, 5), sleepInOnMessage)
		alice := w.dial("r", "alice")
		sent, start := 0, time.Now()
		for ; sent < 1000; sent++ {
			select {
			case <-alice.Done():
			default:
				alice.WebSocket.WriteMessage(1, []byte(`{"event":"50ms"}`))
				time.Sleep(51 * time.Millisecond)
				continue
			}
			break
		}
		if most := 10*time.Since(start).Seconds() + 6; float64(sent) > most {
			t.Errorf("%d messages in %v, want %.0f at most", sent, time.Since(start), most)
		}
	})
}

// Nor is it saved up for a time when nothing waits.
func TestMessageRate_CallbacksRaiseNoLaterBurst(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithMessageRate(10, 5), sleepInOnMessage)
		alice := w.dial("r", "alice")
		alice.send("10s")
		time.Sleep(time.Hour + time.Second)
		alice.send("", "", "", "", "")
		synctest.Wait()
		alice.WebSocket.WriteMessage(1, []byte("{}"))
		alice.expectClose(1008, "more than 10 messages a second, after a burst of 5")
	})
}

// sleepInOnMessage sleeps for as long as the event says.
var sleepInOnMessage = wspulse.WithOnMessage(func(_ wspulse.Connection, f wspulse.Frame) {
	took, _ := time.ParseDuration(f.Event)
	time.Sleep(took)
})

// Frames that go back to their queues when a write fails count again.
func TestMemoryBudget_HoldsAfterFailedWrites(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &limitRecorder{}
		w := newWorld(t, wspulse.WithMemoryBudget(100<<10), wspulse.WithResumeWindow(time.Hour), wspulse.WithMetrics(m))
		large := wspulse.Frame{Payload: []byte(`"` + strings.Repeat("x", 60<<10) + `"`)}
		const peers = 5
		for i := range peers {
			id := fmt.Sprint(i)
			w.dialIdle("r", id).mute()
			w.must(w.server.Send(id, large))
			synctest.Wait() // its write pump has the frame
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := m.count("dropped"); got < peers-1 {
			t.Errorf("%d frames of 60 KiB dropped, want at least all but one of %d", got, peers)
		}
	})
}

// A session keeps its IDs, not the request that they were parts of.
func TestSession_KeepsNothingOfTheRequest(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var roomID, connectionID string
		w := &world{t: t, events: &journal{}}
		w.server = wspulse.NewServer(func(r *http.Request) (string, string, error) {
			var err error
			roomID, connectionID, err = fromQuery(r)
			return roomID, connectionID, err
		}, anyOrigin)
		w.web = wstest.NewServer(t, w.server)
		w.dial("room", "alice")
		alice := w.connection("room", "alice")
		if unsafe.StringData(alice.ID()) == unsafe.StringData(connectionID) || unsafe.StringData(alice.RoomID()) == unsafe.StringData(roomID) {
			t.Error("the session's IDs are parts of the request")
		}
	})
}

// A log line is short, whatever the request holds.
func TestLog_RequestsAreCut(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, logs := newLoggedWorld(t, zap.WarnLevel, wspulse.WithCheckOrigin(wspulse.SameOrigin))
		long := strings.Repeat("\x80", 10_000)
		origin := httptest.NewRequest("GET", "/?room=r&id=mallory", nil)
		origin.Header["Origin"] = []string{long, long}
		method := httptest.NewRequest("GET", "/?room=r&id=mallory", nil)
		method.Method = long
		for _, r := range []*http.Request{origin, method} {
			w.server.ServeHTTP(httptest.NewRecorder(), r)
			time.Sleep(time.Second) // the log has one such line a second
		}
		if logs.Len() != 2 {
			t.Errorf("logged %v", logs.All())
		}
		for _, entry := range logs.All() {
			if line := fmt.Sprint(entry.Message, entry.ContextMap()); len(line) > 1000 {
				t.Errorf("a line of %d bytes: %.200s", len(line), line)
			}
		}
	})
}
