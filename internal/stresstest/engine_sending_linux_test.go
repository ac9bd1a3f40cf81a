package stresstest

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	wspulse "github.com/wspulse/server"
)

// What comes at once, and a callback's burst, may be answered with as many frames as the send buffer holds, however
// often: none is refused, and they come in order.
func TestEngine_AsManyAsTheBufferHolds(t *testing.T) {
	for _, buffer := range []int{16, 64, 256} {
		for _, burst := range []bool{false, true} {
			t.Run(fmt.Sprintf("buffer of %d, burst %v", buffer, burst), func(t *testing.T) {
				w := newNetWorld(t, wspulse.WithSendBufferSize(buffer),
					wspulse.WithOnMessage(func(c wspulse.Connection, f wspulse.Frame) {
						for i := range buffer {
							if burst {
								f = ev(fmt.Sprint(i))
							} else if i > 0 {
								break
							}
							if err := c.Send(f); err != nil {
								t.Errorf("%s: %v", f.Event, err)
							}
						}
					}))
				p := dialRaw(t, w)
				var asked []byte
				for i := range buffer {
					if !burst || i == 0 {
						asked = append(asked, masked(finText, fmt.Sprintf(`{"event":"%d"}`, i))...)
					}
				}
				for range 100 {
					p.Write(asked)
					for i := range buffer {
						p.Expect(finText, fmt.Sprintf(`{"event":"%d"}`, i))
					}
					if t.Failed() {
						return
					}
				}
			})
		}
	}
}

// What a callback sends is written while it lasts: one frame, and more than the send buffer holds.
func TestEngine_SendsWhileTheCallbackLasts(t *testing.T) {
	const buffer, frames = 64, 2000
	heard := make(chan struct{})
	w := newNetWorld(t, wspulse.WithSendBufferSize(buffer), wspulse.WithOnMessage(func(c wspulse.Connection, f wspulse.Frame) {
		if _ = c.Send(f); f.Event != "one" {
			return
		}
		select {
		case <-heard:
		case <-time.After(patience):
			t.Error("the peer did not get a frame while the callback lasts")
		}
		for i := range frames {
			for start := time.Now(); c.Send(ev(fmt.Sprint(i))) != nil && time.Since(start) < patience; {
				time.Sleep(50 * time.Microsecond)
			}
		}
	}))
	alice := w.dial("r", "alice")
	for range 5 {
		warmUp(t, alice)
		if err := errors.Join(say(alice, "one"), hear(alice, "one")); err != nil {
			t.Fatal(err)
		}
		heard <- struct{}{}
		for i := range frames {
			if err := hear(alice, fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// What a callback has sent leaves within a few milliseconds, however long it lasts.
func TestEngine_SendsSoon(t *testing.T) {
	const soon = 8 * time.Millisecond // less than it takes to find a callback that lasts in another way
	release := make(chan struct{})
	w := newNetWorld(t, wspulse.WithOnMessage(func(c wspulse.Connection, f wspulse.Frame) {
		if _ = c.Send(f); f.Event == "last" {
			<-release
		}
	}))
	alice := w.dial("r", "alice")
	best := patience
	for range 50 {
		warmUp(t, alice)
		start := time.Now()
		if err := errors.Join(say(alice, "last"), hear(alice, "last")); err != nil {
			t.Fatal(err)
		}
		best = min(best, time.Since(start))
		release <- struct{}{}
	}
	if best > soon {
		t.Errorf("%v at best", best)
	}
}

// Others may send to a link whose callback lasts: it is written.
func TestEngine_OthersSendWhileACallbackLasts(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	var lasting atomic.Bool
	w := newNetWorld(t, wspulse.WithOnMessage(func(c wspulse.Connection, f wspulse.Frame) {
		if f.Event != "wait" {
			_ = c.Send(f)
			return
		}
		lasting.Store(true)
		entered <- struct{}{}
		<-release
		lasting.Store(false)
	}))
	alice := w.dial("r", "alice")
	for range 20 {
		warmUp(t, alice)
		if err := say(alice, "wait"); err != nil {
			t.Fatal(err)
		}
		<-entered
		if err := errors.Join(w.server.Send("alice", ev("sent")), w.server.Broadcast("r", ev("all"))); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(hear(alice, "sent"), hear(alice, "all")); err != nil || !lasting.Load() {
			t.Fatalf("while the callback lasts (%v): %v", lasting.Load(), err)
		}
		release <- struct{}{}
	}
}
