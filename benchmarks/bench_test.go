package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/wspulse/server/benchmarks/internal/bench"
	"github.com/wspulse/server/benchmarks/internal/peers"
	"github.com/wspulse/server/benchmarks/internal/report"
	"github.com/wspulse/server/benchmarks/uws"
)

// TestMain lets the test binary be the processes that a run starts.
func TestMain(m *testing.M) {
	if done, err := runChild(os.Args[1:]); done {
		if err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// Every scenario, small, with all deliveries counted and their order checked.
func TestQuick(t *testing.T) {
	t.Setenv("GORACE", "atexit_sleep_ms=0") // of the processes; there are many
	series, err := bench.Run(bench.Options{
		Plan:     bench.Quick(),
		Peers:    []string{"wspulse", "chat", "floor", "floor64"},
		Progress: t.Output(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := bench.Failures(series); n > 0 {
		t.Errorf("%d measurements failed", n)
	}
	testRender(t, series)
}

// The same for uws, where Node and its package are.
func TestQuick_UWS(t *testing.T) {
	program, err := uws.Find("uws", false)
	if err != nil {
		t.Skip(err)
	}
	t.Setenv("GORACE", "atexit_sleep_ms=0")
	series, err := bench.Run(bench.Options{
		Plan: bench.Quick(), Peers: []string{"uws"}, Programs: map[string][]string{"uws": program.Command}, Progress: t.Output(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := bench.Failures(series); n > 0 || len(series) == 0 {
		t.Errorf("%d measurements of %d cases failed", n, len(series))
	}
}

// A ladder of one step that everybody holds and one that nobody does, each in another way.
func TestLadder_EndsWithALossOrLate(t *testing.T) {
	t.Setenv("GORACE", "atexit_sleep_ms=0")
	plan := bench.Quick()
	plan.Queue, plan.Ladder = 1, []float64{10, 50e3}
	series, err := bench.Run(bench.Options{
		Plan: plan, Scenarios: []string{"ladder"}, Peers: []string{"wspulse", "chat", "floor"}, Progress: t.Output(),
	})
	if err != nil {
		t.Fatal(err)
	}
	loses := map[string]bool{"wspulse": true, "chat": true} // one drops, one closes; the floor's publisher waits
	for _, s := range series {
		f := s.Rounds[0].Figures
		if f["rate"] != plan.Ladder[0]/1000 || (f["lost"] > 0) != loses[s.Peer] || f["intime"] >= 95 && !loses[s.Peer] {
			t.Errorf("%s: %+v", s.Peer, s.Rounds[0])
		}
	}
}

// testRender checks that all scenarios and plots make it into the report.
func testRender(t *testing.T, series []bench.Series) {
	t.Helper()
	dir := t.TempDir()
	results := report.New(bench.Quick())
	results.Add(series, time.Now())
	if err := results.Render(dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(dir + "/RESULTS.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range bench.Scenarios(bench.Quick()) {
		if !strings.Contains(string(text), "\n## "+s.Name+"\n") {
			t.Errorf("RESULTS.md has no section on %s", s.Name)
		}
	}
	if plots, err := os.ReadDir(dir + "/plots"); err != nil || len(plots) != 5 {
		t.Errorf("%d plots, error %v", len(plots), err)
	}
}

// A build compared with itself.
func TestBaseline(t *testing.T) {
	t.Setenv("GORACE", "atexit_sleep_ms=0")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	series, err := bench.Run(bench.Options{
		Plan: bench.Quick(), Scenarios: []string{"echo"}, Peers: []string{"wspulse", "chat"}, Baseline: self, Progress: t.Output(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := bench.Failures(series); n > 0 {
		t.Errorf("%d measurements failed", n)
	}
	plan := bench.Quick()
	plan.Rounds = 2
	broken, err := bench.Run(bench.Options{
		Plan: plan, Scenarios: []string{"echo"}, Peers: []string{"wspulse"}, Baseline: "/nonexistent", Progress: t.Output(),
	})
	if err != nil || bench.Failures(broken) != plan.Rounds {
		t.Errorf("without the other build %d measurements failed, error %v, want %d", bench.Failures(broken), err, plan.Rounds)
	}
	var table strings.Builder
	if err := report.Compare(&table, bench.Quick(), series); err != nil {
		t.Fatal(err)
	}
	for _, peer := range []string{"wspulse", "chat"} {
		if !strings.Contains(table.String(), "| echo | one in flight | "+peer+" | server CPU") {
			t.Errorf("%s is not compared:\n%s", peer, &table)
		}
	}
}

func TestForms_HaveTheSizeAskedFor(t *testing.T) {
	for _, name := range peers.Names() {
		e, err := peers.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, form := range []peers.Form{e.Dialect.Echo, e.Dialect.Count} {
			if message, _ := form.Message(128); len(message) != 128 {
				t.Errorf("%s sends %d bytes: %s", name, len(message), message)
			}
		}
	}
}
