package wire

import (
	"syscall"
	"unsafe"
)

const (
	canAsk = true

	eventUnread = syscall.EPOLLIN // the POLL constants are the same
	eventGone   = syscall.EPOLLRDHUP | syscall.EPOLLHUP | syscall.EPOLLERR
)

// A form is the arguments and the results of system calls. It is on the heap, where no growing stack moves it.
type form struct {
	poll struct {
		fd              int32
		events, revents int16
	}
	now  syscall.Timespec // no time at all
	info struct {         // struct tcp_info, from linux/tcp.h, as far as it is needed
		syscall.TCPInfo
		pacingRate, maxPacingRate, bytesAcked uint64
	}
	size uint32 // of info
	n    int32
}

// askEvents returns the events that ppoll sees.
func askEvents(q *inquiry, fd uintptr) (uint64, bool) {
	q.poll.fd, q.poll.events, q.poll.revents = int32(fd), syscall.EPOLLIN|syscall.EPOLLRDHUP, 0
	q.now = syscall.Timespec{}
	_, _, errno := syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&q.poll)), 1,
		uintptr(unsafe.Pointer(&q.now)), 0, 0, 0)
	if errno != 0 {
		return 0, false
	}
	return uint64(uint16(q.poll.revents)), true
}

// askTaken returns tcpi_bytes_acked, which Linux has since 4.1.
func askTaken(q *inquiry, fd uintptr) (uint64, bool) {
	if !isTCP(fd) {
		return 0, false
	}
	q.size = uint32(unsafe.Sizeof(q.info))
	errno := q.getsockopt(fd, syscall.IPPROTO_TCP, syscall.TCP_INFO, unsafe.Pointer(&q.info), &q.size)
	return q.info.bytesAcked, errno == 0 && uintptr(q.size) == unsafe.Sizeof(q.info)
}

// askPending returns what SIOCOUTQ does, which is TIOCOUTQ by another name.
func askPending(q *inquiry, fd uintptr) (uint64, bool) {
	if !isTCP(fd) {
		return 0, false
	}
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCOUTQ, uintptr(unsafe.Pointer(&q.n)))
	return uint64(max(q.n, 0)), errno == 0
}

// isTCP says that a socket is of TCP, and not of MPTCP, where the kernel answers for one of several connections.
func isTCP(fd uintptr) bool {
	protocol, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_PROTOCOL)
	return err == nil && protocol == syscall.IPPROTO_TCP
}
