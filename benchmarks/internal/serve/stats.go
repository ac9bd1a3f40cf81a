package serve

import (
	"errors"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/wspulse/server/benchmarks/internal/control"
)

// settleTime is what goroutines that are about to end get for it.
const settleTime = 300 * time.Millisecond

func (s *server) stats(settle control.Settle) (control.Stats, error) {
	stats := control.Stats{Received: s.received.Load()}
	if settle.Settle {
		time.Sleep(settleTime)
		runtime.GC()
		runtime.GC() // what pools held is free after the second one
		debug.FreeOSMemory()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		stats.Heap, stats.Stacks = int64(m.HeapInuse), int64(m.StackInuse)
		stats.Goroutines = runtime.NumGoroutine()
	}
	var err error
	if stats.RSS, err = residentMemory(); err != nil {
		return stats, err
	}
	if settle.Settle {
		if err := s.writeHeapProfile(); err != nil {
			return stats, err
		}
	}
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return stats, err
	}
	stats.CPU = time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	if counts, ok := s.peer.(interface{ Writes() int64 }); ok {
		stats.Writes = counts.Writes()
	} else {
		stats.Writes, err = writes()
	}
	return stats, err
}

// writes returns how many write system calls this process has made; the kernel counts write, but not sendto.
func writes() (int64, error) {
	data, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0, err
	}
	_, after, _ := strings.Cut(string(data), "syscw: ")
	count, _, _ := strings.Cut(after, "\n")
	return strconv.ParseInt(count, 10, 64)
}

func (s *server) writeHeapProfile() error {
	if s.heapProfile == "" {
		return nil
	}
	f, err := os.Create(s.heapProfile)
	if err != nil {
		return err
	}
	return errors.Join(pprof.WriteHeapProfile(f), f.Close())
}

// residentMemory returns the memory of this process that is in RAM, in bytes.
func residentMemory() (int64, error) {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	pages, err := strconv.ParseInt(strings.Fields(string(data))[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}
