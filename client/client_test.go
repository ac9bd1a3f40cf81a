package client_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/client"
	"github.com/wspulse/server/wstest"
)

func TestClient_Talks(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		u := w.dial()
		u.say("a", "b")
		w.send("x", "y")
		w.expect("a b")
		u.expect("x y")
		if u.ID() != "alice" || u.Pending() != 2 {
			t.Errorf("%s has %d pending", u.ID(), u.Pending())
		}
		start := time.Now()
		w.must(u.Drained(t.Context()))
		if took := time.Since(start); took != time.Second {
			t.Errorf("drained after %v", took)
		}
		w.must(u.Close())
		w.must(u.Close())
		u.expect("disconnect(nil)")
		if err := u.Send(client.Frame{}); !errors.Is(err, client.ErrConnectionClosed) {
			t.Error(err)
		}
		if len(w.server.GetConnections("r")) != 0 {
			t.Error("the server keeps a session that is over")
		}
	})
}

// What was under way when the connection broke comes once, in both directions.
func TestResume_LosesNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		u := w.dial()
		u.conn().Upstream(wstest.Faults{BlackHole: true})
		u.conn().Downstream(wstest.Faults{BlackHole: true})
		u.say("a", "b")
		w.send("x", "y")
		u.expect("")
		u.drop(false)
		u.say("c")
		w.send("z")
		time.Sleep(2 * time.Second)
		u.expect("drop restore x y z")
		w.expect("a b c")
	})
}

// The client notices first, and does not wait for the server to notice.
func TestResume_TakesOver(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		u := w.dial()
		u.conn().Upstream(wstest.Faults{BlackHole: true})
		u.conn().Downstream(wstest.Faults{BlackHole: true})
		u.say("a")
		w.send("x")
		time.Sleep(27 * time.Second) // 2.5 heartbeats, and the wait
		u.expect("drop restore x")
		w.expect("a")
	}, wspulse.WithHeartbeat(10*time.Second, 10*time.Minute))
}

func TestSessionLost_TellsWhatWasNotProcessed(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		u := w.dial()
		u.say("a", "b")
		w.expect("a b")
		u.conn().Upstream(wstest.Faults{BlackHole: true})
		u.say("c", "d")
		synctest.Wait()
		u.drop(true)
		u.say("e")
		time.Sleep(2 * time.Minute)
		u.heal()
		time.Sleep(time.Minute)
		u.expect("drop lost:expired(c,d) restore")
		w.expect("e")
		w.must(u.Drained(t.Context()))
	})
}

func TestGap_IsToldInOrder(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		u := w.dial()
		u.drop(true)
		for _, event := range strings.Fields("1 2 3 4 5") {
			w.must(w.server.Broadcast("r", wspulse.Frame{Event: event}))
			synctest.Wait()
		}
		u.heal()
		time.Sleep(time.Minute)
		w.send("6")
		u.expect("drop restore gap:3 4 5 6")
	}, wspulse.WithSendBufferSize(2))
}

// A message that is too large is a gap, and does not come again for ever.
func TestGap_MessageTooLarge(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		u := w.dial(client.WithMaxMessageSize(512))
		w.send("x", strings.Repeat("y", 1000), "z")
		time.Sleep(2 * time.Second)
		u.expect("x gap:1 drop restore z")
	})
}

// What is pending when the client is ended is lost, and said.
func TestSessionLost_AtTheEnd(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		u := w.dial()
		u.say("a")
		w.expect("a")
		w.must(w.server.Kick("alice"))
		<-u.Done()
		u.expect("lost:kicked(a) disconnect(kicked 1000)")
	})
}

func TestBye_EndsTheClient(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		u := w.dial()
		w.must(w.server.Kick("alice"))
		<-u.Done()
		u.expect("disconnect(kicked 1000)")
	})
}

