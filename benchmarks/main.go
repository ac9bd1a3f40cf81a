// Bench runs wspulse beside its peers on this machine: each server in a process of its own, one load generator for all,
// every figure in interleaved rounds. It prints tables. Recorded results (RESULTS.md, results.json, plots) are written only
// with -record.
//
// It needs Linux, and talks to 127.0.0.1 only. See bench -h.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/wspulse/server/benchmarks/internal/bench"
	"github.com/wspulse/server/benchmarks/internal/load"
	"github.com/wspulse/server/benchmarks/internal/peers"
	"github.com/wspulse/server/benchmarks/internal/report"
	"github.com/wspulse/server/benchmarks/internal/serve"
	"github.com/wspulse/server/benchmarks/uws"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// A job is what the flags ask for.
type job struct {
	plan             bench.Plan
	scenarios, peers []string // all if empty
	record, render   bool
	dir              string // of the recorded results
	output           string // file for what is printed otherwise
	baseline         string // another build
	profiles         string
}

const about = `bench compares WebSocket servers on this machine. The results are only worth something when it does nothing else.
They are printed; what is recorded changes only with -record or -render.

`

func run(args []string, stdout io.Writer) error {
	if done, err := runChild(args); done {
		return err
	}
	j, err := parse(args)
	if err != nil {
		return err
	}
	if j.render {
		recorded, err := report.Open(j.resultsFile(), j.plan)
		if err != nil {
			return err
		}
		if len(recorded.Series) == 0 {
			return fmt.Errorf("there are no figures in %s", j.resultsFile())
		}
		return recorded.Render(j.dir)
	}
	return j.run(stdout)
}

func parse(args []string) (*job, error) {
	var (
		full      = bench.Full()
		j         = &job{plan: full}
		flags     = flag.NewFlagSet("bench", flag.ContinueOnError)
		scenarios = flags.String("scenario", "", "run only these, comma-separated, or only a case of them, "+
			"as in fanout:saturated: "+strings.Join(scenarioNames(full), ", "))
		names = flags.String("peers", "", "run only these, comma-separated: "+strings.Join(peers.Names(), ", ")+
			"; uws needs Node, and its npm package, "+
			"which is installed in uws/node_modules when uws is named here, or everything recorded")
		quick = flags.Bool("quick", false, "run everything small and once; only good for seeing that it works")
	)
	flags.IntVar(&j.plan.Rounds, "rounds", full.Rounds, "measurements of each figure, interleaved")
	flags.DurationVar(&j.plan.Duration, "duration", full.Duration, "of one measurement, but for the steps of ladder")
	flags.IntVar(&j.plan.Workers, "workers", full.Workers, "goroutines of the load generator")
	flags.StringVar(&j.output, "o", "", "`file` for the tables instead of the standard output, "+
		"or for the figures if it ends in .json")
	flags.BoolVar(&j.record, "record", false, "merge what is measured into the recorded results: "+
		"results.json, RESULTS.md and plots/")
	flags.StringVar(&j.dir, "dir", ".", "directory of the recorded results; its why.md goes into RESULTS.md, its uws has the server of uws")
	flags.BoolVar(&j.render, "render", false, "run nothing, write RESULTS.md and the plots from the recorded results.json")
	flags.StringVar(&j.baseline, "baseline", "", "another build of this program, from another commit: "+
		"print what each figure is of that one's")
	flags.StringVar(&j.profiles, "profiles", "", "directory for CPU and heap profiles of the servers, but for uws")
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), about)
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unknown argument %q", flags.Arg(0))
	}
	j.scenarios, j.peers = list(*scenarios), list(*names)
	if *quick {
		j.plan = bench.Quick()
	}
	return j, j.check(*quick)
}

// check says what does not go together, before anything is measured.
func (j *job) check(quick bool) error {
	if j.record && (quick || j.render || j.baseline != "") {
		return errors.New("-record goes with none of -quick, -render and -baseline")
	}
	if j.render && (quick || j.output != "" || j.baseline != "") {
		return errors.New("-render goes with none of -quick, -o and -baseline")
	}
	if j.output != "" {
		if err := j.checkOutput(); err != nil {
			return fmt.Errorf("-o: %w", err)
		}
	}
	if j.baseline != "" {
		path, err := filepath.Abs(j.baseline) // so that it is not looked for elsewhere
		if err == nil {
			_, err = os.Stat(path)
		}
		if err != nil {
			return fmt.Errorf("-baseline: %w", err)
		}
		j.baseline = path
	}
	return nil
}

