package report

import (
	"strings"
	"testing"

	"github.com/wspulse/server/benchmarks/internal/bench"
)

// What a column is stands in the section of its scenario once it has a figure.
func TestPrint_SaysWhatTheColumnsAreThatItHas(t *testing.T) {
	for _, c := range []struct {
		figures bench.Figures
		said    bool
	}{
		{bench.Figures{"rss": 1}, false},
		{bench.Figures{"rss": 1, "standing": 2}, true},
	} {
		r := &Results{Plan: bench.Full()}
		r.Add([]bench.Series{{Scenario: "idle", Case: "after a collection", Peer: ours, Rounds: []bench.Round{{Figures: c.figures}}}}, monday)
		var b strings.Builder
		if err := r.Print(&b); err != nil {
			t.Fatal(err)
		}
		if said := strings.Contains(b.String(), " As it stands is 1s after the last connect"); said != c.said {
			t.Errorf("with %v: said %v\n%s", c.figures, said, &b)
		}
	}
}
