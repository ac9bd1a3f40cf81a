// Package clock reads CLOCK_MONOTONIC, which all processes of one machine share.
package clock

import (
	"time"

	"golang.org/x/sys/unix"
)

var (
	base   = time.Now()
	offset = monotonic()
)

// Now returns nanoseconds since the machine started. Values of different processes can be compared.
func Now() int64 { return offset + int64(time.Since(base)) }

func monotonic() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err) // every kernel that Go supports has it
	}
	return t.Nano() - int64(time.Since(base))
}
