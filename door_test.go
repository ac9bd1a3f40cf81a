package wspulse_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/wstest"
)

// newGate starts a world in which a request with ?wait stays in ConnectFunc until the gate is closed.
func newGate(t *testing.T, options ...wspulse.ServerOption) (w *world, gate chan struct{}) {
	t.Helper()
	gate = make(chan struct{})
	connect := func(r *http.Request) (string, string, error) {
		if r.URL.Query().Has("wait") {
			<-gate
		}
		return fromQuery(r)
	}
	w = &world{t: t, events: &journal{}}
	w.server = wspulse.NewServer(connect, append(append(w.events.callbacks(), anyOrigin), options...)...)
	w.web = wstest.NewServer(t, w.server)
	t.Cleanup(w.server.Close)
	return w, gate
}

// knock sends a request and reads nothing yet: the server is stuck in its answer, if it gives one.
func (w *world) knock(query string) net.Conn {
	w.t.Helper()
	conn, err := w.web.Listener.Dial(wstest.Faults{}, unbuffered)
	w.must(err)
	w.t.Cleanup(func() { conn.Close() })
	w.must(newUpgrade(query).Write(conn))
	synctest.Wait()
	return conn
}

// heardBy reads until the server has nothing more to say: a status, and what comes behind it.
func heardBy(conn net.Conn) string {
	in := bufio.NewReader(conn)
	response, err := http.ReadResponse(in, nil)
	if err != nil {
		return err.Error()
	}
	rest, _ := io.ReadAll(response.Body)
	if response.StatusCode == http.StatusSwitchingProtocols {
		rest, _ = io.ReadAll(in)
	}
	return fmt.Sprint(response.StatusCode, string(rest))
}

// lost is what the loser of two requests hears.
const lost = "101\x88\x19\x03\xe8duplicate connection id"

// Of two requests for one ID the later one wins, whichever ConnectFunc is done with first, and whether or not the
// session that it opened or resumed is connected when the other one comes to it.
func TestUpgrade_TheLaterRequestWins(t *testing.T) {
	for name, story := range map[string]func(w *world, early func()) (events string){
		"opened": func(w *world, early func()) string {
			early()
			w.dial("r", "alice")
			return "alice:connect"
		},
		"suspended": func(w *world, early func()) string {
			early()
			w.dial("r", "alice").drop()
			return "alice:connect alice:drop(1006)"
		},
		"resumed": func(w *world, early func()) string {
			w.dial("r", "alice").drop()
			early()
			w.dial("r", "alice")
			return "alice:connect alice:drop(1006) alice:restore"
		},
		"replaced": func(w *world, early func()) string {
			w.dial("r", "alice")
			early()
			w.dial("r", "alice")
			return "alice:connect alice:disconnect(duplicate) alice:connect"
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w, gate := newGate(t, wspulse.WithResumeWindow(time.Hour), wspulse.WithMaxConnections(2))
				var early net.Conn
				want := story(w, func() { early = w.knock("?room=r&id=alice&wait") })
				live := w.connection("r", "alice")
				close(gate)
				if got := heardBy(early); got != lost {
					t.Errorf("the earlier request heard %q", got)
				}
				if w.connection("r", "alice") != live {
					t.Error("the session is another one")
				}
				time.Sleep(time.Minute)
				if got := sorted(w.events.take()); got != sorted(want) {
					t.Errorf("events: got %q, want %q", got, want)
				}
				w.dial("r", "bob") // the seat is free
				w.refused("?room=r&id=carol", 503)
			})
		})
	}
}

// A request that comes after its session has opened resumes or replaces it, however long ConnectFunc takes.
func TestUpgrade_TheLaterRequestMayTakeItsTime(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, gate := newGate(t, wspulse.WithResumeWindow(time.Hour))
		alice := w.dial("r", "alice")
		late := w.knock("?room=r&id=alice&wait")
		alice.drop()
		w.expect("alice:connect alice:drop(1006)")
		time.Sleep(time.Minute)
		close(gate)
		go io.Copy(io.Discard, late)
		w.expect("alice:restore")
		w.dial("r", "alice")
		w.expectInAnyOrder("alice:disconnect(duplicate) alice:connect")
	})
}

// The later request wins too while it waits for the hub to know whether the peer of the session has left.
func TestUpgrade_TheLaterRequestWinsWhileItWaits(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		hold := make(chan struct{})
		w, gate := newGate(t, wspulse.WithOnMessage(func(wspulse.Connection, wspulse.Frame) { <-hold }),
			wspulse.WithMaxConnections(2))
		w.dial("r", "alice").send("work") // until its callback is done, nobody reads
		early := w.knock("?room=r&id=alice&wait")
		late := w.knock("?room=r&id=alice")
		heard := make(chan string)
		go func() { heard <- heardBy(late) }()
		synctest.Wait()
		close(gate)
		if got := heardBy(early); got != lost {
			t.Errorf("the earlier request heard %q", got)
		}
		close(hold)
		time.Sleep(time.Second)
		w.expectInAnyOrder("alice:connect alice:disconnect(duplicate) alice:connect")
		w.dial("r", "bob")
		w.refused("?room=r&id=carol", 503)
		w.must(w.connection("r", "alice").Close())
		if got, want := <-heard, "101\x88\x02\x03\xe8"; got != want {
			t.Errorf("the later request heard %q", got)
		}
	})
}

