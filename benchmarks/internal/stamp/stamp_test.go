package stamp

import "testing"

func TestStamp_RoundTrip(t *testing.T) {
	for _, seq := range []uint32{0, 7, 12345678, 99999999} {
		for _, now := range []int64{0, 1, 123456789, 9999999999999999, 123456789012345678} {
			var b [Size]byte
			Put(b[:], seq, now)
			if got := Seq(b[:]); got != seq {
				t.Errorf("Seq(%s) = %d, want %d", b, got, seq)
			}
			if got := Age(b[:], now+250); got != 250 {
				t.Errorf("Age(%s) = %d, want 250", b, got)
			}
		}
	}
}
