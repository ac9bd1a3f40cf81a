package wspulse_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/internal/envelope"
)

func TestSend_InOrder(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		alice := w.dial("r", "alice")
		session := w.connection("r", "alice")
		for i := range 100 {
			w.must(session.Send(ev(fmt.Sprint(2 * i))))
			w.send("alice", fmt.Sprint(2*i+1))
		}
		alice.expect(seq(0, 199))
	})
}

// slowHub makes every broadcast take the hub a millisecond for each frame that it loses and one at its end, so that
// callers are always ahead of it.
type slowHub struct {
	recorder
}

func (m *slowHub) MessageBroadcast(room string, size, fanOut int) {
	m.recorder.MessageBroadcast(room, size, fanOut)
	time.Sleep(time.Millisecond)
}

func (m *slowHub) FrameDropped(room, id string) {
	m.recorder.FrameDropped(room, id)
	time.Sleep(time.Millisecond)
}

// A caller is one goroutine that uses every way there is to reach alice.
type caller struct {
	w       *world
	session wspulse.Connection
	sent    int
}

// call makes the calls that script names, in frames of rising number. A dash lets the hub get as far as it can
// meanwhile.
func (c *caller) call(script string) {
	c.w.t.Helper()
	for _, op := range script {
		if op == '-' {
			synctest.Wait()
			continue
		}
		f := ev(fmt.Sprint(c.sent))
		c.sent++
		switch op {
		case 'b':
			c.w.must(c.w.server.Broadcast("r", f))
		case 's':
			c.w.must(c.w.server.Send("alice", f))
		case 'c':
			c.w.must(c.session.Send(f))
		}
	}
}

func TestSending_CallsOfOneGoroutineTakeEffectInOrder(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithMetrics(&slowHub{}), wspulse.WithWriteWait(30*time.Second))
		w.dialStalled("r", "slow") // loses a frame, once its buffer is full, before alice gets hers
		for range 256 {
			w.send("slow", "x")
		}
		alice := w.dial("r", "alice")
		for i := range 50 {
			w.dial("r", fmt.Sprint("crowd", i))
		}
		c := &caller{w: w, session: w.connection("r", "alice")}
		c.call("bbbcbbbsb-cb-sccbbbbbbbbbbsbbbb-cb-s")
		for range 200 {
			c.call(string("bsc"[rand.IntN(3)]))
			if rand.IntN(20) == 0 {
				time.Sleep(time.Second)
			}
		}
		time.Sleep(time.Second)
		alice.expect(seq(0, c.sent-1))
	})
}

func TestSending_EndTakesEffectAfterTheCallsBeforeIt(t *testing.T) {
	for name, tc := range map[string]struct {
		end  func(c *caller)
		code int
	}{
		"Connection.Close": {func(c *caller) { c.session.Close() }, 1000},
		"Server.Close":     {func(c *caller) { c.w.server.Close() }, 1001},
	} {
		for _, script := range []string{"bbbbbbbb", "bbbscbbs", "sssssccc", "bbbb" + strings.Repeat("bcs", 60)} {
			t.Run(name+"/"+script[:8], func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					w := newWorld(t, wspulse.WithMetrics(&slowHub{}))
					alice := w.dial("r", "alice")
					for i := range 20 {
						w.dial("r", fmt.Sprint("crowd", i))
					}
					c := &caller{w: w, session: w.connection("r", "alice")}
					c.call(script)
					tc.end(c)
					if err := c.session.Send(ev("late")); err != wspulse.ErrConnectionClosed {
						t.Errorf("Connection.Send after the end: %v", err)
					}
					if err := w.server.Send("alice", ev("late")); err != wspulse.ErrConnectionNotFound {
						t.Errorf("Server.Send after the end: %v", err)
					}
					alice.expectClose(tc.code, map[int]string{1000: "", 1001: "server shutting down"}[tc.code])
					alice.expect(seq(0, len(script)-1))
				})
			})
		}
	}
}

func TestSending_KickTakesEffectAfterTheBroadcastsBeforeIt(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &slowHub{}
		w := newWorld(t, wspulse.WithMetrics(m))
		alice, bob := w.dial("r", "alice"), w.dial("r", "bob")
		w.broadcast("r", "0", "1", "2")
		w.must(w.server.Kick("alice"))
		w.broadcast("r", "3", "4")
		time.Sleep(time.Second)
		alice.expectClose(1000, "kicked")
		bob.expect("0 1 2 3 4")
		if n := m.fannedOut.Load(); n != 3*2+2*1 {
			t.Errorf("broadcasts reached %d members in all, want 8: alice those before the kick, bob all", n)
		}
	})
}

func TestBroadcast_SameOrderForAllMembers(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithSendBufferSize(4096))
		alice, bob := w.dial("r", "alice"), w.dial("r", "bob")
		var callers sync.WaitGroup
		for i := range 4 {
			callers.Go(func() {
				for j := range 100 {
					w.broadcast("r", fmt.Sprintf("%d.%d", i, j))
				}
			})
		}
		callers.Wait()
		synctest.Wait()
		a, b := alice.read(), bob.read()
		if a != b || len(strings.Fields(a)) != 400 {
			t.Errorf("alice read %q\n  bob read %q", a, b)
		}
	})
}

