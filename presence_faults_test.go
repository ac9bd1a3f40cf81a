package wspulse_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	wspulse "github.com/wspulse/server"
)

type explosive struct{}

func (explosive) MarshalJSON() ([]byte, error) { panic("in MarshalJSON") }

// Whatever becomes of what the application says of one member, the others go on hearing of each other.
func TestPresence_TheApplicationFails(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithPresence(func(c wspulse.Connection) any {
			switch c.ID() {
			case "bob":
				runtime.Goexit()
			case "carol":
				return explosive{}
			case "dan":
				return strings.Repeat("x", 600) // more than may be said
			}
			return nil
		}))
		alice := w.dial("r", "alice")
		alice.presence()
		for _, id := range []string{"bob", "carol", "dan", "eve"} {
			w.dial("r", id)
		}
		time.Sleep(time.Second)
		alice.expectPresence(`{"room":"r","join":[{"id":"bob"},{"id":"carol"},{"id":"dan"},{"id":"eve"}],"count":5}`)
	})
}

// Who comes and goes while somebody gets a list again is not in that for ever.
func TestPresence_NoGhostInAList(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, withNames, wspulse.WithSendBufferSize(4))
		alice := w.dialStalled("r", "alice")
		time.Sleep(time.Second)
		for i := range 8 {
			w.broadcast("r", fmt.Sprint(i))
		}
		synctest.Wait() // she is to get a list in 5 s
		alice.StartReading()
		time.Sleep(5*time.Second - 100*time.Millisecond)
		w.dial("r", "bob")
		w.must(w.server.Kick("bob"))
		time.Sleep(time.Minute)
		frames := alice.presence()
		if len(frames) == 0 || frames[len(frames)-1] != `{"room":"r","full":true,"join":[{"id":"alice"}],"count":1}` {
			t.Error(frames)
		}
	})
}

// A page that takes its session over knows nothing of who is there.
func TestPresence_TakeoverGetsAList(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, withNames, wspulse.WithResumeWindow(time.Minute), wspulse.WithDuplicatePolicy(wspulse.Resume))
		w.dial("r", "bob")
		w.dial("r", "alice").presence()
		w.dial("r", "alice").expectPresence(`{"room":"r","full":true,"join":[{"id":"alice"},{"id":"bob"}],"count":2}`)
	})
}

// A slowOpening does something while a session opens.
type slowOpening struct {
	wspulse.NoopCollector
	opened func(id string)
}

func (s slowOpening) ConnectionOpened(_, id string) { s.opened(id) }

// A session that is not quite open yet is not suspended: it has an address, and gets its list.
func TestPresence_WhileASessionOpens(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var w *world
		w = newWorld(t, withNames, wspulse.WithMetrics(slowOpening{opened: func(id string) {
			if id != "carol" {
				return
			}
			looked := make(chan struct{})
			go func() {
				defer close(looked)
				c := must(w.server.GetConnection(id))
				if c.Suspended() || c.RemoteAddr() == nil || w.server.Stats().Suspended > 0 {
					t.Error("it is suspended, or has no address")
				}
			}()
			<-looked
			time.Sleep(100 * time.Millisecond)
		}}))
		w.dial("r", "alice")
		time.Sleep(3 * time.Second)
		w.dial("r", "bob") // of which others are told in 250 ms
		time.Sleep(200 * time.Millisecond)
		carol := w.dial("r", "carol")
		if got := carol.presence(); len(got) == 0 || !strings.Contains(got[0], `"full":true`) {
			t.Error(got)
		}
	})
}

// OnDisconnect runs, whatever OnLeave does.
func TestLeave_CallbackEndsItsGoroutine(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithOnLeave(func(wspulse.Connection, string) { runtime.Goexit() }))
		w.dial("r", "alice&also=s")
		w.must(w.server.Kick("alice"))
		w.expect("alice:connect alice:disconnect(nil)")
	})
}
