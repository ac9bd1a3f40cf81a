// Package bench drives the processes through the scenarios and collects the figures.
package bench

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/wspulse/server/benchmarks/internal/peers"
)

// Options say what to run.
type Options struct {
	Plan      Plan
	Scenarios []string            // names, each may be followed by a colon and the beginning of a case's name; all if empty
	Peers     []string            // names; all if empty
	Profiles  string              // directory for profiles of the servers, if any
	Baseline  string              // path of another build of this program, if any, with whose server each peer is compared
	Programs  map[string][]string // commands of the servers that are no part of this program, by peer
	Progress  io.Writer
}

// A Series is what one peer did in one case.
type Series struct {
	Scenario, Case, Peer string
	Baseline             bool   `json:",omitempty"` // of the other build
	Run                  string `json:",omitempty"` // when it began; series of one run have rounds in common
	Apart                string `json:",omitempty"` // how it was measured, where that is not how the others were
	Rounds               []Round
}

// Measured says whether any round has figures.
func (s Series) Measured() bool {
	return slices.ContainsFunc(s.Rounds, func(r Round) bool { return r.Error == "" })
}

// name is the peer's, and tells the builds apart.
func (s Series) name() string {
	if s.Baseline {
		return s.Peer + "-before"
	}
	return s.Peer
}

// A Round is one measurement. Figures is nil where there is an error.
type Round struct {
	Figures Figures `json:",omitempty"`
	Error   string  `json:",omitempty"`
}

// Run measures, case by case, every peer in turn in each round, every second round in reverse order: A B C C B A. With a
// baseline, that of each peer follows it.
func Run(o Options) ([]Series, error) {
	entries, err := o.choosePeers()
	if err != nil {
		return nil, err
	}
	scenarios, err := chooseScenarios(o.Plan, o.Scenarios)
	if err != nil {
		return nil, err
	}
	var all []Series
	for _, s := range scenarios {
		for _, c := range s.Cases {
			all = append(all, o.runCase(s, c, entries)...)
		}
	}
	return all, nil
}

func (o Options) runCase(s Scenario, c Case, entries []peers.Entry) []Series {
	series := make([]Series, 0, len(entries))
	for _, e := range entries {
		if e.Cannot[s.Name] == "" {
			now := Series{Scenario: s.Name, Case: c.Name, Peer: e.Name}
			series = append(series, now)
			if o.Baseline != "" {
				before := now
				before.Baseline = true
				series = append(series, before)
			}
		}
	}
	order := make([]int, len(series))
	for i := range order {
		order[i] = i
	}
	for round := range o.Plan.Rounds {
		if round > 0 {
			slices.Reverse(order) // whoever comes first is some 5 % slower, even beside itself
		}
		for _, i := range order {
			r := runner{plan: o.Plan, peer: series[i].Peer, command: o.Programs[series[i].Peer]}
			if series[i].Baseline {
				r.program = o.Baseline
			}
			if o.Profiles != "" {
				file := fmt.Sprintf("%s-%s-%s", s.Name, strings.NewReplacer(" ", "-", "/", "-").Replace(c.Name), series[i].name())
				r.profile = filepath.Join(o.Profiles, file)
			}
			figures, err := c.Measure(r)
			result := Round{Figures: figures}
			if err != nil {
				result = Round{Error: err.Error()}
			}
			series[i].Rounds = append(series[i].Rounds, result)
			fmt.Fprintf(o.Progress, "%-8s %-16s %d/%d %-14s %s\n", s.Name, c.Name, round+1, o.Plan.Rounds, series[i].name(), describe(s, result))
		}
	}
	return series
}

// describe puts the figures of one measurement on one line.
func describe(s Scenario, r Round) string {
	if r.Error != "" {
		return "FAILED: " + r.Error
	}
	var parts []string
	for _, column := range s.Columns {
		if v, ok := r.Figures[column.Key]; ok {
			parts = append(parts, fmt.Sprintf("%s %.4g", column.Key, v))
		}
	}
	return strings.Join(parts, "  ")
}

// Failures returns how many measurements failed.
func Failures(all []Series) (n int) {
	for _, s := range all {
		for _, r := range s.Rounds {
			if r.Error != "" {
				n++
			}
		}
	}
	return n
}

// choosePeers returns the peers to run, without those whose program is not there.
func (o Options) choosePeers() ([]peers.Entry, error) {
	names := o.Peers
	if len(names) == 0 {
		names = peers.Names()
	}
	var entries []peers.Entry
	for _, name := range names {
		e, err := peers.Find(name)
		if err != nil {
			return nil, err
		}
		if e.New != nil || o.Programs[name] != nil {
			entries = append(entries, e)
		}
	}
	return entries, nil
}

func chooseScenarios(plan Plan, names []string) ([]Scenario, error) {
	all := Scenarios(plan)
	if len(names) == 0 {
		return all, nil
	}
	var chosen []Scenario
	for _, name := range names {
		name, only, _ := strings.Cut(name, ":")
		i := slices.IndexFunc(all, func(s Scenario) bool { return s.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no scenario %q", name)
		}
		s := all[i]
		s.Cases = slices.DeleteFunc(slices.Clone(s.Cases), func(c Case) bool { return !strings.HasPrefix(c.Name, only) })
		if len(s.Cases) == 0 {
			return nil, fmt.Errorf("scenario %q has no case that begins with %q", name, only)
		}
		chosen = append(chosen, s)
	}
	return chosen, nil
}
