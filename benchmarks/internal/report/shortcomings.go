package report

import (
	"fmt"
	"strings"

	"github.com/wspulse/server/benchmarks/internal/bench"
)

// noise is how much worse a figure has to be before it is listed.
const noise = 0.03

// shortcomings lists the figures in which wspulse is worse than another server. The floors are none.
func (r *Results) shortcomings(b *strings.Builder, why map[string]string) {
	b.WriteString("## Where wspulse is not the best, and why\n\n")
	fmt.Fprintf(b, "Figures that are worse than those of another server by more than %.0f %%, "+
		"as medians of the ratios of the same round.\n\n", noise*100)
	none := true
	for _, s := range bench.Scenarios(r.Plan) {
		lines := r.worse(s)
		if len(lines) == 0 {
			continue
		}
		none = false
		for _, line := range lines {
			fmt.Fprintf(b, "- %s\n", line)
		}
		if text := why[s.Name]; text != "" {
			fmt.Fprintf(b, "\n%s\n", text)
		}
		b.WriteString("\n")
	}
	if none {
		b.WriteString("None.\n")
	}
}

func (r *Results) worse(s bench.Scenario) (lines []string) {
	for _, c := range s.Cases {
		mine := r.find(s.Name, c.Name, ours)
		for _, column := range s.Columns {
			for _, e := range r.peers() {
				if e.Module == "" || e.Name == ours {
					continue
				}
				theirs := r.find(s.Name, c.Name, e.Name)
				compared := ratios(mine, theirs, column.Key)
				if column.Info || len(compared) == 0 {
					continue
				}
				m := compared.median()
				if column.More && m < 1-noise || !column.More && m > 1+noise {
					text := fmt.Sprintf("%.2f–%.2f", compared.min(), compared.max())
					if mine.Run != theirs.Run {
						text = "of the medians of different runs"
					}
					lines = append(lines, fmt.Sprintf("%s, %s: %s is %.2f × that of %s (%s)",
						s.Name, c.Name, column.Title, m, e.Name, text))
				}
			}
		}
	}
	return lines
}