func TestBye_SaysWhenToComeBack(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		u := w.dial()
		w.server.Close()
		time.Sleep(4 * time.Second)
		u.expect("drop")
		time.Sleep(10 * time.Second)
		if n := len(u.dialed()); n < 2 {
			t.Errorf("%d dials", n)
		}
		w.must(u.Close())
		u.expect("disconnect(nil)")
	})
}

func TestBackoff_Grows(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		u := w.dial(client.WithReconnect(5, time.Second, 4*time.Second), client.WithJitter(0))
		u.drop(true)
		<-u.Done()
		u.expect("drop disconnect(network)")
		var waits []time.Duration
		dials := u.dialed()
		for i := 1; i < len(dials); i++ {
			waits = append(waits, dials[i].Sub(dials[i-1])/time.Second)
		}
		if want := []time.Duration{1, 2, 4, 4, 4}; !equal(waits, want) {
			t.Errorf("waits of %v s, want %v", waits, want)
		}
	})
}

func equal(a, b []time.Duration) bool {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return false
		}
	}
	return len(a) == len(b)
}

// The waits are spread over all of the time, or clients that lose one server come back to it together.
func TestBackoff_FullJitter(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		u := w.dial(client.WithReconnect(300, time.Second, 10*time.Second), client.WithJitter(1))
		u.drop(true)
		<-u.Done()
		least, most := time.Hour, time.Duration(0)
		dials := u.dialed()
		for i := 5; i < len(dials); i++ { // where the limit is reached
			wait := dials[i].Sub(dials[i-1])
			least, most = min(least, wait), max(most, wait)
		}
		if least > time.Second || most < 9*time.Second || most > 10*time.Second {
			t.Errorf("waits from %v to %v", least, most)
		}
	})
}

func TestBackoff_CountsAnewAfterAGoodSession(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		u := w.dial(client.WithReconnect(2, time.Second, time.Second))
		for range 5 {
			time.Sleep(6 * time.Second) // one to come back, and 5 s of a session
			u.drop(false)
		}
		time.Sleep(1500 * time.Millisecond)
		u.expect(strings.TrimSpace(strings.Repeat("drop restore ", 5)))
		u.drop(false) // half a second of a session counts for nothing, nor do those that follow
		time.Sleep(1500 * time.Millisecond)
		u.drop(false)
		<-u.Done()
		u.expect("drop restore drop disconnect(network)")
	})
}

// A dial that fails says whether it was refused.
func TestDial_Refused(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		expired := client.WithHeader(func() (http.Header, error) {
			return http.Header{"Authorization": {"expired"}}, nil
		})
		var refused *client.RefusedError
		if _, err := w.tryDial(expired); !errors.As(err, &refused) || refused.Code != 4401 || !refused.Reconnect ||
			refused.Reason != "unauthorized" {
			t.Errorf("in band: %v", err)
		}
		if _, err := w.tryDial(expired, client.WithoutProtocol()); !errors.As(err, &refused) || refused.Status != 401 {
			t.Errorf("by status: %v", err)
		}
		if _, err := w.tryDial(client.WithDialer(func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: errors.New("unreachable")}
		})); errors.As(err, &refused) || !errors.As(err, new(*net.OpError)) {
			t.Errorf("network: %v", err)
		}
	})
}

// A token that has expired is fetched again, at once.
func TestReconnect_FetchesANewToken(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		calls := 0
		u := w.dial(client.WithHeader(func() (http.Header, error) {
			if calls++; calls == 2 {
				return http.Header{"Authorization": {"expired"}}, nil
			}
			return nil, nil
		}), client.WithReconnect(-1, time.Second, time.Second), client.WithJitter(0))
		u.drop(false)
		time.Sleep(1500 * time.Millisecond)
		u.expect("drop restore")
	})
}

// Once in all, or a server that refuses everybody gets twice the load.
func TestReconnect_FetchesATokenOnlyOnceAtOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		calls := 0
		u := w.dial(client.WithHeader(func() (http.Header, error) {
			if calls++; calls > 1 {
				return http.Header{"Authorization": {"expired"}}, nil
			}
			return nil, nil
		}), client.WithReconnect(-1, time.Second, time.Second), client.WithJitter(0))
		u.drop(false)
		time.Sleep(2500 * time.Millisecond)
		if synctest.Wait(); calls != 4 { // the first dial, two after the first wait, one after the second
			t.Errorf("%d calls", calls)
		}
	})
}

