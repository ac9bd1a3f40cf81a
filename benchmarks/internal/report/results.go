// Package report keeps the figures and writes them as tables and plots.
package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/wspulse/server/benchmarks/internal/bench"
	"github.com/wspulse/server/benchmarks/internal/peers"
)

// Results are all figures, and what they were measured with.
type Results struct {
	Machine  Machine
	Versions map[string]string // of the peers, by module
	Plan     bench.Plan
	Series   []bench.Series
}

// Machine is what the figures depend on.
type Machine struct {
	Cores  int
	CPU    string
	Kernel string
	Go     string
}

// Open returns the results in a file, if keep is set and there are any, or empty ones.
func Open(file string, plan bench.Plan, keep bool) (*Results, error) {
	results := &Results{Machine: thisMachine(), Versions: versions(), Plan: plan}
	if !keep {
		return results, nil
	}
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return results, nil
	}
	if err != nil {
		return nil, err
	}
	return results, json.Unmarshal(data, results)
}

// Save writes the results to a file.
func (r *Results) Save(file string) error {
	data, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(data, '\n'), 0o644)
}

// Add adds series, which replace those of the same scenario, case and peer.
func (r *Results) Add(series []bench.Series) {
	for _, s := range series {
		r.Series = slices.DeleteFunc(r.Series, func(old bench.Series) bool {
			return old.Scenario == s.Scenario && old.Case == s.Case && old.Peer == s.Peer
		})
		r.Series = append(r.Series, s)
	}
}

// find returns the rounds of one peer in one case.
func (r *Results) find(scenario, name, peer string) []bench.Round {
	for _, s := range r.Series {
		if s.Scenario == scenario && s.Case == name && s.Peer == peer {
			return s.Rounds
		}
	}
	return nil
}

// peers returns the peers that were measured, in the usual order.
func (r *Results) peers() (measured []peers.Entry) {
	for _, name := range peers.Names() {
		if slices.ContainsFunc(r.Series, func(s bench.Series) bool { return s.Peer == name }) {
			e, _ := peers.Find(name)
			measured = append(measured, e)
		}
	}
	return measured
}

func thisMachine() Machine {
	m := Machine{Cores: runtime.NumCPU(), CPU: "unknown", Kernel: "unknown", Go: runtime.Version()}
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(info)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				m.CPU = strings.TrimSpace(value)
				break
			}
		}
	}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		// The numbers of the release; what follows them names a build.
		release, _, _ := strings.Cut(unix.ByteSliceToString(name.Release[:]), "-")
		m.Kernel = fmt.Sprintf("%s %s", unix.ByteSliceToString(name.Sysname[:]), release)
	}
	return m
}

// versions returns the versions of the modules that this program is built from.
func versions() map[string]string {
	found := make(map[string]string)
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return found
	}
	for _, dep := range info.Deps {
		found[dep.Path] = dep.Version
		if dep.Replace != nil {
			found[dep.Path] = "this repository"
		}
	}
	return found
}
