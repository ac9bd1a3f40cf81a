// Package stamp marks messages with a number and a time, in digits, so that text protocols can carry the mark.
package stamp

import "encoding/binary"

// Mark begins a stamp. It occurs nowhere else in what the servers send.
const Mark = '#'

const (
	seqDigits  = 8
	timeDigits = 16

	// Size is the length of a stamp in bytes.
	Size = 1 + seqDigits + timeDigits

	timeSpan = 1e16 // ns; times are kept modulo this
)

// Put writes a stamp at the start of dst: a number below 100 million and a time of package clock.
func Put(dst []byte, seq uint32, now int64) {
	dst = dst[:Size]
	dst[0] = Mark
	digits(dst[1:1+seqDigits], uint64(seq))
	digits(dst[1+seqDigits:], uint64(now)%timeSpan)
}

func digits(dst []byte, v uint64) {
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = byte('0' + v%10)
		v /= 10
	}
}

// Seq returns the number in a stamp.
func Seq(b []byte) uint32 { return eight(b[1:]) }

// Age returns the nanoseconds between the time in a stamp and now.
func Age(b []byte, now int64) int64 {
	b = b[:Size]
	at := int64(eight(b[1+seqDigits:]))*1e8 + int64(eight(b[1+2*seqDigits:]))
	age := now%timeSpan - at
	if age < 0 {
		age += timeSpan
	}
	return age
}

// eight reads eight decimal digits at once: pairs, then fours, then all.
func eight(b []byte) uint32 {
	v := binary.LittleEndian.Uint64(b) & 0x0f0f0f0f0f0f0f0f
	v = v*10 + v>>8
	lo := (v & 0x000000ff000000ff) * (100 + 1000000<<32)
	hi := (v >> 16 & 0x000000ff000000ff) * (1 + 10000<<32)
	return uint32((lo + hi) >> 32)
}
