package wspulse_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/internal/rawpeer"
	"github.com/wspulse/server/wstest"
)

// refused connects a peer that must be refused with that status, and told when to come again.
func (w *world) refused(query string, status int) {
	w.t.Helper()
	p, response, err := w.upgrade(query, nil)
	switch {
	case err == nil:
		p.Drop()
		w.t.Errorf("%s: accepted, want %d", query, status)
	case response == nil:
		w.t.Errorf("%s: %v", query, err)
	case response.StatusCode != status || response.Header.Get("Retry-After") == "":
		w.t.Errorf("%s: %s, Retry-After %q, want %d", query, response.Status, response.Header.Get("Retry-After"),
			status)
	}
}

type hijackPanics struct{ http.ResponseWriter }

func (hijackPanics) Hijack() (net.Conn, *bufio.ReadWriter, error) { panic("this middleware cannot") }

// Sessions count, connected or not; a session that resumes or is replaced counts once.
func TestMaxConnections(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &limitRecorder{}
		w := newWorld(t, wspulse.WithMaxConnections(2), wspulse.WithResumeWindow(time.Minute), wspulse.WithMetrics(m))
		w.dial("r", "alice").drop()
		w.dial("r", "bob")
		w.refused("?room=r&id=carol", 503)
		m.expect(t, "max_connections()")
		w.dial("r", "alice")
		w.dial("r", "bob")
		w.refused("?room=r&id=carol", 503)
		w.must(w.server.Kick("bob"))
		synctest.Wait() // its OnDisconnect has returned
		w.dial("r", "carol").drop()
		w.refused("?room=r&id=bob", 503)
		time.Sleep(time.Minute)
		synctest.Wait()
		w.dial("r", "bob")
	})
}

// A request that fails leaves its seat to the next one.
func TestMaxConnections_FailedUpgradesDoNotCount(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithMaxConnections(1))
		for range 3 {
			for query, status := range map[string]int{"?refuse": 401, "?room=r&id=alice": 500} {
				if answer := answerTo(w.server, newUpgrade(query)); answer.Code != status {
					t.Errorf("%s: status %d", query, answer.Code)
				}
			}
		}
		w.dial("r", "alice")
		w.refused("?room=r&id=bob", 503)
	})
}

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
		if want := "\x88\x49\x03\xf5" + noSeat; !strings.Contains(head, " 101 ") || frames != want {
			t.Errorf("read %q, want a 101 and %q", answer, want)
		}
		w.expect("")
		m.expect(t, "max_connections(alice)")
	})
}

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

func TestConnectionLimit(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &limitRecorder{}
		user := func(r *http.Request) string {
			if r.URL.Query().Get("user") == "bad" {
				panic("no user")
			}
			return r.URL.Query().Get("user")
		}
		w := newWorld(t, wspulse.WithConnectionLimit(user, 2), wspulse.WithMetrics(m))
		w.dial("r", "a1&user=a")
		w.dial("r", "a2&user=a")
		w.refused("?room=r&id=a3&user=a", 429)
		m.expect(t, "connection_limit()")
		w.dial("r", "b1&user=b")
		for i := range 3 {
			w.dial("r", fmt.Sprintf("n%d", i)) // no key, no limit
		}
		if _, response, err := w.upgrade("?room=r&id=x&user=bad", nil); err == nil || response.StatusCode != 500 {
			t.Errorf("key panics: %v", err)
		}
		w.must(w.server.Kick("a1"))
		synctest.Wait() // its OnDisconnect has returned
		w.dial("r", "a3&user=a")
		w.refused("?room=r&id=a4&user=a", 429)
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
		intruder.expectClose(1013, noSeatOfKey)
		w.server.Send("2", ev("still here"))
		b.expect("still here")
		w.dial("r", "2&user=b")
		b.expectClose(1000, "duplicate connection id")
		w.dial("r", "2&user=c")
		w.dial("r", "1&user=b")
	})
}

func TestHandshakeTimeout(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &limitRecorder{}
		w := newWorld(t, wspulse.WithHandshakeTimeout(time.Second), wspulse.WithMetrics(m))
		start := time.Now()
		w.refused("?slow", 503)
		w.took(start, time.Second)
		m.expect(t, "handshake_timeout()")
		w.dial("r", "alice")
		time.Sleep(time.Minute)
		w.expect("alice:connect")
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
		w.must(newUpgrade("?slow").Write(client))
		time.Sleep(time.Second)
		client.Close()
		m.expect(t, "")
		response := answerTo(w.server, newUpgrade("?room=r&id=alice"))
		if response.Code != 503 || response.Header().Get("Retry-After") == "" {
			t.Errorf("status %d, header %v", response.Code, response.Header())
		}
		m.expect(t, "handshake_timeout()")
	})
}

// A seat is free when the callbacks of its session have returned, however the session has ended: with a limit of one
// there is one callback at once.
func TestConnectionLimit_SeatIsFreeWhenTheCallbacksHaveReturned(t *testing.T) {
	for name, end := range map[string]func(w *world, p *peer){
		"Kick":         func(w *world, _ *peer) { w.must(w.server.Kick("alice")) },
		"Close":        func(w *world, _ *peer) { w.must(w.connection("r", "alice").Close()) },
		"leaves":       func(_ *world, p *peer) { p.drop(); time.Sleep(time.Second) },
		"is refused":   func(_ *world, p *peer) { p.close(4000); time.Sleep(time.Second) },
		"has replaced": func(*world, *peer) {},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				release := make(chan struct{})
				var running, most atomic.Int64
				w := newWorld(t, wspulse.WithConnectionLimit(func(*http.Request) string { return "one" }, 1),
					wspulse.WithOnMessage(func(wspulse.Connection, wspulse.Frame) {
						most.Store(max(most.Load(), running.Add(1)))
						<-release
						running.Add(-1)
					}))
				alice := w.dial("r", "alice")
				alice.send("work")
				time.Sleep(time.Second)
				end(w, alice)
				for range 20 {
					if p, _, err := w.upgrade("?room=r&id=alice", nil); err == nil { // to replace, until it has no seat
						p.StartReading()
						p.expectClose(1013, noSeatOfKey)
					}
				}
				close(release)
				time.Sleep(time.Second)
				again := w.dial("r", "alice")
				again.send("work")
				time.Sleep(time.Second)
				if n := most.Load(); n != 1 {
					t.Errorf("%d callbacks at once", n)
				}
				w.server.Send("alice", ev("hello"))
				again.expect("hello")
			})
		})
	}
}

// The same where the last callback is OnDisconnect.
func TestMaxConnections_OnDisconnectKeepsTheSeat(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithMaxConnections(1),
			wspulse.WithOnDisconnect(func(wspulse.Connection, error) { time.Sleep(time.Minute) }))
		w.dial("r", "alice").drop()
		w.refused("?room=r&id=bob", 503)
		time.Sleep(time.Minute)
		synctest.Wait()
		w.dial("r", "bob")
		w.server.Close()
		time.Sleep(time.Minute)
	})
}
