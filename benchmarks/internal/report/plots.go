package report

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/wspulse/server/benchmarks/internal/bench"
)

// A plotted is a plot in a file.
type plotted struct{ file, title string }

// plot draws what there are figures for.
func (r *Results) plot(dir string) ([]plotted, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	var paced []string
	for _, rate := range r.Plan.PacedRates {
		paced = append(paced, bench.PacedName(rate))
	}
	charts := []struct {
		file  string
		chart interface {
			svg() []byte
			empty() bool
			heading() string
		}
	}{
		{"fanout-rate.svg", r.bars("Fan-out at saturation, thousand deliveries a second", "fanout", "rate", "saturated")},
		{"fanout-cpu.svg", r.bars("Fan-out, server CPU seconds per million deliveries", "fanout", "cpu", append(paced, "saturated")...)},
		{"latency-p99.svg", r.bars("Fan-out, p99 latency in milliseconds", "fanout", "p99", paced...)},
		{"scale-cpu.svg", r.lines("Server CPU per delivery by members of the room, µs", "members of the room", "scale", "cpu")},
		{"idle-memory.svg", r.bars("An idle connection, resident KiB", "idle", "rss", "after a collection")},
	}
	var done []plotted
	for _, c := range charts {
		if c.chart.empty() {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, c.file), c.chart.svg(), 0o644); err != nil {
			return nil, err
		}
		done = append(done, plotted{c.file, c.chart.heading()})
	}
	return done, nil
}

// bars collects one bar for each peer and case.
func (r *Results) bars(title, scenario, key string, cases ...string) *barChart {
	chart := &barChart{title: title, series: cases}
	for _, e := range r.peers() {
		group := barGroup{label: e.Name, ours: e.Name == ours}
		found := false
		for _, name := range cases {
			s := values(r.find(scenario, name, e.Name).Rounds, key)
			found = found || len(s) > 0
			group.bars = append(group.bars, s)
		}
		if found {
			chart.groups = append(chart.groups, group)
		}
	}
	return chart
}

// lines collects one line for each peer, over the room sizes.
func (r *Results) lines(title, axis, scenario, key string) *lineChart {
	chart := &lineChart{title: title, axis: axis}
	for _, e := range r.peers() {
		l := line{label: e.Name, ours: e.Name == ours}
		for _, members := range r.Plan.Scale {
			if s := values(r.find(scenario, fmt.Sprintf("%d members", members), e.Name).Rounds, key); len(s) > 0 {
				l.points = append(l.points, point{float64(members), s.median()})
			}
		}
		if len(l.points) > 0 {
			chart.lines = append(chart.lines, l)
		}
	}
	return chart
}
