//go:build linux && !386

package wire

import (
	"syscall"
	"unsafe"
)

func (q *inquiry) getsockopt(fd, level, name uintptr, value unsafe.Pointer, size *uint32) syscall.Errno {
	_, _, errno := syscall.Syscall6(syscall.SYS_GETSOCKOPT, fd, level, name,
		uintptr(value), uintptr(unsafe.Pointer(size)), 0)
	return errno
}