func TestCallbacks_MayBlockAndPanic(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var u *user
		release := make(chan struct{})
		u = w.dial(client.WithOnMessage(func(c client.Client, f client.Frame) {
			switch f.Event {
			case "block":
				<-release
			case "panic":
				panic("mine")
			case "close":
				_ = c.Close()
			}
			u.events.add("%s", f.Event)
		}))
		w.send("block", "x", "panic", "y", "close", "z")
		synctest.Wait()
		u.drop(false)
		time.Sleep(10 * time.Second)
		u.say("a")
		w.expect("a")
		close(release)
		u.expect("block x y close z drop restore disconnect(nil)")
	})
}

func TestSend_Refuses(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		u := w.dial(client.WithSendBuffer(2))
		err := u.Send(client.Frame{Event: strings.Repeat("x", 600)})
		if err == nil || !strings.Contains(err.Error(), "and the server takes 512") {
			t.Error(err)
		}
		u.drop(true)
		u.say("a", "b")
		if err := u.Send(client.Frame{Event: "c"}); !errors.Is(err, client.ErrSendBufferFull) {
			t.Error(err)
		}
	})
}

// As many messages are under way as the server lets; the others wait.
func TestSend_WaitsForAcknowledgements(t *testing.T) {
	var release chan struct{}
	n := 0
	inWorld(t, func(t *testing.T, w *world) {
		release = make(chan struct{})
		u := w.dial(client.WithSendBuffer(1000))
		for range 1000 {
			u.say("a")
		}
		time.Sleep(10 * time.Second)
		if u.Pending() != 1000 {
			t.Errorf("%d pending", u.Pending())
		}
		close(release)
		w.must(u.Drained(t.Context()))
		if synctest.Wait(); n != 1000 {
			t.Errorf("the server got %d", n)
		}
	}, wspulse.WithOnMessage(func(wspulse.Connection, wspulse.Frame) { <-release; n++ }))
}

func TestWithoutProtocol(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		u := w.dial(client.WithoutProtocol())
		u.say("a")
		w.send("x")
		w.expect("a")
		w.must(u.Drained(t.Context()))
		u.drop(true)
		w.send("y")
		u.say("b")
		u.heal()
		time.Sleep(time.Minute)
		u.expect("x drop restore y")
		w.expect("b")
		w.must(u.Close())
		u.expect("disconnect(nil)")
	})
}

func TestDial_NeedsTheProtocol(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, web: wstest.NewServer(t, http.HandlerFunc(echoWithoutProtocol))}
		_, err := w.tryDial()
		if err == nil || !strings.Contains(err.Error(), "use WithoutProtocol") {
			t.Error(err)
		}
	})
}

// Without a window a drop is a lost session.
func TestSessionLost_NoWindow(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		u := w.dial()
		u.say("a")
		w.expect("a")
		w.must(u.Drained(t.Context()))
		u.drop(false)
		time.Sleep(2 * time.Second)
		u.expect("drop lost:dropped() restore")
		u.say("b")
		w.expect("b")
	}, wspulse.WithResumeWindow(0))
}

// Close says bye, also with messages that wait.
func TestClose_SendsWhatIsQueued(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		u := w.dial()
		u.say("a", "b", "c")
		w.must(u.Close())
		w.expect("a b c")
		if len(w.server.GetConnections("r")) != 0 {
			t.Error("the session is still there")
		}
	})
}

func TestClose_WithoutANetwork(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		u := w.dial()
		u.drop(true)
		u.say("a")
		w.must(u.Close())
		if err := u.Drained(t.Context()); !errors.Is(err, client.ErrConnectionClosed) {
			t.Error(err)
		}
		u.expect("drop disconnect(nil)")
	})
}
