//go:build unix

package wire

import (
	"errors"
	"syscall"
)

const canWriteOnce = true

// writeOnce writes what a socket that does not block takes at once.
func writeOnce(fd uintptr, p []byte) (int, error) {
	n, err := syscall.Write(int(fd), p)
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR) {
		return 0, nil
	}
	return max(n, 0), err
}
