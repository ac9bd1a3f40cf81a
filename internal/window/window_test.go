package window_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/wspulse/server/internal/window"
)

// An item has a number, a size, and stands for messages.
type item struct{ number, size, messages int }

func (v *item) Len() int      { return v.size }
func (v *item) Messages() int { return v.messages }

// A model is a window as three lists.
type model struct {
	sent    []*item // since the cursor was moved back last
	again   []*item // numbered, and to be sent again
	waiting []*item
	made    int
}

func bytes(items []*item) (n int) {
	for _, v := range items {
		n += v.size
	}
	return n
}

func (m *model) numbered() []*item { return slices.Concat(m.sent, m.again) }

func (m *model) next() []*item {
	if len(m.again) > 0 {
		return m.again
	}
	return m.waiting
}

func (m *model) newItem(size, messages int) *item {
	m.made++
	return &item{m.made, size, messages}
}

// check compares a window with its model.
func (m *model) check(w *window.Window[*item]) error {
	items, size := w.Numbered()
	waiting, waitingSize := w.Waiting()
	switch want := m.numbered(); {
	case !slices.Equal(w.Next(), m.next()):
		return fmt.Errorf("next %v, want %v", w.Next(), m.next())
	case items != len(want) || size != bytes(want):
		return fmt.Errorf("%d numbered, %d bytes, want %d, %d", items, size, len(want), bytes(want))
	case waiting != len(m.waiting) || waitingSize != bytes(m.waiting):
		return fmt.Errorf("%d waiting, %d bytes, want %d, %d", waiting, waitingSize, len(m.waiting), bytes(m.waiting))
	case w.Replaying() != (len(m.again) > 0), w.Empty() != (len(want)+len(m.waiting) == 0):
		return fmt.Errorf("replaying %v, empty %v", w.Replaying(), w.Empty())
	case len(want)+len(m.waiting) == 0 && len(w.Next()) > 0:
		return fmt.Errorf("something is left")
	}
	return nil
}

// step does to both what a byte and a number say, and returns what that is.
func (m *model) step(w *window.Window[*item], op byte, n int) string {
	switch op % 8 {
	case 0, 1:
		var items []*item
		for i := range n % 5 {
			items = append(items, m.newItem(n+i, 1))
		}
		w.Push(items...)
		m.waiting = append(m.waiting, items...)
		return fmt.Sprint("push ", len(items))
	case 2, 3:
		n = min(n, len(m.next()))
		w.Sent(n)
		m.sent = append(m.sent, m.next()[:n]...)
		if len(m.again) > 0 {
			m.again = m.again[n:]
		} else {
			m.waiting = m.waiting[n:]
		}
		return fmt.Sprint("sent ", n)
	case 4:
		n = min(n, len(m.waiting))
		if got, want := w.Drop(n), bytes(m.waiting[:n]); got != want {
			return fmt.Sprintf("drop %d: %d bytes, want %d", n, got, want)
		}
		m.waiting = m.waiting[n:]
		return fmt.Sprint("drop ", n)
	case 5:
		n = min(n, len(m.numbered()))
		w.Acknowledge(n)
		m.again = m.again[max(0, n-len(m.sent)):]
		m.sent = m.sent[min(n, len(m.sent)):]
		return fmt.Sprint("acknowledge ", n)
	case 6:
		all, rewind, takeBack := m.numbered(), n%3 == 0, n%2 == 0
		if n = min(n, len(m.sent)); rewind {
			n = len(m.sent)
			w.Rewind()
		} else {
			w.Unsend(n)
		}
		left := len(m.sent) - n
		m.sent, m.again = all[:left:left], all[left:]
		if !takeBack {
			return fmt.Sprint("unsend ", n)
		}
		w.TakeBack()
		m.again, m.waiting = nil, slices.Concat(m.again, m.waiting)
		return fmt.Sprint("take back ", n)
	default:
		if len(m.again) > 0 {
			return "no gap"
		}
		gap := m.newItem(n, 1+n)
		w.SendGap(gap)
		m.sent = append(m.sent, gap)
		return fmt.Sprint("gap of ", gap.messages)
	}
}

// messages compares what so many messages are.
func (m *model) messages(w *window.Window[*item], n int) error {
	want, left := 0, n
	for _, v := range m.numbered() {
		if left <= 0 {
			break
		}
		left -= v.messages
		want++
	}
	if got, ok := w.Items(uint64(n)); ok != (left == 0) || ok && got != want {
		return fmt.Errorf("%d messages are %d items, %v; want %d, %v", n, got, ok, want, left == 0)
	}
	return nil
}

func run(t *testing.T, input []byte) {
	t.Helper()
	var (
		w     = &window.Window[*item]{Counts: true}
		m     model
		steps []string
	)
	for i := 0; i+1 < len(input); i += 2 {
		steps = append(steps, m.step(w, input[i], int(input[i+1]%40)))
		err := m.check(w)
		if err == nil {
			err = m.messages(w, int(input[i]))
		}
		if err != nil {
			t.Fatalf("%v: %v", steps[max(0, len(steps)-20):], err)
		}
	}
}

func FuzzWindow(f *testing.F) {
	f.Add([]byte{0, 4, 2, 2, 5, 1, 6, 0, 2, 1, 4, 1, 7, 3, 6, 1})
	f.Fuzz(run)
}

func TestWindow_Random(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 0))
		input := make([]byte, 2000)
		for i := range input {
			input[i] = byte(random.Uint32())
		}
		run(t, input)
	}
}

// A window that is emptied again and again needs no more memory, and holds nothing that it has let go of.
func TestWindow_KeepsItsMemory(t *testing.T) {
	var w window.Window[*item]
	v := &item{1, 1, 1}
	for range 1000 {
		w.Push(v, v, v)
		w.Sent(2)
		w.Acknowledge(2)
		w.Drop(1)
	}
	if w.Cap() > 8 {
		t.Errorf("memory for %d items", w.Cap())
	}
	w.Push(v)
	w.Reset()
	if w.Push(v); !w.Empty() && len(w.Next()) != 1 {
		t.Error("not empty after a reset")
	}
	if n := testing.AllocsPerRun(100, func() { w.Push(v, v); w.Sent(1); w.Unsend(1); w.TakeBack(); w.Drop(2) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
