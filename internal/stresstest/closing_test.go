package stresstest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	wspulse "github.com/wspulse/server"
)

// closings are the orderly ends, and whether they write what is queued.
var closings = map[string]struct {
	do     func(w *netWorld, alice wspulse.Connection)
	code   int
	reason string
	flush  bool
}{
	"Connection.Close": {func(_ *netWorld, alice wspulse.Connection) { _ = alice.Close() }, 1000, "", true},
	"Kick":             {func(w *netWorld, _ wspulse.Connection) { _ = w.server.Kick("alice") }, 1000, "kicked", false},
	"Server.Close":     {func(w *netWorld, _ wspulse.Connection) { w.server.Close() }, 1001, "server shutting down", true},
}

// A peer that goes on sending, reads slowly, or whose callback is busy reads what was flushed and the close code, as long as it
// takes no longer than writeWait.
func TestClosing_PeerGetsAllOfIt(t *testing.T) {
	const frames, size = 100, 4000
	for name, end := range closings {
		for _, busy := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, callback busy: %t", name, busy), func(t *testing.T) {
				tally := &loadTally{}
				release := make(chan struct{})
				called := make(chan struct{}, 1)
				w := newNetWorld(t, wspulse.WithMetrics(tally),
					wspulse.WithOnMessage(func(wspulse.Connection, wspulse.Frame) {
						select {
						case called <- struct{}{}:
						default:
						}
						if busy {
							<-release
						}
					}))
				defer close(release)
				alice := w.dialWith(w.dialerOf(100<<10), "r", "alice") // less than a segment would make the kernel slow
				session := w.session("r", "alice")
				if err := say(alice, "work"); err != nil {
					t.Fatal(err)
				}
				<-called
				for i := range frames {
					f := ev(fmt.Sprint(i))
					f.Payload = []byte(`"` + strings.Repeat("y", size) + `"`)
					if err := session.Send(f); err != nil {
						t.Fatal(err)
					}
				}
				stopped := make(chan struct{})
				go func() {
					defer close(stopped)
					for say(alice, "tick") == nil {
						time.Sleep(20 * time.Millisecond)
					}
				}()
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					end.do(w, session)
				}()
				got := 0
				for {
					_, _, err := alice.ReadMessage()
					var closed *websocket.CloseError
					if err != nil {
						if !errors.As(err, &closed) || closed.Code != end.code || closed.Text != end.reason {
							t.Errorf("after %d of %d frames: %v, want close %d %q", got, frames, err, end.code, end.reason)
						}
						break
					}
					got++
					time.Sleep(15 * time.Millisecond)
				}
				_ = alice.Close()
				<-stopped
				<-ended
				if end.flush && got != frames {
					t.Errorf("the peer got %d of %d frames", got, frames)
				}
				eventually(t, "every frame is counted once", func() bool {
					return tally.sent.Load()+tally.dropped.Load() == frames && tally.sent.Load() == int64(got)
				})
			})
		}
	}
}

// What was flushed and not taken by the peer when writeWait is over is counted as dropped.
func TestClosing_WhatThePeerDidNotGetIsCounted(t *testing.T) {
	needKernel(t)
	const frames = 200
	tally := &loadTally{}
	w := newNetWorld(t, wspulse.WithMetrics(tally), wspulse.WithWriteWait(500*time.Millisecond))
	w.listener.buffers.Store(4 << 10)
	alice := w.dial("r", "alice")
	session := w.session("r", "alice")
	for i := range frames {
		f := ev(fmt.Sprint(i))
		f.Payload = []byte(`"` + strings.Repeat("y", 1000) + `"`)
		if err := session.Send(f); err != nil {
			t.Fatal(err)
		}
	}
	start := time.Now()
	w.server.Close()
	if took := time.Since(start); took < 400*time.Millisecond || took > 5*time.Second {
		t.Errorf("Server.Close took %v, writeWait is 500ms", took)
	}
	got := 0
	for {
		if _, _, err := alice.ReadMessage(); err != nil {
			break
		}
		got++
	}
	if got == 0 || got == frames {
		t.Fatalf("the peer got %d of %d frames: this tries nothing", got, frames)
	}
	if sent, dropped := tally.sent.Load(), tally.dropped.Load(); sent+dropped != frames || sent != int64(got) {
		t.Errorf("%d sent, %d dropped, the peer got %d of %d", sent, dropped, got, frames)
	}
}

