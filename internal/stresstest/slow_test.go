package stresstest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	wspulse "github.com/wspulse/server"
)

// A paced room hears every frame in time while a member reads nothing. That one loses its oldest frames, dies when a
// write has taken writeWait, and finds the newest ones when it is back.
func TestSlowClient(t *testing.T) {
	const (
		others    = 15
		buffer    = 256
		pace      = time.Millisecond
		writeWait = 2 * time.Second
		healthy   = 500 // frames before the slow one joins
	)
	slow := &slowTally{died: make(chan error, 1)}
	w := newNetWorld(t, wspulse.WithWriteWait(writeWait), wspulse.WithSendBufferSize(buffer),
		wspulse.WithResumeWindow(time.Minute), wspulse.WithMetrics(slow), wspulse.WithOnTransportDrop(slow.drop))
	start, sent := time.Now(), 0
	crowd := make([]*listener, others)
	var listening sync.WaitGroup
	for i := range crowd {
		crowd[i] = &listener{ws: w.dial("r", "p"+strconv.Itoa(i)), start: start}
		listening.Go(func() { crowd[i].listen(-1) })
	}
	eventually(t, "all are in the room", func() bool { return len(w.server.GetConnections("r")) == others })
	tick := time.NewTicker(pace)
	defer tick.Stop()
	broadcast := func() {
		event := fmt.Sprintf("%d %d %s", sent, time.Since(start), strings.Repeat("x", 1<<10))
		if err := w.server.Broadcast("r", ev(event)); err != nil {
			t.Fatal(err)
		}
		sent++
	}
	for ; sent < healthy; <-tick.C {
		broadcast()
	}
	eventually(t, "all frames are fanned out", func() bool { return slow.broadcasts.Load() == healthy })
	stalls := watchStalls(t)
	w.listener.buffers.Store(4 << 10)
	w.dial("r", "slow")
	w.session("r", "slow")
	w.listener.buffers.Store(0)
	var err error
	for deadline := time.After(patience); err == nil; {
		select {
		case <-tick.C:
			broadcast()
		case err = <-slow.died:
		case <-deadline:
			t.Fatal("the slow client lives")
		}
	}
	blocked := time.Since(time.Unix(0, slow.lastWrite.Load()))
	for ; sent < healthy+2*buffer; <-tick.C { // where the machine was slow
		broadcast()
	}
	if !isNetTimeout(err) || blocked < writeWait-writeWait/16 || blocked > 2*writeWait {
		t.Errorf("the slow client died of %v, %v after the last write; want a timeout after %v", err, blocked,
			writeWait)
	}
	eventually(t, "all frames are queued", func() bool { return slow.broadcasts.Load() == int64(sent) })
	t.Logf("%d frames, of which the slow client lost %d", sent-healthy, slow.dropped.Load())
	if slow.dropped.Load() == 0 || slow.othersDropped.Load() > 0 {
		t.Errorf("the slow client lost %d frames, the others %d", slow.dropped.Load(), slow.othersDropped.Load())
	}

	accepted := int64(sent - healthy)
	queued := int(accepted - slow.sent.Load() - slow.dropped.Load())
	again := &listener{ws: w.dial("r", "slow"), start: start}
	again.listen(queued)
	eventually(t, "sent + dropped = accepted", func() bool { return slow.sent.Load()+slow.dropped.Load() == accepted })
	newest := again.heard[max(0, len(again.heard)-buffer):]
	for i, n := range newest {
		if want := sent - len(newest) + i; n != want || len(newest) != buffer {
			t.Fatalf("the newest frames of the slow client: %v of %d", newest, sent)
		}
	}
	w.server.Close()
	listening.Wait()
	stalled := stalls()
	for i, l := range crowd {
		l.check(t, fmt.Sprint("peer ", i), sent, healthy, writeWait/2+stalled)
	}
}

// watchStalls measures how late the machine lets a goroutine run that has nothing to wait for. The function that it
// returns ends that, and says how late at the most.
func watchStalls(t *testing.T) (longest func() time.Duration) {
	over, result := make(chan struct{}), make(chan time.Duration, 1)
	go func() {
		const period = time.Millisecond
		most := time.Duration(0)
		for {
			before := time.Now()
			select {
			case <-time.After(period):
				most = max(most, time.Since(before)-period)
			case <-over:
				result <- most
				return
			}
		}
	}()
	var once sync.Once
	end := func() { once.Do(func() { close(over) }) }
	t.Cleanup(end)
	return func() time.Duration {
		end()
		return <-result
	}
}

func isNetTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// A slowTally counts what becomes of the frames of the session "slow".
type slowTally struct {
	wspulse.NoopCollector
	sent, dropped, othersDropped, broadcasts atomic.Int64

	lastWrite atomic.Int64 // that has succeeded; Unix time in ns
	died      chan error
}

func (s *slowTally) MessageBroadcast(string, int, int) { s.broadcasts.Add(1) }

func (s *slowTally) SendBufferUtilization(_, id string, _, _ int) {
	if id == "slow" {
		s.lastWrite.Store(time.Now().UnixNano())
	}
}

func (s *slowTally) MessageSent(_, id string, _ int) {
	if id == "slow" {
		s.sent.Add(1)
	}
}

func (s *slowTally) FrameDropped(_, id string) {
	if id == "slow" {
		s.dropped.Add(1)
	} else {
		s.othersDropped.Add(1)
	}
}

func (s *slowTally) drop(c wspulse.Connection, err error) {
	if c.ID() == "slow" {
		s.died <- err
	}
}

// A listener reads numbered frames that carry the time when they were sent.
type listener struct {
	ws      *websocket.Conn
	start   time.Time
	heard   []int
	latency []time.Duration
	err     error // why it stopped before it was told to
}

// listen reads n frames, or until the connection ends.
func (l *listener) listen(n int) {
	for ; n != 0; n-- {
		var (
			number  int
			sentAt  time.Duration
			_, r, e = l.ws.NextReader()
		)
		if l.err = e; e != nil {
			return
		}
		data, err := io.ReadAll(bufio.NewReader(r))
		if err == nil {
			var f wspulse.Frame
			f, err = wspulse.JSONCodec.Decode(data)
			if err == nil {
				_, err = fmt.Sscan(f.Event, &number, (*int64)(&sentAt))
			}
		}
		if l.err = err; err != nil {
			return
		}
		l.heard = append(l.heard, number)
		l.latency = append(l.latency, time.Since(l.start)-sentAt)
	}
}

// check says whether the listener has heard all frames, in order, and in the slow phase as soon as in the healthy one,
// a slack apart.
func (l *listener) check(t *testing.T, name string, sent, healthy int, slack time.Duration) {
	t.Helper()
	if !websocket.IsCloseError(l.err, websocket.CloseGoingAway) || len(l.heard) != sent {
		t.Fatalf("%s: heard %d of %d, then %v", name, len(l.heard), sent, l.err)
	}
	for i, n := range l.heard {
		if i != n {
			t.Fatalf("%s: heard frame %d instead of %d", name, n, i)
		}
	}
	before, after := p99(l.latency[:healthy]), p99(l.latency[healthy:])
	if after > before+slack {
		t.Errorf("%s: p99 latency %v, %v before one member stopped reading", name, after, before)
	}
}

func p99(latency []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(latency))
	return sorted[len(sorted)*99/100]
}
