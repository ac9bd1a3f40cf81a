package modeltest

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// What FuzzModel, FuzzLossless and FuzzRooms have in common: an input is some bytes that configure the server, and
// three for each step.

// play does the steps of an input, so many at the most. A step that is cut off is none.
func play(steps []byte, most int, step func(do, a, b byte)) {
	all := slices.Collect(slices.Chunk(steps, 3))
	for _, s := range all[:min(len(all), most)] {
		if len(s) == 3 {
			step(s[0], s[1], s[2])
		}
	}
}

// playRandom runs random inputs, of so many bytes and steps, whose first steps are those of company.
func playRandom(t *testing.T, config, steps int, company []byte, run func(t *testing.T, input []byte)) {
	const inputs = 120
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24),
		byte(seed >> 32)})
	for i := 0; i < inputs && !t.Failed(); i++ {
		input := make([]byte, config+3*steps)
		random.Read(input)
		copy(input[config:], company)
		run(t, input)
	}
}

// advance lets the time of a model pass. next says what is due next, and when.
func advance(now *time.Duration, to time.Duration, next func() (at time.Duration, event func())) {
	for {
		at, event := next()
		if at > to {
			break
		}
		*now = at
		event()
	}
	*now = to
}
