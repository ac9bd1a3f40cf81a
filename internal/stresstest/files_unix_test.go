//go:build unix

package stresstest

import (
	"syscall"
	"testing"
)

// needFiles makes sure that the process may open n files.
func needFiles(t *testing.T, n uint32) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if !raise(&limit.Cur, n) {
		return
	}
	raise(&limit.Max, n)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatalf("this test needs %d open files (ulimit -n): %v", n, err)
	}
}

// raise makes a limit n at least, and says whether it was less. Its type differs between the systems.
func raise[T int64 | uint64](limit *T, n uint32) bool {
	if *limit >= T(n) {
		return false
	}
	*limit = T(n)
	return true
}
