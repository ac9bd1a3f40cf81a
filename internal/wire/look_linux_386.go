package wire

import (
	"syscall"
	"unsafe"
)

// getsockopt makes a system call that has no number of its own before Linux 4.3.
func (q *inquiry) getsockopt(fd, level, name uintptr, value unsafe.Pointer, size *uint32) syscall.Errno {
	const call = 15 // SYS_GETSOCKOPT of linux/net.h
	args := [5]uintptr{fd, level, name, uintptr(value), uintptr(unsafe.Pointer(size))}
	_, _, errno := syscall.Syscall(syscall.SYS_SOCKETCALL, call, uintptr(unsafe.Pointer(&args)), 0)
	return errno
}
