package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wspulse/server/benchmarks/internal/histogram"
)

// aged returns the ages of some frames.
func aged(d time.Duration) *histogram.Histogram {
	h := new(histogram.Histogram)
	for range 100 {
		h.Add(int64(d))
	}
	return h
}

// judge returns the verdict on latency after intervals, the same in both phases but for the ages of frames in the second.
func judge(idle float64, late time.Duration, alone, among []time.Duration) check {
	w := &world{plan: standard(), table: new(table)}
	l := line{idle: idle, late: late, busy: 1 - idle}
	for i := range alone {
		w.baseline.add(aged(alone[i]), w.plan.hasRoom(l))
		w.faults.add(aged(among[i]), w.plan.hasRoom(l))
		for _, phase := range []string{healthyAlone, faultsToo} {
			l.phase = phase
			w.table.lines = append(w.table.lines, l)
		}
	}
	return w.unhurt()
}

func TestUnhurt_IsJudgedWhereTheMachineHadRoom(t *testing.T) {
	const ms = time.Millisecond
	calm := []time.Duration{2 * ms, 2 * ms}
	for name, c := range map[string]struct {
		idle         float64
		late         time.Duration
		alone, among []time.Duration
		ok, unjudged bool
		text         string
	}{
		"room, and nobody is hurt":      {0.5, ms, calm, []time.Duration{10 * ms, 20 * ms}, true, false, "50 % idle"},
		"room, and somebody is":         {0.5, ms, calm, []time.Duration{10 * ms, 40 * ms}, false, false, "at most 22ms"},
		"room, and nobody heard a word": {0.5, ms, calm, []time.Duration{0, 0}, false, false, "at most 22ms"},
		"all processors busy":           {0.1, ms, calm, []time.Duration{10 * ms, 400 * ms}, false, true, "the machine had no room"},
		"timers are late":               {0.5, 11 * ms, calm, []time.Duration{10 * ms, 400 * ms}, false, true, "timers up to 11ms late"},
	} {
		got := judge(c.idle, c.late, c.alone, c.among)
		if got.unjudged != c.unjudged || !c.unjudged && got.ok != c.ok || !strings.Contains(got.detail, c.text) {
			t.Errorf("%s: got %+v, want %+v", name, got, c)
		}
	}
}

func TestSpell_CountsIntervalsWithRoom(t *testing.T) {
	var s spell
	if s.judged() {
		t.Error("nothing was judged")
	}
	s.add(aged(time.Second), false)
	s.add(aged(time.Millisecond), true)
	if got := s.ages.Quantile(1); !s.judged() || got > 2*time.Millisecond {
		t.Errorf("judged: %v, the oldest frame %v", s.judged(), got)
	}
	if got := s.String(); !strings.HasSuffix(got, "in the 1 of 2 intervals with room") {
		t.Errorf("got %q", got)
	}
	s.add(aged(time.Second), false)
	if s.judged() {
		t.Error("judged by the smaller part of it")
	}
}

// ended returns the world of a run that is over, with that fault if it is one.
func ended(t *testing.T, p plan, fault string) *world {
	t.Helper()
	p.healthy, p.sick = 1, 1
	w, err := newWorld(p, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	w.end()
	w.table.lines = []line{{phase: healthyAlone, at: time.Second}, {phase: faultsToo, at: 2 * time.Second}}
	w.closed = usage{goroutines: w.bare.goroutines - hostGoroutines, sockets: w.bare.sockets - hostSockets}
	w.book.resumed.Store(1)
	w.host.restored.Store(1)
	w.book.dropped.Store(1)
	w.book.handed.Store(1)
	for _, n := range w.book.reasons {
		n.Store(1)
	}
	for i := range ailments {
		w.ward.suffered[i].Store(1)
	}
	w.book.pongTimeouts.Store(1)
	if fault != "" {
		w.book.fault("%s", fault)
	}
	return w
}

func TestConclude_DrawsOnlyWhenItPassesAndIsAskedTo(t *testing.T) {
	for name, c := range map[string]struct {
		asked, drawn bool
		fault        string
	}{
		"passes, asked":     {asked: true, drawn: true},
		"passes, not asked": {},
		"fails, asked":      {asked: true, fault: "the sky has fallen"},
	} {
		t.Chdir(t.TempDir())
		args := []string{"-d", "1s"}
		if c.asked {
			args = append(args, "-record")
		}
		p, err := parse(args)
		if err != nil {
			t.Fatal(err)
		}
		err = ended(t, p, c.fault).conclude(t.Output())
		if (err != nil) != (c.fault != "") {
			t.Errorf("%s: got error %v", name, err)
		}
		_, err = os.Stat(filepath.Join("plots", "soak.svg"))
		if drawn := err == nil; drawn != c.drawn || !drawn && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: drawn: %v, error %v", name, drawn, err)
		}
		if left, err := os.ReadDir("."); err != nil || !c.drawn && len(left) > 0 {
			t.Errorf("%s: left %v, error %v", name, left, err)
		}
	}
}

func TestReport_FailsForWhatIsJudgedOnly(t *testing.T) {
	var out strings.Builder
	if err := ended(t, standard(), "").report(&out); err != nil || !strings.Contains(out.String(), "\nNOT JUDGED  p99 of delivery") {
		t.Errorf("error %v after\n%s", err, &out)
	}
	w := ended(t, standard(), "")
	w.baseline.add(aged(time.Millisecond), true)
	w.faults.add(aged(time.Second), true)
	out.Reset()
	if err := w.report(&out); err == nil || !strings.Contains(out.String(), "\nFAIL  p99 of delivery") {
		t.Errorf("error %v after\n%s", err, &out)
	}
}

func TestParse_SaysWhereThePlotGoes(t *testing.T) {
	for args, want := range map[string]string{
		"-d 1m":                      "",
		"-o /tmp/mine.svg":           "/tmp/mine.svg",
		"-record -dir benchmarks":    filepath.Join("benchmarks", "plots", "soak.svg"),
		"-record":                    filepath.Join("plots", "soak.svg"),
		"-dir benchmarks -o here.me": "here.me",
	} {
		if p, err := parse(strings.Fields(args)); err != nil || p.plot != want {
			t.Errorf("%s: the plot goes to %q, error %v, want %q", args, p.plot, err, want)
		}
	}
	for _, args := range []string{"-record -o mine.svg", "-d 0s", "-out mine.svg", "now"} {
		if _, err := parse(strings.Fields(args)); err == nil {
			t.Errorf("%s was taken", args)
		}
	}
}

// No timer is on time to the nanosecond.
func TestWatchman_CollectsLateness(t *testing.T) {
	w := startWatchman()
	var late histogram.Histogram
	if !await(patience, func() bool {
		var recent histogram.Histogram
		w.take(&recent)
		late.Merge(&recent)
		return late.Max() > 0
	}) {
		t.Error("timers were never late")
	}
	w.leave()
	w.take(&late)
	time.Sleep(20 * time.Millisecond)
	if w.take(&late); late.Max() > 0 {
		t.Error("it goes on after it was told to leave")
	}
}