// Two upgrades of one ID under way at once are one session in the end, with one seat.
func TestUpgrade_TwoAtOnce(t *testing.T) {
	for name, story := range map[string]func(w *world, first, second net.Conn) (events string){
		"the later one ends first": func(w *world, first, second net.Conn) string {
			go io.Copy(io.Discard, second)
			w.expect("alice:connect")
			if got := heardBy(first); got != lost {
				w.t.Errorf("the earlier request heard %q", got)
			}
			return ""
		},
		"the earlier one ends first": func(w *world, first, second net.Conn) string {
			heard := make(chan string)
			go func() { heard <- heardBy(first) }()
			w.expect("alice:connect")
			go io.Copy(io.Discard, second)
			if got := <-heard; got != lost {
				w.t.Errorf("the earlier request heard %q", got)
			}
			return "alice:connect alice:disconnect(duplicate)"
		},
		"the later one resumes": func(w *world, first, second net.Conn) string {
			read := bufio.NewReader(first)
			_, err := http.ReadResponse(read, nil)
			w.must(err)
			w.expect("alice:connect")
			first.Close()
			w.expect("alice:drop(1006)")
			go io.Copy(io.Discard, second)
			return "alice:restore"
		},
		"the earlier one is given up": func(w *world, first, second net.Conn) string {
			first.Close()
			synctest.Wait()
			go io.Copy(io.Discard, second)
			return "alice:connect"
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t, wspulse.WithMaxConnections(2), wspulse.WithResumeWindow(time.Minute))
				want := story(w, w.knock("?room=r&id=alice"), w.knock("?room=r&id=alice"))
				synctest.Wait()
				if got := sorted(w.events.take()); got != want {
					t.Errorf("events: got %q, want %q", got, want)
				}
				w.dial("r", "bob") // there are two seats, and alice has one of them
				w.refused("?room=r&id=carol", 503)
				w.must(w.server.Kick("alice"))
				w.must(w.server.Kick("bob"))
				synctest.Wait()
				time.Sleep(time.Minute)
				w.dial("r", "carol")
				w.dial("r", "dave")
			})
		})
	}
}

// A client that hangs up while ConnectFunc runs is no session, and throws nobody out: not the one that it has
// redialled.
func TestUpgrade_GivenUpDuringConnectFunc(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		core, logs := observer.New(zap.DebugLevel)
		w, gate := newGate(t, wspulse.WithLogger(zap.New(core)), wspulse.WithMaxConnections(2))
		live := w.dial("r", "alice")
		w.knock("?room=r&id=alice&wait").Close()
		w.knock("?room=r&id=bob&wait").Close()
		synctest.Wait()
		close(gate)
		w.expect("alice:connect")
		w.send("alice", "still here")
		live.expect("still here")
		w.dial("r", "carol") // nobody else has a seat
		w.expect("carol:connect")
		logs = logs.FilterMessage("wspulse: upgrade refused").FilterLevelExact(zap.DebugLevel)
		if got := logs.All(); len(got) != 1 || !strings.Contains(fmt.Sprint(got[0].ContextMap()), "its client has left") {
			t.Errorf("logged %v", got)
		}
	})
}

// A canceller is a ResponseWriter whose request ends as it gives its connection away, or as that is answered.
type canceller struct {
	http.ResponseWriter
	cancel context.CancelFunc
	late   bool
}

func (c canceller) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if !c.late {
		c.cancel()
	}
	conn, buffered, err := c.ResponseWriter.(http.Hijacker).Hijack()
	return cancelConn{conn, c.cancel}, buffered, err
}

// A cancelConn ends a request with the first write.
type cancelConn struct {
	net.Conn
	cancel context.CancelFunc
}

func (c cancelConn) Write(p []byte) (int, error) {
	c.cancel()
	return c.Conn.Write(p)
}

