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

// String names the machine in a line.
func (m Machine) String() string {
	return fmt.Sprintf("%d cores, %s, %s, %s", m.Cores, m.CPU, m.Kernel, m.Go)
}

// New returns results without figures, of this machine and this build.
func New(plan bench.Plan) *Results {
	return &Results{Machine: thisMachine(), Versions: versions(), Plan: plan}
}

// Open returns the results in a file, or ones without figures if there is none. Sizes that the file does not have, since
// its scenarios are fewer, are those of the plan.
func Open(file string, plan bench.Plan) (*Results, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return New(plan), nil
	}
	if err != nil {
		return nil, err
	}
	results := &Results{Plan: plan}
	if err := json.Unmarshal(data, results); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return results, nil
}

// Save writes the results to a file, which holds what it held before until all of them are written.
func (r *Results) Save(file string) error {
	data, err := r.JSON()
	if err != nil {
		return err
	}
	unfinished := file + ".new"
	if err := os.WriteFile(unfinished, data, 0o644); err != nil {
		return err
	}
	return os.Rename(unfinished, file)
}

// JSON returns what Open reads.
func (r *Results) JSON() ([]byte, error) {
	data, err := json.MarshalIndent(r, "", " ")
	return append(data, '\n'), err
}

// find returns what one peer did in one case. Its Rounds are nil if that was not measured.
func (r *Results) find(scenario, name, peer string) bench.Series {
	if i := r.index(scenario, name, peer); i >= 0 {
		return r.Series[i]
	}
	return bench.Series{}
}

func (r *Results) index(scenario, name, peer string) int {
	return slices.IndexFunc(r.Series, func(s bench.Series) bool {
		return s.Scenario == scenario && s.Case == name && s.Peer == peer
	})
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
