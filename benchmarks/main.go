// Bench runs wspulse beside its peers on this machine: each server in a process of its own, one load generator for all,
// every figure in interleaved rounds. It writes RESULTS.md, results.json and the plots.
//
// It needs Linux, and talks to 127.0.0.1 only. See bench -h.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/wspulse/server/benchmarks/internal/bench"
	"github.com/wspulse/server/benchmarks/internal/load"
	"github.com/wspulse/server/benchmarks/internal/peers"
	"github.com/wspulse/server/benchmarks/internal/report"
	"github.com/wspulse/server/benchmarks/internal/serve"
)

func main() {
	if err := run(os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if done, err := runChild(args); done {
		return err
	}
	var (
		plan      = bench.Full()
		flags     = flag.NewFlagSet("bench", flag.ContinueOnError)
		scenarios = flags.String("scenario", "", "run only these, comma-separated, or only a case of them, as in fanout:saturated: "+strings.Join(scenarioNames(plan), ", "))
		names     = flags.String("peers", "", "run only these, comma-separated: "+strings.Join(peers.Names(), ", "))
		rounds    = flags.Int("rounds", plan.Rounds, "measurements of each figure, interleaved")
		duration  = flags.Duration("duration", plan.Duration, "of one measurement")
		workers   = flags.Int("workers", plan.Workers, "goroutines of the load generator")
		out       = flags.String("out", ".", "directory for RESULTS.md, results.json and plots/; why.md there is merged in")
		merge     = flags.Bool("merge", false, "keep from results.json what is not run")
		render    = flags.Bool("render", false, "run nothing, write RESULTS.md and the plots from results.json")
		quick     = flags.Bool("quick", false, "run everything small and once, fail on any error, write nothing")
		baseline  = flags.String("baseline", "", "another build of this program, from another commit: print what each figure is of that one's, and write no results")
		profiles  = flags.String("profiles", "", "directory for CPU and heap profiles of the servers")
	)
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), "bench compares WebSocket servers on this machine. The results are only worth something when it does nothing else.\n\n")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unknown argument %q", flags.Arg(0))
	}
	if err := checkBaseline(baseline, *quick || *merge || *render); err != nil {
		return err
	}
	if *quick {
		return runQuick(list(*scenarios), list(*names))
	}
	plan.Rounds, plan.Duration, plan.Workers = *rounds, *duration, *workers
	file := filepath.Join(*out, "results.json")
	results, err := report.Open(file, plan, *merge || *render)
	if err != nil {
		return err
	}
	if *render {
		return results.Render(*out)
	}
	dirs := []string{*profiles}
	if *baseline == "" {
		dirs = append(dirs, *out)
	}
	for _, dir := range dirs {
		if dir != "" {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
		}
	}
	series, err := bench.Run(bench.Options{
		Plan: plan, Scenarios: list(*scenarios), Peers: list(*names), Profiles: *profiles, Baseline: *baseline, Progress: os.Stderr,
	})
	if err != nil {
		return err
	}
	if *baseline != "" {
		return errors.Join(report.Compare(os.Stdout, plan, series), failed(series))
	}
	results.Add(series)
	if err := errors.Join(results.Save(file), results.Render(*out)); err != nil {
		return err
	}
	return failed(series)
}

// runChild runs what the driver starts: a server or the load generator.
func runChild(args []string) (done bool, err error) {
	switch {
	case len(args) == 1 && args[0] == "serve":
		return true, serve.Run(os.Stdin, os.Stdout)
	case len(args) == 1 && args[0] == "load":
		return true, load.Run(os.Stdin, os.Stdout)
	}
	return false, nil
}

// checkBaseline makes the path of another build absolute, so that it is not looked for elsewhere.
func checkBaseline(program *string, otherwise bool) error {
	if *program == "" {
		return nil
	}
	if otherwise {
		return errors.New("-baseline goes with none of -quick, -merge and -render")
	}
	path, err := filepath.Abs(*program)
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		return fmt.Errorf("-baseline: %w", err)
	}
	*program = path
	return nil
}

// runQuick runs everything small.
func runQuick(scenarios, names []string) error {
	series, err := bench.Run(bench.Options{Plan: bench.Quick(), Scenarios: scenarios, Peers: names, Progress: os.Stderr})
	if err != nil {
		return err
	}
	return failed(series)
}

func failed(series []bench.Series) error {
	if n := bench.Failures(series); n > 0 {
		return fmt.Errorf("%d measurements failed", n)
	}
	return nil
}

func list(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

func scenarioNames(plan bench.Plan) (names []string) {
	for _, s := range bench.Scenarios(plan) {
		names = append(names, s.Name)
	}
	return names
}
