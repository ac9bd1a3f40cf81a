package stresstest

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	wspulse "github.com/wspulse/server"
)

const crowdSize = 5000

// forEach runs fn for 0 to n-1 on 64 goroutines, and returns the errors.
func forEach(n int, fn func(i int) error) error {
	var (
		workers sync.WaitGroup
		next    atomic.Int64
		mu      sync.Mutex
		errs    []error
	)
	for range 64 {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := fn(i); err != nil {
					mu.Lock()
					errs = append(errs, fmt.Errorf("peer %d: %w", i, err))
					mu.Unlock()
				}
			}
		})
	}
	workers.Wait()
	return errors.Join(errs[:min(len(errs), 5)]...)
}

// A loadTally counts sessions, rooms and frames.
type loadTally struct {
	wspulse.NoopCollector
	opened, closed, abnormal, rooms, sent, dropped, fannedOut atomic.Int64
}

func (l *loadTally) ConnectionOpened(_, _ string)        { l.opened.Add(1) }
func (l *loadTally) RoomCreated(string)                  { l.rooms.Add(1) }
func (l *loadTally) RoomDestroyed(string)                { l.rooms.Add(-1) }
func (l *loadTally) MessageSent(_, _ string, _ int)      { l.sent.Add(1) }
func (l *loadTally) FrameDropped(_, _ string)            { l.dropped.Add(1) }
func (l *loadTally) MessageBroadcast(_ string, _, n int) { l.fannedOut.Add(int64(n)) }
func (l *loadTally) ConnectionClosed(_, _ string, _ time.Duration, reason wspulse.DisconnectReason) {
	if reason != wspulse.DisconnectNormal {
		l.abnormal.Add(1)
	}
	l.closed.Add(1)
}

// 5,000 peers over real sockets connect, talk and leave: no error, no goroutine, no socket left.
func TestLoad_5000Connections(t *testing.T) {
	needFiles(t, 2*crowdSize+500)
	tally := &loadTally{}
	var failed atomic.Int64
	w := newNetWorld(t, wspulse.WithMetrics(tally), wspulse.WithHeartbeat(time.Minute, 5*time.Minute),
		wspulse.WithOnMessage(func(c wspulse.Connection, f wspulse.Frame) {
			if c.Send(f) != nil {
				failed.Add(1)
			}
		}),
		wspulse.WithOnDisconnect(func(_ wspulse.Connection, err error) {
			if err != nil {
				failed.Add(1)
			}
		}))
	peers := make([]*websocket.Conn, crowdSize)
	phase := func(name string, fn func(i int) error) {
		t.Helper()
		start := time.Now()
		if err := forEach(crowdSize, fn); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		t.Logf("%s: %v", name, time.Since(start).Round(time.Millisecond))
	}
	phase("connect", func(i int) (err error) {
		peers[i], err = w.tryDial(w.dialer(), "r", strconv.Itoa(i))
		return err
	})
	eventually(t, "all are in the room", func() bool { return len(w.server.GetConnections("r")) == crowdSize })
	phase("talk", func(i int) error {
		word := "hello " + strconv.Itoa(i)
		if err := say(peers[i], word); err != nil {
			return err
		}
		return hear(peers[i], word)
	})
	if err := w.server.Broadcast("r", ev("all")); err != nil {
		t.Fatal(err)
	}
	phase("broadcast", func(i int) error { return hear(peers[i], "all") })
	phase("leave", func(i int) error {
		defer peers[i].Close()
		bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
		if err := peers[i].WriteControl(websocket.CloseMessage, bye, time.Time{}); err != nil {
			return err
		}
		if _, _, err := peers[i].ReadMessage(); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
			return fmt.Errorf("the answer to a close: %w", err)
		}
		return nil
	})
	eventually(t, "all are gone", func() bool { return tally.closed.Load() == crowdSize })
	eventually(t, "all sockets are closed", w.listener.allClosed)
	if n := w.server.GetConnections("r"); len(n) > 0 || tally.rooms.Load() != 0 {
		t.Errorf("%d members and %d rooms left", len(n), tally.rooms.Load())
	}
	if tally.opened.Load() != crowdSize || tally.abnormal.Load() > 0 || tally.dropped.Load() > 0 || failed.Load() > 0 {
		t.Errorf("%d opened, %d ended abnormally, %d frames dropped, %d callbacks with an error",
			tally.opened.Load(), tally.abnormal.Load(), tally.dropped.Load(), failed.Load())
	}
	if sent := tally.sent.Load(); sent != 2*crowdSize {
		t.Errorf("%d frames sent", sent)
	}
}

