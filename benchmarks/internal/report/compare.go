package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/wspulse/server/benchmarks/internal/bench"
)

// Compare writes, for each figure of each peer, the median and the range of its ratios to the baseline's, round by round. In
// series, each peer is followed by its baseline.
func Compare(w io.Writer, plan bench.Plan, series []bench.Series) error {
	var b strings.Builder
	b.WriteString("| scenario | case | server | figure | before | now | now / before |\n|---|---|---|---|--:|--:|--:|\n")
	for _, s := range bench.Scenarios(plan) {
		for i, now := range series {
			if now.Scenario != s.Name || now.Baseline {
				continue
			}
			before := series[i+1]
			for _, column := range s.Columns {
				was, is := values(before.Rounds, column.Key), values(now.Rounds, column.Key)
				if column.Info || len(is) == 0 {
					continue
				}
				fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n",
					s.Name, now.Case, now.Peer, column.Title, was, is, ratios(now, before, column.Key))
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
