package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/wspulse/server/benchmarks/internal/histogram"
	"github.com/wspulse/server/benchmarks/internal/report"
)

// A table has a line for each interval of the run.
type table struct {
	world *world
	out   io.Writer
	last  counts
	lines []line
	marks []report.Mark
}

// counts are what only grows.
type counts struct {
	at                                    time.Time
	connects, resumes, delivered, dropped int64
	processors                            processors
}

// A line is what happened in an interval, and what was in use at its end.
type line struct {
	phase                         string
	at                            time.Duration // its end
	sessions, suspended           int64
	connects, resumes, deliveries float64 // a second
	dropped                       int64
	p50, p99                      time.Duration
	usage                         usage
	busy, idle                    float64 // shares of all processors: this process, and nobody
	late                          time.Duration
	room                          bool // the machine had room
}

const (
	heading = "   time  phase    sessions suspended  conn/s resume/s delivered/s dropped" +
		"  p50 ms  p99 ms  heap MiB goroutines sockets  CPU % idle % late ms room"
	format = "%7s  %-8s %8d %9d %7.0f %8.0f %11.0f %7d %7.2f %7.2f %9.1f %10d %7d %6.0f %6.0f %7.2f %4s\n"
)

// newTable returns a table that has room for all lines, so that it does not grow.
func newTable(w *world, out io.Writer) *table {
	const phases = 3 // each may end with a line of its own
	return &table{world: w, out: out, lines: make([]line, 0, int(w.plan.length/w.plan.every)+phases)}
}

// watch adds lines for as long as a phase lasts, and to total the ages of the frames that healthy peers heard in it.
func (t *table) watch(phase string, d time.Duration, total *spell) (err error) {
	var recent, late histogram.Histogram
	t.world.crowd.ages.take(&recent) // what was before
	t.world.watch.take(&late)
	if t.last, err = t.count(); err != nil {
		return err
	}
	t.marks = append(t.marks, report.Mark{At: time.Since(t.world.book.began).Seconds(), Label: phase})
	if len(t.lines) == 0 {
		fmt.Fprintln(t.out, heading)
	}
	for end := time.Now().Add(d); ; {
		left := time.Until(end)
		if left <= 0 {
			return nil
		}
		if left < 3*t.world.plan.every/2 { // rather a long line than a very short one
			time.Sleep(left)
		} else {
			time.Sleep(t.world.plan.every)
		}
		t.world.crowd.ages.take(&recent)
		t.world.watch.take(&late)
		l, err := t.add(phase, &recent, &late)
		if err != nil {
			return err
		}
		total.add(&recent, l.room)
		fmt.Fprintf(t.out, format, l.at.Round(time.Second/10), phase, l.sessions, l.suspended,
			l.connects, l.resumes, l.deliveries, l.dropped,
			milliseconds(l.p50), milliseconds(l.p99), mebibytes(l.usage.heap), l.usage.goroutines, l.usage.sockets,
			100*l.busy, 100*l.idle, milliseconds(l.late), yes(l.room))
	}
}

func (t *table) count() (c counts, err error) {
	w := t.world
	c = counts{at: time.Now(), connects: w.host.accepted.Load(), resumes: w.book.resumed.Load(),
		delivered: w.book.sent.Load(), dropped: w.book.dropped.Load()}
	c.processors, err = processorTime()
	return c, err
}

func yes(so bool) string {
	if so {
		return "yes"
	}
	return "no"
}

// add adds a line.
func (t *table) add(phase string, recent, late *histogram.Histogram) (l line, err error) {
	last := t.last
	if t.last, err = t.count(); err != nil {
		return l, err
	}
	now := t.last
	seconds := now.at.Sub(last.at).Seconds()
	rate := func(now, last int64) float64 { return float64(now-last) / seconds }
	l = line{
		phase:     phase,
		at:        now.at.Sub(t.world.book.began),
		sessions:  t.world.book.sessions(),
		suspended: t.world.host.suspended.Load(),
		connects:  rate(now.connects, last.connects), resumes: rate(now.resumes, last.resumes),
		deliveries: rate(now.delivered, last.delivered),
		dropped:    now.dropped - last.dropped,
		p50:        recent.Quantile(0.5), p99: recent.Quantile(0.99),
		busy: (now.processors.self - last.processors.self).Seconds() / seconds / float64(runtime.NumCPU()),
		idle: (now.processors.idle - last.processors.idle).Seconds() / seconds / float64(runtime.NumCPU()),
		late: late.Quantile(0.99),
	}
	l.room = t.world.plan.hasRoom(l)
	if l.usage, err = measure(); err != nil {
		return l, err
	}
	t.lines = append(t.lines, l)
	return l, nil
}

// machine says how busy the machine was in a phase.
func (t *table) machine(phase string) string {
	var idle, busy, lines float64
	var late time.Duration
	for _, l := range t.lines {
		if l.phase == phase {
			idle, busy, late, lines = idle+l.idle, busy+l.busy, max(late, l.late), lines+1
		}
	}
	return fmt.Sprintf("%.0f %% idle, %.0f %% used here, timers up to %v late",
		100*idle/lines, 100*busy/lines, round(late))
}

// draw writes the plot.
func (t *table) draw(file string) error {
	series := func(label string, value func(line) float64) report.Series {
		s := report.Series{Label: label}
		for _, l := range t.lines {
			s.Points = append(s.Points, report.Point{X: l.at.Seconds(), Y: value(l)})
		}
		return s
	}
	plot := report.Timeline{
		Title: fmt.Sprintf("%v with %d healthy and %d sick connections", t.world.plan.length, t.world.plan.healthy, t.world.plan.sick),
		Marks: t.marks,
		Panels: []report.Panel{
			{Title: "delivery to healthy peers, ms", Series: []report.Series{
				series("p99", func(l line) float64 { return milliseconds(l.p99) }),
				series("p50", func(l line) float64 { return milliseconds(l.p50) }),
			}},
			{Title: "sessions", Series: []report.Series{
				series("all", func(l line) float64 { return float64(l.sessions) }),
				series("suspended", func(l line) float64 { return float64(l.suspended) }),
			}},
			{Title: "a second", Series: []report.Series{
				series("connects", func(l line) float64 { return l.connects }),
				series("resumes", func(l line) float64 { return l.resumes }),
			}},
			{Title: "live heap, MiB", Series: []report.Series{
				series("heap", func(l line) float64 { return mebibytes(l.usage.heap) }),
			}},
			{Title: "in use", Series: []report.Series{
				series("goroutines", func(l line) float64 { return float64(l.usage.goroutines) }),
				series("sockets", func(l line) float64 { return float64(l.usage.sockets) }),
			}},
		},
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, plot.SVG(), 0o644)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func mebibytes(n uint64) float64 { return float64(n) / (1 << 20) }
