package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wspulse/server/benchmarks/internal/bench"
	"github.com/wspulse/server/benchmarks/internal/report"
)

// short is a run that measures one cell.
var short = []string{"-scenario", "echo", "-peers", "floor", "-rounds", "1", "-duration", "20ms"}

// recordedHere makes a copy of the recorded results the working directory.
func recordedHere(t *testing.T) {
	t.Helper()
	t.Setenv("GORACE", "atexit_sleep_ms=0")
	dir := t.TempDir()
	for _, name := range []string{"results.json", "RESULTS.md", "why.md"} {
		data, err := os.ReadFile(name)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), data, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(filepath.Join(dir, "plots"), os.DirFS("plots")); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
}

// files returns what is in the files of the working directory.
func files(t *testing.T) map[string]string {
	t.Helper()
	found := make(map[string]string)
	err := filepath.WalkDir(".", func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		found[path] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// changed returns the names of the files that are not what they were.
func changed(before, after map[string]string) (names []string) {
	for name := range after {
		if after[name] != before[name] {
			names = append(names, name)
		}
	}
	for name := range before {
		if _, there := after[name]; !there {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func TestRun_RecordsNothingUnlessAsked(t *testing.T) {
	recordedHere(t)
	before := files(t)
	var stdout bytes.Buffer
	if err := run(short, &stdout); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(stdout.String(), "\n### echo, one in flight\n") || !strings.Contains(stdout.String(), "\n| floor | ") {
		t.Errorf("the table was not printed:\n%s", &stdout)
	}
	if names := changed(before, files(t)); len(names) > 0 {
		t.Errorf("these files changed: %v", names)
	}
}

func TestRun_LeavesOutUWSWithoutNode(t *testing.T) {
	t.Setenv("GORACE", "atexit_sleep_ms=0")
	t.Setenv("PATH", t.TempDir())
	var stdout bytes.Buffer
	if err := run(append(short, "-peers", "uws,floor"), &stdout); err != nil {
		t.Fatal(err)
	}
	if table := stdout.String(); strings.Contains(table, "| uws |") || !strings.Contains(table, "\n| floor | ") {
		t.Errorf("not what the floor did alone:\n%s", table)
	}
}

func TestRun_WritesToTheFileThatWasAskedFor(t *testing.T) {
	recordedHere(t)
	before := files(t)
	var stdout bytes.Buffer
	if err := run(append(short, "-o", "mine.json"), &stdout); err != nil {
		t.Fatal(err)
	}
	if names := changed(before, files(t)); stdout.Len() > 0 || !slices.Equal(names, []string{"mine.json"}) {
		t.Errorf("printed %q, and these files changed: %v", &stdout, names)
	}
	mine, err := report.Open("mine.json", bench.Full())
	if err != nil || len(mine.Series) != 1 {
		t.Errorf("read %+v, error %v", mine, err)
	}
}

func TestRun_RecordsWhatItMeasuredAndKeepsTheRest(t *testing.T) {
	recordedHere(t)
	before := files(t)
	if err := run(append(short, "-record"), new(bytes.Buffer)); err != nil {
		t.Fatal(err)
	}
	after := files(t)
	if names := changed(before, after); !slices.Equal(names, []string{"RESULTS.md", "results.json"}) {
		t.Errorf("these files changed: %v", names) // no plot shows an echo
	}
	was, is := cells(t, before["results.json"]), cells(t, after["results.json"])
	if names := changed(was, is); len(was) < 100 || !slices.Equal(names, []string{"echo, one in flight: floor"}) {
		t.Errorf("of %d cells these changed: %v", len(was), names)
	}
	for section := range strings.SplitSeq(before["RESULTS.md"], "\n## ") {
		if name, _, _ := strings.Cut(section, "\n"); name != "echo" && name != "# Results" &&
			!strings.Contains(after["RESULTS.md"], section) {
			t.Errorf("section %s of RESULTS.md is another", name)
		}
	}
}

// cells returns the series in a results.json by their names.
func cells(t *testing.T, data string) map[string]string {
	t.Helper()
	var results report.Results
	if err := json.Unmarshal([]byte(data), &results); err != nil {
		t.Fatal(err)
	}
	found := make(map[string]string)
	for _, s := range results.Series {
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		found[s.Scenario+", "+s.Case+": "+s.Peer] = string(text)
	}
	return found
}

// What is recorded is rendered from results.json, whoever wrote it last.
func TestRender_IsWhatIsRecorded(t *testing.T) {
	recordedHere(t)
	before := files(t)
	if err := run([]string{"-render"}, new(bytes.Buffer)); err != nil {
		t.Fatal(err)
	}
	if names := changed(before, files(t)); len(names) > 0 {
		t.Errorf("these files are not what results.json says: %v", names)
	}
}

func TestRun_Refuses(t *testing.T) {
	recordedHere(t)
	if err := os.Mkdir("empty", 0o755); err != nil {
		t.Fatal(err)
	}
	before := files(t)
	for _, c := range []struct{ args, text string }{
		{"-record -quick", "-record goes with none of"},
		{"-record -baseline results.json", "-record goes with none of"},
		{"-render -o mine.md", "-render goes with none of"},
		{"-render -dir empty", "there are no figures in empty/results.json"},
		{"-o results.json", "results.json is recorded"},
		{"-o ./RESULTS.md", "RESULTS.md is recorded"},
		{"-o plots/idle-memory.svg", "idle-memory.svg is recorded"},
		{"-o plots", "is a directory"},
		{"-o nowhere/mine.md", "no such file"},
		{"-baseline nowhere", "no such file"},
		{"-scenario lunch", `no scenario "lunch"`},
		{"-record -scenario echo:of", "has no case"},
		{"-merge", "not defined: -merge"},
		{"fanout", "unknown argument"},
	} {
		args := append(slices.Clone(short), strings.Fields(c.args)...) // so that it is short if it isn't refused
		err := run(args, new(bytes.Buffer))
		if err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: got error %v, want %q", c.args, err, c.text)
		}
	}
	if after := files(t); !maps.Equal(before, after) {
		t.Errorf("these files changed: %v", changed(before, after))
	}
}