// A broadcast to a room of 5,000 allocates nothing for each recipient: not in the fan-out, to queues that have room and
// to full ones, and not on the way to the sockets.
func TestLoad_BroadcastAllocatesNothingForEachRecipient(t *testing.T) {
	needFiles(t, 2*crowdSize+500)
	const rounds, buffer = 32, 16
	t.Run("fan-out", func(t *testing.T) {
		tally := &loadTally{}
		w := newNetWorld(t, wspulse.WithMetrics(tally), wspulse.WithResumeWindow(time.Hour),
			wspulse.WithSendBufferSize(buffer))
		if err := forEach(crowdSize, func(i int) error {
			ws, err := w.tryDial(w.dialer(), "r", strconv.Itoa(i))
			if err == nil {
				err = ws.Close()
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "all are in the room", func() bool { return len(w.server.GetConnections("r")) == crowdSize })
		eventually(t, "all sockets are closed", w.listener.allClosed)
		phases := expectNoAllocation(t, w, rounds, &tally.fannedOut)
		if dropped := tally.dropped.Load(); dropped != int64(crowdSize*(phases*rounds-buffer)) {
			t.Errorf("%d frames dropped", dropped)
		}
	})
	if raceEnabled() {
		return // the race detector makes sync.Pool forget at random, and so every write may need a new buffer
	}
	t.Run("write", func(t *testing.T) {
		tally := &loadTally{}
		w := newNetWorld(t, wspulse.WithMetrics(tally), wspulse.WithHeartbeat(time.Minute, 5*time.Minute))
		if err := forEach(crowdSize, func(i int) error {
			ws, err := w.tryDial(w.dialer(), "r", strconv.Itoa(i))
			if err == nil {
				t.Cleanup(func() { _ = ws.Close() })
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "all are in the room", func() bool { return len(w.server.GetConnections("r")) == crowdSize })
		expectNoAllocation(t, w, rounds, &tally.sent)
	})
}

// expectNoAllocation broadcasts and waits until done has counted every recipient, in phases: one to warm up, and more
// to measure until one has allocated nothing. Pools may grow in a phase, or be emptied by a collection; what is
// allocated for each recipient would show in every one.
func expectNoAllocation(t *testing.T, w *netWorld, rounds int, done *atomic.Int64) (phases int) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.GC()
	each := 1.0
	for ; phases < 2 || phases < 6 && each >= 0.01; phases++ {
		runtime.ReadMemStats(&before)
		for range rounds {
			if err := w.server.Broadcast("r", ev("all")); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "every member has got it",
			func() bool { return done.Load() == int64((phases+1)*rounds*crowdSize) })
		runtime.ReadMemStats(&after)
		each = float64(after.Mallocs-before.Mallocs) / float64(rounds*crowdSize)
		t.Logf("%.5f allocations for each recipient", each)
	}
	if each >= 0.01 {
		t.Errorf("%.3f allocations for each recipient", each)
	}
	return phases
}

// raceEnabled says whether this binary was built with -race.
func raceEnabled() bool {
	info, _ := debug.ReadBuildInfo()
	for _, setting := range info.Settings {
		if setting.Key == "-race" {
			return setting.Value == "true"
		}
	}
	return false
}
