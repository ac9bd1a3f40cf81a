package wspulse_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	wspulse "github.com/wspulse/server"
)

// fullRoom is how many broadcasts a room holds that are not fanned out, where buffers are small.
const fullRoom = 64

// A stuckHub takes five seconds over opening the session "plug".
type stuckHub struct {
	recorder
}

func (m *stuckHub) ConnectionOpened(room, id string) {
	m.recorder.ConnectionOpened(room, id)
	if id == "plug" {
		time.Sleep(5 * time.Second)
	}
}

// stickHub keeps the hub busy for the next five seconds.
func (w *world) stickHub() (start time.Time) {
	start = time.Now()
	go func() {
		if _, _, err := w.upgrade("?room=plug&id=plug", nil); err != nil {
			w.t.Error(err)
		}
	}()
	synctest.Wait()
	return start
}

func TestBroadcast_WaitsForItsOwnRoomOnly(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithMetrics(&stuckHub{}), wspulse.WithSendBufferSize(16))
		w.dial("full", "alice")
		bob := w.dial("other", "bob")
		start := w.stickHub()
		for i := range fullRoom {
			w.broadcast("full", fmt.Sprint(i))
		}
		w.took(start, 0)
		waited := make(chan time.Duration)
		go func() {
			w.broadcast("full", fmt.Sprint(fullRoom))
			waited <- time.Since(start)
		}()
		synctest.Wait()
		w.broadcast("other", "hello")
		w.took(start, 0)
		if d := <-waited; d != 5*time.Second {
			t.Errorf("waited for %v", d)
		}
		bob.expect("hello")
	})
}

func TestBroadcast_WhoWaitsIsToldOfClose(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithMetrics(&stuckHub{}), wspulse.WithSendBufferSize(16))
		w.dial("full", "alice")
		start := w.stickHub()
		for i := range fullRoom {
			w.broadcast("full", fmt.Sprint(i))
		}
		result := make(chan error)
		go func() { result <- w.server.Broadcast("full", ev("late")) }()
		synctest.Wait()
		go w.server.Close()
		if err := <-result; err != wspulse.ErrServerClosed {
			t.Errorf("Broadcast: %v", err)
		}
		w.took(start, 0)
	})
}

// What has been accepted is served, also where callers wait for a place in the hub's queue.
func TestClose_ServesWhatAFullQueueHeldUp(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const rooms = 40 // with all that they can hold, more than the queue can
		m := &stuckHub{}
		w := newWorld(t, wspulse.WithMetrics(m), wspulse.WithSendBufferSize(16))
		for i := range rooms {
			w.dial(fmt.Sprint(i), fmt.Sprint("in-", i))
		}
		w.stickHub()
		var callers sync.WaitGroup
		for i := range rooms * fullRoom {
			callers.Go(func() {
				if err := w.server.Broadcast(fmt.Sprint(i%rooms), ev("x")); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		w.server.Close()
		callers.Wait()
		if n := m.fannedOut.Load(); n != rooms*fullRoom {
			t.Errorf("%d broadcasts were fanned out, want %d", n, rooms*fullRoom)
		}
	})
}

// A Send waits for the hub only while broadcasts to the room are under way.
func TestSend_NeedsNoHubOnceAllIsFannedOut(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithMetrics(&stuckHub{}))
		alice := w.dial("r", "alice")
		w.broadcast("r", "0", "1", "2")
		w.broadcast("nowhere", "x")
		synctest.Wait()
		start := w.stickHub()
		w.send("alice", "3")
		w.took(start, 0)
		alice.expect("0 1 2 3")
		w.broadcast("r", "4")
		w.send("alice", "5")
		w.took(start, 5*time.Second)
		alice.expect("4 5")
	})
}

// Broadcasts to several rooms, queued in turn, reach the members of their own.
func TestBroadcast_StaysInItsRoom(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithMetrics(&stuckHub{}))
		want, peers := map[string]string{}, map[string]*peer{}
		for _, room := range []string{"a", "b", "c"} {
			peers[room] = w.dial(room, "in-"+room)
		}
		w.stickHub()
		for i := range 100 {
			room := []string{"a", "b", "c"}[i*i%7%3]
			w.broadcast(room, fmt.Sprint(room, i))
			want[room] += fmt.Sprint(room, i, " ")
		}
		time.Sleep(10 * time.Second)
		for room, p := range peers {
			p.expect(strings.TrimSpace(want[room]))
		}
	})
}
