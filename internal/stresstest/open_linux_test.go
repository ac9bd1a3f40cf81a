package stresstest

import (
	"os"
	"strconv"
	"syscall"
)

// A socketID tells a socket from all others, whatever descriptors it has.
type socketID = uint64

func idOf(fd uintptr) socketID {
	var stat syscall.Stat_t
	_ = syscall.Fstat(int(fd), &stat)
	return stat.Ino
}

// openSockets returns what the process has open: the server takes connections over with descriptors of its own.
func openSockets() (open map[socketID]bool, known bool) {
	open = make(map[socketID]bool)
	entries, err := os.ReadDir("/proc/self/fd")
	for _, entry := range entries {
		if fd, err := strconv.Atoi(entry.Name()); err == nil {
			open[idOf(uintptr(fd))] = true
		}
	}
	return open, err == nil
}
