package wspulse

import (
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"weak"

	"github.com/wspulse/server/internal/wire"
)

// newQuietHub returns a hub that does not run, with sessions that nobody reads.
func newQuietHub(members, buffer int, metrics MetricsCollector) (*hub, []*session) {
	cfg := defaultConfig(func(*http.Request) (string, string, error) { return "", "", nil })
	cfg.metrics, cfg.sendBufferSize = metrics, buffer
	h := newHub(cfg)
	var sessions []*session
	for i := range members {
		s := newSession(h, string(rune('a'+i)), "")
		h.insert(s, "r")
		sessions = append(sessions, s)
	}
	return h, sessions
}

// fanOutAll broadcasts frames, for a hub that does not run.
func (h *hub) fanOutAll(roomID string, frames ...*wire.Frame) {
	for _, f := range frames {
		_ = h.broadcast(h.rooms[roomID], f)
	}
	h.runDry()
}

// runDry does what run does, until nothing is left to fan out.
func (h *hub) runDry() {
	for h.handleEvents(); h.hasBacklog(); h.handleEvents() {
		h.fanOut()
	}
}

// A timeout of TCP is not one of the deadlines that the library sets.
func TestIsTimeout(t *testing.T) {
	for err, want := range map[error]bool{os.ErrDeadlineExceeded: true, syscall.ETIMEDOUT: false, io.EOF: false} {
		wrapped := &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", err)}
		if got := isTimeout(wrapped); got != want {
			t.Errorf("%v: %v, want %v", wrapped, got, want)
		}
	}
}

// A dropCounter counts lost frames.
type dropCounter struct {
	NoopCollector
	dropped, reached atomic.Int64
}

func (m *dropCounter) FrameDropped(_, _ string)            { m.dropped.Add(1) }
func (m *dropCounter) MessageBroadcast(_ string, _, n int) { m.reached.Add(int64(n)) }

func TestFanOut_AllocatesNothing(t *testing.T) {
	h, _ := newQuietHub(100, 4, NoopCollector{})
	f := wire.New(TextMessage, []byte("{}"))
	for range 100 { // the queues grow
		h.fanOutAll("r", f)
	}
	if n := testing.AllocsPerRun(100, func() { h.fanOutAll("r", f) }); n != 0 {
		t.Errorf("%v allocations for a broadcast to 100 members", n)
	}
}

// The frame and its bytes; in particular, no log field is made for a frame.
func TestSend_AllocatesTheFrameOnly(t *testing.T) {
	_, sessions := newQuietHub(1, 1, NoopCollector{})
	if n := testing.AllocsPerRun(100, func() { _ = sessions[0].Send(Frame{Event: "hello"}) }); n > 2 {
		t.Errorf("%v allocations", n)
	}
}

// However hard Sends fight for the buffer, a broadcast evicts a bounded number of frames, and every frame is accounted
// for.
func TestFanOut_RacingSendsDoNotHoldTheHub(t *testing.T) {
	m := &dropCounter{}
	h, sessions := newQuietHub(1, 1, m)
	s, f := sessions[0], wire.New(TextMessage, []byte("{}"))
	var (
		senders sync.WaitGroup
		offered atomic.Int64
		stop    atomic.Bool
	)
	for range 4 {
		senders.Go(func() {
			for !stop.Load() {
				_ = s.offer(f)
				offered.Add(1)
			}
		})
	}
	const broadcasts = 5000
	for range broadcasts {
		before := m.reached.Load()
		h.fanOutAll("r", f)
		if n := m.reached.Load() - before; n > 1 {
			t.Fatalf("one member was counted %d times", n)
		}
	}
	stop.Store(true)
	senders.Wait()
	if sum := m.dropped.Load() + int64(s.outbox.queued()); sum != offered.Load()+broadcasts {
		t.Errorf("%d lost or queued, %d sent", sum, offered.Load()+broadcasts)
	}
}

// A Send that races the end of its session is refused, or its frame is counted as lost.
func TestSession_SendRacesTheEnd(t *testing.T) {
	m := &dropCounter{}
	h, _ := newQuietHub(0, 8, m)
	f := wire.New(TextMessage, []byte("{}"))
	var accepted atomic.Int64
	for range 2000 {
		s := &session{hub: h, outbox: outbox{bound: &h.bound}}
		s.home.room.Store(&room{id: "r"})
		var senders sync.WaitGroup
		for range 2 {
			senders.Go(func() {
				for range 4 {
					switch err := s.offer(f); err {
					case nil:
						accepted.Add(1)
					case ErrConnectionClosed:
					default:
						t.Error(err)
					}
				}
			})
		}
		s.outbox.close()
		s.discard()
		senders.Wait()
		if s.outbox.queued() != 0 {
			t.Fatal("a frame is left in the queue")
		}
	}
	if m.dropped.Load() != accepted.Load() {
		t.Errorf("%d frames accepted, %d counted", accepted.Load(), m.dropped.Load())
	}
}

// A Send that waits for the hub while the server closes says what became of its frame.
func TestSession_SendInTurnRacesTheEndOfTheHub(t *testing.T) {
	for range 200 {
		m := &dropCounter{}
		h, sessions := newQuietHub(1, 1, m)
		s := sessions[0]
		s.home.room.Load().pending <- struct{}{} // as if a broadcast were on its way
		go h.run()
		result := make(chan error)
		go func() { result <- s.Send(Frame{}) }()
		go h.stop()
		err := <-result
		<-h.done
		if taken := m.dropped.Load() > 0; taken != (err == nil) {
			t.Fatalf("the session took the frame: %v, but Send returned %v", taken, err)
		}
	}
}

// Whoever comes second ends the turn of a link, once.
func TestInbound_TurnEnds(t *testing.T) {
	left := func(in *inbound) bool {
		select {
		case <-in.left.C():
			return true
		default:
			return false
		}
	}
	newInbound := func() *inbound {
		in := &inbound{}
		in.state.Store(inInline)
		return in
	}
	in := newInbound()
	if in.enter() {
		t.Error("a second one got in")
	}
	in.exit()
	if !in.enter() || left(in) {
		t.Error("an open way is shut")
	}
	in.shut()
	if left(in) {
		t.Error("somebody is still inside")
	}
	in.exit()
	in.shut()
	if !left(in) || in.enter() {
		t.Error("a shut way is open")
	}
	for range 1000 {
		in = newInbound()
		var both sync.WaitGroup
		both.Go(func() { in.exit() })
		both.Go(in.shut)
		both.Go(in.end)
		both.Wait()
		in.left.wait()
	}
}

// Nothing of the server keeps a session that has ended.
func TestHub_EndedSessionsAreCollected(t *testing.T) {
	h, sessions := newQuietHub(5, 4, NoopCollector{})
	go h.run()
	t.Cleanup(h.stop)
	var gone []weak.Pointer[session]
	for _, i := range []int{0, 2, 4} { // the first, one in the middle, the last
		h.endSession(sessions[i], endKicked)
		gone = append(gone, weak.Make(sessions[i]))
		sessions[i] = nil
	}
	for deadline := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
		runtime.GC()
		left := 0
		for _, p := range gone {
			if p.Value() != nil {
				left++
			}
		}
		if left == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d sessions are still reachable", left)
		}
	}
	if len(h.members("r")) != 2 || sessions[1].ended() || sessions[3].ended() {
		t.Error("the others are gone too")
	}
	runtime.KeepAlive(sessions)
}
