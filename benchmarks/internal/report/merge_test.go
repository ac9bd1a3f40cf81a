package report

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/wspulse/server/benchmarks/internal/bench"
)

const oneInFlight = "one in flight" // the case of the scenario echo

// figures returns results in which the peers did one measurement of the echo each, with that CPU time.
func figures(began time.Time, cpu float64, peers ...string) *Results {
	r := &Results{Machine: Machine{Cores: 2, Go: "go1"}, Versions: map[string]string{"a": "v1"}, Plan: bench.Full()}
	r.Plan.Rounds = 1
	var series []bench.Series
	for i, peer := range peers {
		series = append(series, bench.Series{Scenario: "echo", Case: oneInFlight, Peer: peer,
			Rounds: []bench.Round{{Figures: bench.Figures{"cpu": cpu + float64(i)}}}})
	}
	r.Add(series, began)
	return r
}

// summary is what is in results, in a line.
func summary(r *Results) string {
	var cells []string
	for _, s := range r.Series {
		cells = append(cells, fmt.Sprintf("%s/%s=%v", s.Scenario, s.Peer, values(s.Rounds, "cpu")))
	}
	return strings.Join(cells, " ")
}

var (
	monday  = time.Unix(0, 0)
	tuesday = monday.Add(24 * time.Hour)
)

func TestMerge_ReplacesInPlaceWhatWasMeasured(t *testing.T) {
	recorded := figures(monday, 10, "wspulse", "chat", "gws")
	kept := recorded.Merge(figures(tuesday, 50, "chat", "melody"), false)
	want := "echo/wspulse=10.0 echo/chat=50.0 echo/gws=12.0 echo/melody=51.0"
	if got := summary(recorded); got != want || len(kept) > 0 {
		t.Errorf("got %s, kept %v, want %s", got, kept, want)
	}
}

func TestMerge_KeepsWhereNothingCouldBeMeasured(t *testing.T) {
	for _, everything := range []bool{false, true} {
		recorded, run := figures(monday, 10, "wspulse", "chat"), figures(tuesday, 50, "wspulse", "chat", "gws")
		run.Series[0].Rounds = []bench.Round{{Error: "too few open files"}}
		run.Series[2].Rounds = []bench.Round{{Error: "too few open files"}} // nothing is recorded of it
		kept := recorded.Merge(run, everything)
		want := "echo/wspulse=10.0 echo/chat=51.0 echo/gws=–"
		if got := summary(recorded); got != want || fmt.Sprint(kept) != "[echo, one in flight: wspulse]" {
			t.Errorf("everything %v: got %s, kept %v, want %s", everything, got, kept, want)
		}
	}
}

func TestMerge_SaysWhatWasMeasuredOtherwise(t *testing.T) {
	recorded, run := figures(monday, 10, "wspulse", "chat"), figures(tuesday, 50, "wspulse")
	recorded.Series[1].Rounds = append(recorded.Series[1].Rounds, bench.Round{Figures: bench.Figures{"cpu": 21}})
	run.Plan.Duration = time.Second
	run.Machine.Cores = 4
	recorded.Merge(run, false)
	if recorded.Machine.Cores != 2 || recorded.Plan.Duration != bench.Full().Duration {
		t.Errorf("a part changed what is said of all: %+v", recorded.Machine)
	}
	var b strings.Builder
	if err := recorded.Print(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"\nwspulse: measured apart: 1 × 1s, 4 cores, , , go1\n",
		"| **wspulse** | 50.0 | ~3.12 |",
		"A ratio with ~ before it",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, &b)
		}
	}
}

func TestMerge_OfEverythingBeginsAnew(t *testing.T) {
	recorded, run := figures(monday, 10, "wspulse", "chat"), figures(tuesday, 50, "wspulse", "chat")
	recorded.Series[0].Case = "a case that there was once"
	recorded.Series[1].Apart = "measured apart"
	run.Plan.Fanout, run.Machine.Cores, run.Versions = 7, 4, map[string]string{"b": "v2"}
	recorded.Merge(run, true)
	if got, want := summary(recorded), "echo/chat=51.0 echo/wspulse=50.0"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if recorded.Plan.Fanout != 7 || recorded.Machine.Cores != 4 || fmt.Sprint(recorded.Versions) != "map[b:v2]" {
		t.Errorf("the results say %+v", recorded)
	}
	var b strings.Builder
	if err := recorded.Print(&b); err != nil || strings.ContainsAny(b.String(), "~") || strings.Contains(b.String(), "measured apart") {
		t.Errorf("error %v, got\n%s", err, &b)
	}
}

func TestTakes_OnlyThePlanThatWasRecorded(t *testing.T) {
	recorded, plan := figures(monday, 10, "wspulse"), bench.Full()
	plan.Rounds, plan.Duration, plan.Workers = 99, time.Second, 9 // what the flags set
	if err := recorded.Takes(plan); err != nil {
		t.Error(err)
	}
	plan.Fanout++
	if recorded.Takes(plan) == nil {
		t.Error("another number of connections was taken")
	}
	if err := New(plan).Takes(plan); err != nil {
		t.Errorf("where nothing is recorded: %v", err)
	}
}

// A scenario that is new does not keep those that are recorded from being merged into.
func TestOpen_TakesSizesThatAreNotRecordedFromThePlan(t *testing.T) {
	file, plan := t.TempDir()+"/results.json", bench.Full()
	if err := os.WriteFile(file, []byte(`{"Plan": {"Fanout": 7}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	recorded, err := Open(file, plan)
	plan.Fanout = 7
	if err != nil || !reflect.DeepEqual(recorded.Plan, plan) {
		t.Errorf("got %+v, error %v", recorded, err)
	}
}

func TestSave_IsWhatOpenReads(t *testing.T) {
	file := t.TempDir() + "/results.json"
	if err := figures(monday, 10, "wspulse", "chat").Save(file); err != nil {
		t.Fatal(err)
	}
	recorded, err := Open(file, bench.Quick())
	if err != nil || recorded.Plan.Fanout != bench.Full().Fanout || summary(recorded) != "echo/wspulse=10.0 echo/chat=11.0" {
		t.Errorf("got %+v, error %v", recorded, err)
	}
}
