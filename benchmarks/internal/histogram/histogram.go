// Package histogram counts durations in buckets that are about three percent wide.
package histogram

import (
	"math/bits"
	"time"
)

const (
	precision = 5 // bits kept below the leading one
	steps     = 1 << precision
	buckets   = (64 - precision) * steps
)

// Histogram counts durations. The zero value is empty. It belongs to one goroutine at a time.
type Histogram struct {
	counts [buckets]uint64
	total  uint64
	max    int64
}

// Add counts a duration in nanoseconds; a negative one counts as none.
func (h *Histogram) Add(ns int64) {
	ns = max(ns, 0)
	h.counts[bucket(uint64(ns))]++
	h.total++
	h.max = max(h.max, ns)
}

// Merge adds what other has counted.
func (h *Histogram) Merge(other *Histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
	h.max = max(h.max, other.max)
}

// Reset empties the histogram.
func (h *Histogram) Reset() { *h = Histogram{} }

// Quantile returns a duration that a share of q of those counted does not exceed, or 0 when there are none.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := uint64(q * float64(h.total))
	var seen uint64
	for i, n := range h.counts {
		seen += n
		if n > 0 && seen >= rank {
			return time.Duration(min(upper(i), h.max))
		}
	}
	return time.Duration(h.max)
}

// Max returns the longest duration counted.
func (h *Histogram) Max() time.Duration { return time.Duration(h.max) }

func bucket(v uint64) int {
	if v < steps {
		return int(v)
	}
	shift := bits.Len64(v) - precision - 1
	return shift*steps + int(v>>shift)
}

// upper returns the largest value of a bucket.
func upper(i int) int64 {
	if i < 2*steps {
		return int64(i)
	}
	shift := i/steps - 1
	return int64(i%steps+steps+1)<<shift - 1
}
