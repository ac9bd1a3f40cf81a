//go:build !linux

package wire

const (
	canAsk = false

	eventUnread, eventGone = 1, 2
)

type form struct{}

func askEvents(*inquiry, uintptr) (uint64, bool)  { return 0, false }
func askTaken(*inquiry, uintptr) (uint64, bool)   { return 0, false }
func askPending(*inquiry, uintptr) (uint64, bool) { return 0, false }
