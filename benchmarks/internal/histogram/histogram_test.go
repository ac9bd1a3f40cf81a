package histogram

import (
	"math"
	"testing"
)

func TestHistogram_BucketsCoverEveryValueOnce(t *testing.T) {
	for v := int64(0); v < 1<<20; v++ {
		i := bucket(uint64(v))
		if upper(i) < v || (i > 0 && upper(i-1) >= v) {
			t.Fatalf("%d is in bucket %d, which ends at %d", v, i, upper(i))
		}
	}
	if i := bucket(math.MaxInt64); i >= buckets {
		t.Fatalf("bucket %d of %d", i, buckets)
	}
}

func TestHistogram_Quantile(t *testing.T) {
	var h Histogram
	for v := range int64(1000) {
		h.Add(v * 1000)
	}
	for _, q := range []float64{0.5, 0.99, 1} {
		if got, want := float64(h.Quantile(q)), q*1e6; math.Abs(got-want) > want*0.04 {
			t.Errorf("Quantile(%v) = %v, want about %v", q, got, want)
		}
	}
}
