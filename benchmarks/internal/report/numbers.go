package report

import (
	"fmt"
	"slices"

	"github.com/wspulse/server/benchmarks/internal/bench"
)

// A sample is the values of one figure, of all rounds that have it.
type sample []float64

func values(rounds []bench.Round, key string) (s sample) {
	for _, r := range rounds {
		if v, ok := r.Figures[key]; ok {
			s = append(s, v)
		}
	}
	slices.Sort(s)
	return s
}

// ratios returns the values of a figure over those of a base, round by round, or the one ratio of the medians where the two
// have no rounds in common.
func ratios(of, base bench.Series, key string) (s sample) {
	if of.Run != base.Run {
		v, b := values(of.Rounds, key), values(base.Rounds, key)
		if len(v) == 0 || len(b) == 0 || b.median() <= 0 {
			return nil
		}
		return sample{v.median() / b.median()}
	}
	for i := range min(len(of.Rounds), len(base.Rounds)) {
		v, ok := of.Rounds[i].Figures[key]
		b, okBase := base.Rounds[i].Figures[key]
		if ok && okBase && b > 0 {
			s = append(s, v/b)
		}
	}
	slices.Sort(s)
	return s
}

func (s sample) median() float64 {
	n := len(s)
	if n%2 == 1 {
		return s[n/2]
	}
	return (s[n/2-1] + s[n/2]) / 2
}

func (s sample) min() float64 { return s[0] }
func (s sample) max() float64 { return s[len(s)-1] }

// String is the median and the range.
func (s sample) String() string {
	switch len(s) {
	case 0:
		return "–"
	case 1:
		return number(s[0])
	}
	return fmt.Sprintf("%s (%s–%s)", number(s.median()), number(s.min()), number(s.max()))
}

// number formats a value with about three digits.
func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}