// Wherever a request is when its context ends, it becomes no session, its seat is free, and the live session does not
// notice. It is answered if it can be, and otherwise its socket is closed.
func TestUpgrade_EndsWithItsContext(t *testing.T) {
	for _, stage := range []string{"before", "connect", "origin", "key", "hijack", "answer"} {
		t.Run(stage, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				var (
					cancel context.CancelFunc
					spent  bool
				)
				at := func(now string, r *http.Request) {
					if now == stage && r.URL.Query().Has("end") {
						cancel()
					}
				}
				w := &world{t: t, events: &journal{}}
				connect := func(r *http.Request) (string, string, error) {
					at("connect", r)
					spent = r.URL.Query().Has("end")
					return fromQuery(r)
				}
				w.server = wspulse.NewServer(connect, append(w.events.callbacks(), wspulse.WithMaxConnections(2),
					wspulse.WithCheckOrigin(func(r *http.Request) bool { at("origin", r); return true }),
					wspulse.WithConnectionLimit(func(r *http.Request) string { at("key", r); return "" }, 1))...)
				w.web = wstest.NewServer(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					ctx, end := context.WithCancel(r.Context())
					defer end()
					cancel = end
					r = r.WithContext(ctx)
					at("before", r)
					if (stage == "hijack" || stage == "answer") && r.URL.Query().Has("end") {
						rw = canceller{rw, end, stage == "answer"}
					}
					w.server.ServeHTTP(rw, r)
				}))
				t.Cleanup(w.server.Close)
				live := w.dial("r", "alice")
				want := "503the request ended before its session could open\n"
				switch stage {
				case "hijack":
					want = "unexpected EOF"
				case "answer":
					want = "101"
				}
				for _, id := range strings.Fields(strings.Repeat("alice bob ", 8)) {
					if got := heardBy(w.knock("?room=r&id=" + id + "&end")); got != want {
						t.Errorf("%s heard %q", id, got)
					}
				}
				if spent != (stage != "before") {
					t.Errorf("ConnectFunc ran: %v", spent)
				}
				w.expect("alice:connect")
				w.send("alice", "still here")
				live.expect("still here")
				w.dial("r", "carol")
			})
		})
	}
}

// A busyHub is held up while a session opens whose ID is "slow".
type busyHub struct {
	wspulse.NoopCollector
	hold chan struct{}
}

func (b busyHub) ConnectionOpened(_, id string) {
	if id == "slow" {
		<-b.hold
	}
}

// A request that ends while the hub has something else to do becomes no session either.
func TestUpgrade_EndsWhileTheHubIsBusy(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		hold := make(chan struct{})
		w, logs := newLoggedWorld(t, zap.WarnLevel, wspulse.WithMetrics(busyHub{hold: hold}),
			wspulse.WithMaxConnections(2))
		w.web = wstest.NewServer(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			ctx, end := context.WithTimeout(r.Context(), time.Minute)
			defer end()
			w.server.ServeHTTP(rw, r.WithContext(ctx))
		}))
		t.Cleanup(w.server.Close)
		go io.Copy(io.Discard, w.knock("?room=r&id=slow"))
		synctest.Wait()
		start := time.Now()
		if got := heardBy(w.knock("?room=r&id=alice")); got != "101" {
			t.Errorf("heard %q", got)
		}
		w.took(start, time.Minute)
		synctest.Wait()
		if got := logs.All(); len(got) != 1 || !strings.Contains(fmt.Sprint(got[0].ContextMap()), "deadline exceeded") {
			t.Errorf("logged %v", got)
		}
		close(hold)
		w.expect("slow:connect")
		w.dial("r", "bob")
		w.expect("bob:connect")
	})
}

// What is in front of the server may give a request less time than ConnectFunc needs. The log says so.
func TestUpgrade_TimeOfAMiddleware(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, logs := newLoggedWorld(t, zap.WarnLevel)
		ctx, end := context.WithTimeout(t.Context(), time.Minute)
		defer end()
		answer := answerTo(w.server, newUpgrade("?slow").WithContext(ctx))
		if answer.Code != 503 || answer.Header().Get("Retry-After") != "" {
			t.Errorf("%d, %v", answer.Code, answer.Header())
		}
		want := "the request ended before its session could open: context deadline exceeded; " +
			"what is in front of the server must give ConnectFunc more time"
		if got := logs.All(); len(got) != 1 || got[0].ContextMap()["error"] != want {
			t.Errorf("logged %v", got)
		}
	})
}

// The limit of WithHandshakeTimeout is told of as such, also when nobody can be answered any more.
func TestHandshakeTimeout_AfterTheHijack(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &limitRecorder{}
		w := newWorld(t, wspulse.WithMetrics(m), wspulse.WithHandshakeTimeout(time.Second))
		near, far := net.Pipe()
		go io.Copy(io.Discard, far)
		w.server.ServeHTTP(sleeper{httptest.NewRecorder(), near}, newUpgrade("?room=r&id=alice"))
		m.expect(t, "handshake_timeout()")
		if _, err := near.Write([]byte("x")); err != io.ErrClosedPipe {
			t.Errorf("the socket is open: %v", err)
		}
		w.expect("")
	})
}

// A sleeper is a ResponseWriter that takes two seconds to give its connection away.
type sleeper struct {
	*httptest.ResponseRecorder
	conn net.Conn
}

func (s sleeper) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	time.Sleep(2 * time.Second)
	return s.conn, bufio.NewReadWriter(bufio.NewReader(s.conn), bufio.NewWriter(s.conn)), nil
}