// checkOutput refuses a file that can't be written, and one that is a recorded result.
func (j *job) checkOutput() error {
	folder, err := os.Stat(filepath.Dir(j.output))
	if err != nil {
		return err
	}
	file, err := os.Stat(j.output)
	if err != nil {
		return nil // it is made
	}
	if file.IsDir() {
		return fmt.Errorf("%s is a directory", j.output)
	}
	for _, recorded := range []string{"results.json", "RESULTS.md", "why.md"} {
		if other, err := os.Stat(filepath.Join(j.dir, recorded)); err == nil && os.SameFile(file, other) {
			return fmt.Errorf("%s is recorded: -record writes it", j.output)
		}
	}
	if plots, err := os.Stat(filepath.Join(j.dir, "plots")); err == nil && os.SameFile(folder, plots) {
		return fmt.Errorf("%s is recorded: -record writes it", j.output)
	}
	return nil
}

func (j *job) resultsFile() string { return filepath.Join(j.dir, "results.json") }

// everything says whether the whole plan is to be measured.
func (j *job) everything() bool { return len(j.scenarios) == 0 && len(j.peers) == 0 }

// run measures, prints, and records if it is to.
func (j *job) run(stdout io.Writer) error {
	var recorded *report.Results
	if j.record {
		var err error
		if recorded, err = report.Open(j.resultsFile(), j.plan); err != nil {
			return err
		}
		if !j.everything() {
			if err := recorded.Takes(j.plan); err != nil {
				return err
			}
		}
	}
	if j.profiles != "" {
		if err := os.MkdirAll(j.profiles, 0o755); err != nil {
			return err
		}
	}
	programs, version := j.programs()
	began := time.Now()
	series, err := bench.Run(bench.Options{
		Plan: j.plan, Scenarios: j.scenarios, Peers: j.peers, Profiles: j.profiles, Baseline: j.baseline, Progress: os.Stderr,
		Programs: programs,
	})
	if err != nil {
		return err
	}
	measured := report.New(j.plan)
	if version != "" {
		measured.Versions[peers.UWSModule] = version
	}
	measured.Add(series, began)
	err = j.print(stdout, measured)
	if j.record {
		err = errors.Join(err, j.recordIn(recorded, measured))
	}
	return errors.Join(err, failed(series))
}

// programs returns the commands of the servers that are no part of this program, and the version of uws. It says why uws is
// left out, if it is.
func (j *job) programs() (commands map[string][]string, version string) {
	const name = "uws"
	asked := slices.Contains(j.peers, name)
	if !asked && len(j.peers) > 0 {
		return nil, ""
	}
	program, err := uws.Find(filepath.Join(j.dir, "uws"), asked || j.record && j.everything())
	if err != nil {
		hint := ""
		if errors.Is(err, uws.ErrNotInstalled) {
			hint = "; -peers uws installs it"
		}
		fmt.Fprintf(os.Stderr, "uws is left out: %v%s\n", err, hint)
		return nil, ""
	}
	return map[string][]string{name: program.Command}, program.Version
}

// print writes what was measured to the standard output or to the file that takes its place.
func (j *job) print(stdout io.Writer, measured *report.Results) error {
	var b strings.Builder
	var err error
	switch {
	case j.baseline != "":
		err = report.Compare(&b, j.plan, measured.Series)
	case filepath.Ext(j.output) == ".json":
		var data []byte
		data, err = measured.JSON()
		b.Write(data)
	default:
		err = measured.Print(&b)
	}
	switch {
	case err != nil:
		return err
	case j.output != "":
		return os.WriteFile(j.output, []byte(b.String()), 0o644)
	}
	_, err = io.WriteString(stdout, b.String())
	return err
}

// recordIn merges what was measured into the recorded results.
func (j *job) recordIn(recorded, measured *report.Results) error {
	for _, cell := range recorded.Merge(measured, j.everything()) {
		fmt.Fprintf(os.Stderr, "could not be measured, and stays as recorded: %s\n", cell)
	}
	if err := os.MkdirAll(j.dir, 0o755); err != nil {
		return err
	}
	return errors.Join(recorded.Save(j.resultsFile()), recorded.Render(j.dir))
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
