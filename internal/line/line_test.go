package line_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/wspulse/server/internal/line"
)

const period = time.Second

type entry struct {
	name  string
	place line.Place[entry]
}

func newLine() *line.Line[entry] {
	return line.New(period, func(e *entry) *line.Place[entry] { return &e.place })
}

// due returns the names of what is due now, in order.
func due(l *line.Line[entry]) (names string) {
	now := time.Now()
	for e, ok := l.Due(now); ok; e, ok = l.Due(now) {
		names += e.name
	}
	return names
}

// next waits for the timer, and returns when it fired, since start, and what was due. Nothing within an hour is
// "never".
func next(l *line.Line[entry], start time.Time) string {
	select {
	case <-l.C():
		return fmt.Sprintf("%v %s", time.Since(start), due(l))
	case <-time.After(time.Hour):
		return "never"
	}
}

func TestLine_InOrderWithOneTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, start := newLine(), time.Now()
		for _, name := range []string{"a", "b", "c"} {
			l.Push(&entry{name: name}, time.Now())
			l.Push(&entry{name: name}, time.Now())
			time.Sleep(period / 4)
		}
		for _, want := range []string{"1s aa", "1.25s bb", "1.5s cc", "never"} {
			if got := next(l, start); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	})
}

func TestLine_Remove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, start := newLine(), time.Now()
		entries := make([]*entry, 5)
		for i := range entries {
			entries[i] = &entry{name: string(rune('a' + i))}
			l.Push(entries[i], time.Now())
			time.Sleep(period / 8)
		}
		for _, i := range []int{0, 2, 4, 2} { // the first, one between, the last, one that is gone
			l.Remove(entries[i])
			if l.Contains(entries[i]) || l.Len() < 2 {
				t.Errorf("%d is in a line of %d", i, l.Len())
			}
		}
		got := next(l, start) + next(l, start) + next(l, start)
		if want := "1s 1.125s b1.375s d"; got != want || l.Len() != 0 { // the timer was armed for the first one
			t.Errorf("got %q, want %q, %d left", got, want, l.Len())
		}
		if got := next(l, start); got != "never" {
			t.Errorf("the timer of an empty line fired at %q", got)
		}
	})
}

// The timer is not armed while nobody is in line, also when the time had come.
func TestLine_EmptyLineHasNoTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, e := newLine(), &entry{name: "a"}
		for name, leave := range map[string]func(){
			"removed":            func() { l.Remove(e) },
			"removed when due":   func() { time.Sleep(period); l.Remove(e) },
			"taken when due":     func() { time.Sleep(period); due(l) },
			"stopped":            func() { l.Stop() },
			"stopped and pushed": func() { l.Stop(); l.Push(e, time.Now()); l.Remove(e) },
		} {
			l.Push(e, time.Now())
			leave()
			if got := next(l, time.Now()); got != "never" {
				t.Errorf("%s: the timer fired at %q", name, got)
			}
			l.Remove(e)
		}
	})
}

// Push moves an entry that is in line: a heartbeat.
func TestLine_PushAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, start := newLine(), time.Now()
		a, b := &entry{name: "a"}, &entry{name: "b"}
		l.Push(a, time.Now())
		l.Push(b, time.Now())
		time.Sleep(period / 2)
		l.Push(a, time.Now())
		got := ""
		for range 4 {
			<-l.C()
			got += fmt.Sprint(time.Since(start), " ")
			now := time.Now()
			for e, ok := l.Due(now); ok; e, ok = l.Due(now) {
				got += e.name + " "
				l.Push(e, now)
			}
		}
		if want := "1s b 1.5s a 2s b 2.5s a "; got != want || l.Len() != 2 {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// One that is due before others has the timer, whenever it comes.
func TestLine_PushDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, start := newLine(), time.Now()
		for _, tc := range []struct {
			name string
			due  time.Duration
		}{{"c", 3 * period}, {"d", 3 * period}, {"b", 2 * period}, {"a", period}, {"z", -time.Hour}} {
			l.PushDue(&entry{name: tc.name}, start.Add(tc.due))
		}
		got := next(l, start) + next(l, start) + next(l, start) + next(l, start)
		if want := "0s z1s a2s b3s cd"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestLine_Costs(t *testing.T) {
	if size := unsafe.Sizeof(line.Place[entry]{}); size > 24 {
		t.Errorf("a Place of %d bytes", size)
	}
	l, entries := newLine(), make([]entry, 10)
	defer l.Stop()
	if n := testing.AllocsPerRun(100, func() {
		for i := range entries {
			l.Push(&entries[i], time.Now())
		}
		for i := range entries {
			l.Remove(&entries[i])
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// A model is what a Line is to do: a sorted slice, and no timer to forget.
type model []modelEntry

type modelEntry struct {
	*entry
	due time.Time
}

func (m *model) remove(e *entry) {
	*m = slices.DeleteFunc(*m, func(x modelEntry) bool { return x.entry == e })
}

func (m *model) push(e *entry, due time.Time) {
	m.remove(e)
	*m = append(*m, modelEntry{e, due})
	slices.SortStableFunc(*m, func(a, b modelEntry) int { return a.due.Compare(b.due) })
}

func (m *model) takeDue() (names string) {
	for len(*m) > 0 && !(*m)[0].due.After(time.Now()) {
		names += (*m)[0].name
		*m = (*m)[1:]
	}
	return names
}

// Whatever is done to a Line, its owner that waits for the timer and nothing else hears of each entry when it is due.
func FuzzLine(f *testing.F) {
	seed := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		ops := make([]byte, 200)
		for i := range ops {
			ops[i] = byte(seed.Uint32())
		}
		f.Add(ops)
	}
	f.Fuzz(func(t *testing.T, ops []byte) {
		synctest.Test(t, func(t *testing.T) { run(t, ops) })
	})
}

func run(t *testing.T, ops []byte) {
	var m model
	l, entries := newLine(), make([]entry, 8)
	for i := range entries {
		entries[i].name = string(rune('a' + i))
	}
	for _, op := range ops {
		e, now := &entries[op&7], time.Now()
		switch op >> 3 & 7 {
		case 0, 1, 2:
			l.Push(e, now)
			m.push(e, now.Add(period))
		case 3:
			due := now.Add(period * time.Duration(op>>6) / 2)
			l.PushDue(e, due)
			m.push(e, due)
		case 4, 5:
			l.Remove(e)
			m.remove(e)
		default:
			time.Sleep(period * time.Duration(op>>6) / 4)
		}
		got := ""
		select {
		case <-l.C():
			got = due(l)
		default:
		}
		if want := m.takeDue(); got != want {
			t.Fatalf("due are %q, want %q", got, want)
		}
		for i := range entries {
			e := &entries[i]
			in := slices.ContainsFunc(m, func(x modelEntry) bool { return x.entry == e })
			if l.Contains(e) != in || l.Len() != len(m) {
				t.Fatalf("contains %s: %v, want %v; length %d, want %d", e.name, !in, in, l.Len(), len(m))
			}
		}
	}
	l.Stop()
}
