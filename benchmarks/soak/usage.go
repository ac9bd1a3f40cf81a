package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/metrics"
	"strings"
	"syscall"
	"time"
)

// usage is what the process has in use.
type usage struct {
	heap       uint64 // bytes, as of the last collection
	goroutines int
	sockets    int
}

const heapMetric = "/gc/heap/live:bytes"

func measure() (u usage, err error) {
	sample := []metrics.Sample{{Name: heapMetric}}
	metrics.Read(sample)
	u.heap, u.goroutines = sample[0].Value.Uint64(), runtime.NumGoroutine()
	u.sockets, err = sockets()
	return u, err
}

// liveHeap returns how many bytes of the heap are in use.
func liveHeap() uint64 {
	runtime.GC()
	runtime.GC() // what pools held is free after the second one
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// sockets counts the open ones of this process.
func sockets() (n int, err error) {
	const dir = "/proc/self/fd"
	files, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	for _, f := range files {
		if target, err := os.Readlink(dir + "/" + f.Name()); err == nil && strings.HasPrefix(target, "socket:") {
			n++
		}
	}
	return n, nil
}

// processors is what they have done, in all.
type processors struct {
	self time.Duration // this process, of all of them together
	idle time.Duration // nothing
}

// processorTime reads the times since this process, and the machine, started.
func processorTime() (p processors, err error) {
	const tick = 10 * time.Millisecond // of /proc/stat, for user space
	var used syscall.Rusage
	if err = syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return p, err
	}
	data, err := os.ReadFile("/proc/stat")
	if err != nil {
		return p, err
	}
	var user, nice, system, idle, wait int64
	if _, err = fmt.Sscanf(string(data), "cpu %d %d %d %d %d", &user, &nice, &system, &idle, &wait); err != nil {
		return p, fmt.Errorf("/proc/stat: %w", err)
	}
	return processors{time.Duration(used.Utime.Nano() + used.Stime.Nano()), time.Duration(idle+wait) * tick}, nil
}
