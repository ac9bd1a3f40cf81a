package stresstest

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	wspulse "github.com/wspulse/server"
)

// A sentTally counts what each session has been sent.
type sentTally struct {
	wspulse.NoopCollector
	sent []atomic.Int32 // by connectionID
}

func (s *sentTally) MessageSent(_, id string, _ int) {
	n, _ := strconv.Atoi(id)
	s.sent[n].Add(1)
}

// 9,000 sessions that open at once in 90 rooms cost ten presence frames for each at the most: what they are told of
// is gathered, and not one frame for each of the others.
func TestPresence_Storm(t *testing.T) {
	const sessions, rooms, dialers = 9000, 90, 16
	needFiles(t, 2*sessions+500)
	tally := &sentTally{sent: make([]atomic.Int32, sessions)}
	w := newNetWorld(t, wspulse.WithMetrics(tally), wspulse.WithHeartbeat(time.Minute, 5*time.Minute),
		wspulse.WithPresence(func(c wspulse.Connection) any { return c.ID() }))
	start, opened := time.Now(), time.Duration(0)
	var crowd sync.WaitGroup
	for d := range dialers {
		crowd.Go(func() {
			dialer := w.dialer()
			for id := d; id < sessions; id += dialers {
				ws, err := w.tryDial(dialer, strconv.Itoa(id%rooms), strconv.Itoa(id))
				if err != nil {
					t.Error(err)
					return
				}
				t.Cleanup(func() { _ = ws.Close() })
			}
		})
	}
	crowd.Wait()
	opened = time.Since(start)
	eventually(t, "everybody has a list", func() bool {
		for i := range tally.sent {
			if tally.sent[i].Load() == 0 {
				return false
			}
		}
		return true
	})
	time.Sleep(3 * time.Second) // longer than anything is gathered
	most, sum := int32(0), 0
	for i := range tally.sent {
		n := tally.sent[i].Load()
		most, sum = max(most, n), sum+int(n)
	}
	t.Logf("%d sessions opened within %v: %.1f frames for each, %d at the most", sessions, opened.Round(time.Millisecond),
		float64(sum)/sessions, most)
	if limit := 5 + int32(opened/(2*time.Second)); most > max(10, limit) {
		t.Errorf("%d frames for one session", most)
	}
}
