package report

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/wspulse/server/benchmarks/internal/bench"
	"github.com/wspulse/server/benchmarks/internal/peers"
)

// Add adds what a run that began at that time has measured.
func (r *Results) Add(series []bench.Series, began time.Time) {
	for _, s := range series {
		s.Run = began.UTC().Format(time.RFC3339Nano)
		r.Series = append(r.Series, s)
	}
}

// Takes says why a run of a part of the plan can't be merged, if it can't: tables have the sizes of one plan. What the flags
// set may differ; Merge notes that.
func (r *Results) Takes(plan bench.Plan) error {
	if len(r.Series) == 0 {
		return nil
	}
	plan.Rounds, plan.Duration, plan.Workers = r.Plan.Rounds, r.Plan.Duration, r.Plan.Workers
	if !reflect.DeepEqual(plan, r.Plan) {
		return errors.New("the sizes of the scenarios have changed since the results were recorded: record all of them anew")
	}
	return nil
}

// Merge puts the figures of a run into the places of those that it measured anew, and keeps all others, among them those of
// which the run could measure nothing: it returns their names. After a run of everything the results are those of its machine,
// versions and plan, and what the plan no longer has goes.
func (r *Results) Merge(run *Results, everything bool) (kept []string) {
	if everything || len(r.Series) == 0 {
		old := *r
		r.Machine, r.Versions, r.Plan = run.Machine, run.Versions, run.Plan
		r.Series = nil
		for _, s := range old.Series {
			if everything && !r.Plan.Has(s) {
				continue
			}
			if s.Apart == "" {
				s.Apart = r.apart(&old, s)
			}
			r.Series = append(r.Series, s)
		}
	}
	for module, version := range run.Versions {
		if r.Versions[module] == "" {
			r.Versions = maps.Clone(r.Versions)
			r.Versions[module] = version
		}
	}
	for _, s := range run.Series {
		i := r.index(s.Scenario, s.Case, s.Peer)
		s.Apart = r.apart(run, s)
		switch {
		case i < 0:
			r.Series = append(r.Series, s)
		case s.Measured():
			r.Series[i] = s
		default:
			kept = append(kept, fmt.Sprintf("%s, %s: %s", s.Scenario, s.Case, s.Peer))
		}
	}
	return kept
}

// apart says how a series of a run was measured, where that is not what the results say of all.
func (r *Results) apart(run *Results, s bench.Series) string {
	var notes []string
	if d := run.Plan.Duration; d != r.Plan.Duration || len(s.Rounds) < r.Plan.Rounds {
		notes = append(notes, fmt.Sprintf("%d × %v", len(s.Rounds), d))
	}
	if n := run.Plan.Workers; n != r.Plan.Workers {
		notes = append(notes, fmt.Sprintf("%d goroutines of the load generator", n))
	}
	if run.Machine != r.Machine {
		notes = append(notes, run.Machine.String())
	}
	if e, err := peers.Find(s.Peer); err == nil && run.Versions[e.Module] != r.Versions[e.Module] {
		notes = append(notes, "version "+run.Versions[e.Module])
	}
	if len(notes) == 0 {
		return ""
	}
	return "measured apart: " + strings.Join(notes, ", ")
}

// mixed says whether there are figures that have no round in common with those that they are compared with.
func (r *Results) mixed() bool {
	return slices.ContainsFunc(r.Series, func(s bench.Series) bool {
		base := r.find(s.Scenario, s.Case, basis)
		return base.Rounds != nil && base.Run != s.Run
	})
}