func TestSend_FullBufferRefusesTheFrame(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &recorder{}
		w := newWorld(t, wspulse.WithSendBufferSize(4), wspulse.WithMetrics(m))
		alice := w.dialStalled("r", "alice")
		start := time.Now()
		w.send("alice", "1", "2", "3", "4")
		m.take()
		if err := w.server.Send("alice", ev("5")); err != wspulse.ErrSendBufferFull {
			t.Errorf("Server.Send: %v", err)
		}
		if got := m.take(); got != "dropped(r,alice)" {
			t.Errorf("Server.Send: hooks %q", got)
		}
		if err := w.connection("r", "alice").Send(ev("6")); err != wspulse.ErrSendBufferFull {
			t.Errorf("Connection.Send: %v", err)
		}
		if got := m.take(); got != "dropped(r,alice)" {
			t.Errorf("Connection.Send: hooks %q", got)
		}
		w.took(start, 0)
		alice.StartReading()
		alice.expect("plug 1 2 3 4")
	})
}

func TestSend_EncodingErrorQueuesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &recorder{}
		w := newWorld(t, wspulse.WithMetrics(m))
		alice := w.dial("r", "alice")
		m.take()
		bad := wspulse.Frame{Event: "bad", Payload: []byte("{")}
		_, want := envelope.Append(nil, bad)
		for name, err := range map[string]error{
			"Connection.Send":                w.connection("r", "alice").Send(bad),
			"Server.Send":                    w.server.Send("alice", bad),
			"Server.Broadcast":               w.server.Broadcast("r", bad),
			"Server.Broadcast, unknown room": w.server.Broadcast("nowhere", bad),
		} {
			if err == nil || err.Error() != want.Error() {
				t.Errorf("%s: %v, want %v", name, err, want)
			}
		}
		w.send("alice", "good")
		alice.expect("good")
		if got := m.take(); got != "" {
			t.Errorf("hooks %q", got)
		}
	})
}

func TestSend_CallerMayReuseThePayload(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		alice := w.dialStalled("r", "alice")
		payload := []byte(`"first"`)
		w.must(w.server.Send("alice", wspulse.Frame{Payload: payload}))
		copy(payload, `"other"`)
		alice.WebSocket.ReadMessage()
		if _, data, _ := alice.WebSocket.ReadMessage(); string(data) != `{"payload":"first"}` {
			t.Errorf("peer read %s", data)
		}
	})
}

func TestBroadcast_FullBufferLosesTheOldest(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &recorder{}
		w := newWorld(t, wspulse.WithSendBufferSize(4), wspulse.WithMetrics(m))
		alice := w.dialStalled("r", "alice")
		w.send("alice", "1", "2", "3", "4")
		m.take()
		w.broadcast("r", "5", "6")
		synctest.Wait()
		if got := m.take(); got != "dropped(r,alice) dropped(r,alice)" {
			t.Errorf("hooks %q", got)
		}
		alice.StartReading()
		alice.expect("plug 3 4 5 6")
	})
}

func TestBroadcast_SlowMemberHoldsUpNobody(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &recorder{}
		w := newWorld(t, wspulse.WithSendBufferSize(4), wspulse.WithMetrics(m))
		bob := w.dial("r", "bob")
		slow := w.dialStalled("r", "slow")
		start := time.Now()
		for i := range 1000 {
			w.broadcast("r", fmt.Sprint(i))
			bob.expect(fmt.Sprint(i))
		}
		w.took(start, 0)
		if n := m.count("dropped(r,slow)"); n != 996 || m.count("dropped") != n {
			t.Errorf("%d frames dropped, want 996, all of slow", n)
		}
		slow.StartReading()
		slow.expect("plug 996 997 998 999")
	})
}

// One frame for each member and each broadcast, and one for each Send: the peer reads it, or FrameDropped counts it.
func TestSending_DeliveredPlusDroppedIsSent(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := &recorder{}
		w := newWorld(t, wspulse.WithResumeWindow(time.Hour), wspulse.WithSendBufferSize(8), wspulse.WithMetrics(m))
		var (
			delivered journal
			sent      int64
			work      sync.WaitGroup
		)
		ids := []string{"alice", "bob", "carol"}
		for _, id := range ids {
			w.dial("r", id).drop()
			work.Go(func() { // a peer that comes, reads for a moment and is cut
				for range 100 {
					p, _, err := w.upgrade("?room=r&id="+id, nil)
					if err != nil {
						t.Error(err)
						return
					}
					cut := time.AfterFunc(time.Millisecond, p.Drop)
					for err == nil {
						if _, _, err = p.WebSocket.ReadMessage(); err == nil {
							delivered.add("frame")
						}
					}
					cut.Stop()
					time.Sleep(time.Millisecond)
				}
			})
		}
		work.Go(func() {
			for i := range 2000 {
				w.broadcast("r", "b")
				w.server.Send(ids[i%3], ev("s"))
				sent += 3 + 1
				if i%10 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
		})
		work.Wait()
		w.server.Close()
		got, lost := delivered.count("frame"), m.count("dropped")
		if int64(got+lost) != sent || got == 0 || lost == 0 {
			t.Errorf("%d delivered + %d dropped, want %d", got, lost, sent)
		}
	})
}

// countingCodec counts what it encodes.
type countingCodec struct {
	wspulse.Codec
	encoded atomic.Int64
}

func (c *countingCodec) Encode(f wspulse.Frame) ([]byte, error) {
	c.encoded.Add(1)
	return c.Codec.Encode(f)
}

func TestBroadcast_EncodesOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		codec := &countingCodec{Codec: wspulse.JSONCodec}
		w := newWorld(t, wspulse.WithCodec(codec))
		for i := range 20 {
			defer w.dial("r", fmt.Sprint(i)).expect("hello")
		}
		w.broadcast("r", "hello")
		if n := codec.encoded.Load(); n != 1 {
			t.Errorf("encoded %d times", n)
		}
	})
}