// A gate holds the hub up when a session named "gate" opens.
type gate struct {
	*loadTally
	reached, open chan struct{}
}

func (g gate) ConnectionOpened(_, id string) {
	if id == "gate" {
		close(g.reached)
		<-g.open
	}
}

// What was flushed counts as dropped too if the peer's TCP has not taken it, though the kernel has.
func TestClosing_WhatTheKernelKeepsIsCounted(t *testing.T) {
	needKernel(t)
	const frames = 100
	flushed := func() (dropped bool) {
		g := gate{&loadTally{}, make(chan struct{}), make(chan struct{})}
		w := newNetWorld(t, wspulse.WithMetrics(g), wspulse.WithWriteWait(300*time.Millisecond))
		alice := w.dial("r", "alice")
		if err := alice.NetConn().(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
			t.Fatal(err)
		}
		session := w.session("r", "alice")
		w.dial("other", "gate")
		<-g.reached
		f := ev("large")
		f.Payload = []byte(`"` + strings.Repeat("y", 2000) + `"`)
		for range frames {
			if err := w.server.Broadcast("r", f); err != nil {
				t.Fatal(err)
			}
		}
		closing := make(chan struct{})
		go func() {
			close(closing)
			_ = session.Close()
		}()
		<-closing
		time.Sleep(20 * time.Millisecond) // until its call is in the queue
		close(g.open)                     // the broadcasts and the end come to alice together
		w.server.Close()
		if n := g.sent.Load() + g.dropped.Load(); n != frames {
			t.Errorf("%d frames are counted", n)
		}
		got := int64(0)
		for ; ; got++ {
			if _, _, err := alice.ReadMessage(); err != nil {
				break
			}
		}
		if sent := g.sent.Load(); got != sent {
			t.Errorf("%d frames count as sent, the peer got %d", sent, got)
		}
		return g.dropped.Load() > 0
	}
	for range 5 { // the write pump may have been faster
		if flushed() {
			return
		}
	}
	t.Error("nothing was counted as dropped")
}

// The outbound half is ended when the peer is silent, and not while it sends: a proxy would cut it.
func TestClosing_HalfCloseWaitsForSilence(t *testing.T) {
	w := newNetWorld(t, wspulse.WithWriteWait(30*time.Second))
	p := dialRaw(t, w)
	session := w.session("r", "mallory")
	stop := time.Now().Add(2 * time.Second)
	go func() {
		for tick := masked(finText, "{}"); time.Now().Before(stop); time.Sleep(50 * time.Millisecond) {
			if _, err := p.Conn.Write(tick); err != nil {
				t.Errorf("the peer sends: %v", err)
				return
			}
		}
	}()
	_ = session.Close()
	p.ExpectClose(1000)
	if _, err := p.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("%v, want the end of the stream", err)
	}
	if silent := time.Since(stop); silent < 0 || silent > 5*time.Second {
		t.Errorf("the stream ended %v after the peer fell silent", silent)
	}
}

// A peer that is done is not waited for.
func TestClosing_TakesNoLongerThanItNeeds(t *testing.T) {
	for name, end := range closings {
		t.Run(name, func(t *testing.T) {
			w := newNetWorld(t)
			alice := w.dial("r", "alice")
			session := w.session("r", "alice")
			go hearClose(t, alice, end.code, end.reason) // which answers, and leaves the socket open
			start := time.Now()
			end.do(w, session)
			w.server.Close()
			if took := time.Since(start); took > 500*time.Millisecond {
				t.Errorf("took %v", took)
			}
		})
	}
}

// A peer that does not read is waited for until writeWait is over and no longer, over TLS too.
func TestClosing_PeerThatDoesNotRead(t *testing.T) {
	onBothTransports(t, func(t *testing.T, newWorld func(testing.TB, ...wspulse.ServerOption) *netWorld) {
		w := newWorld(t, wspulse.WithWriteWait(500*time.Millisecond))
		w.dial("r", "alice")
		session := w.session("r", "alice")
		f := ev("large") // than what the kernel takes; in one frame, since a busy machine takes its time over many
		f.Payload = []byte(`"` + strings.Repeat("y", 10_000_000) + `"`)
		if err := session.Send(f); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		w.server.Close()
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("Server.Close took %v", took)
		}
	})
}
