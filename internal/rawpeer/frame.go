package rawpeer

import (
	"bytes"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The parts of a frame's first byte (RFC 6455, section 5.2).
const (
	Fin  = 0x80
	RSV1 = 0x40
	RSV2 = 0x20
	RSV3 = 0x10

	OpContinuation = 0x0
	OpText         = 0x1
	OpBinary       = 0x2
	OpClose        = 0x8
	OpPing         = 0x9
	OpPong         = 0xA
)

// NoStatus stands for a close frame without a code (RFC 6455, section 7.4.1).
const NoStatus = 1005

// A Frame is a first byte and a payload. Nothing keeps it from being wrong.
type Frame struct {
	First   byte
	Payload string
}

// Close returns a close frame; NoStatus stands for one without a payload.
func Close(code int, reason string) Frame {
	if code == NoStatus {
		return Frame{Fin | OpClose, ""}
	}
	return Frame{Fin | OpClose, string(binary.BigEndian.AppendUint16(nil, uint16(code))) + reason}
}

// With adds bits to the first byte.
func (f Frame) With(bits byte) Frame { return Frame{f.First | bits, f.Payload} }

// Without takes bits from the first byte.
func (f Frame) Without(bits byte) Frame { return Frame{f.First &^ bits, f.Payload} }

// IsControl says whether it is a close frame, a ping, a pong, or reserved for the like.
func (f Frame) IsControl() bool { return f.First&OpClose != 0 }

// Code returns the code of a close frame, NoStatus if it has none, 0 if it is cut short or no close frame.
func (f Frame) Code() int {
	switch {
	case f.First != Fin|OpClose, len(f.Payload) == 1:
		return 0
	case f.Payload == "":
		return NoStatus
	}
	return int(binary.BigEndian.Uint16([]byte(f.Payload)))
}

// String cuts a long payload.
func (f Frame) String() string {
	return fmt.Sprintf("%#x %.100q (%d bytes)", f.First, f.Payload, len(f.Payload))
}

// The masking key of RFC 6455, section 5.7, and a page of it.
var (
	maskKey  = []byte{0x37, 0xfa, 0x21, 0x3d}
	maskPage = bytes.Repeat(maskKey, 4096)
)

// AppendTo appends the frame as a client sends it: masked, with its length in the shortest form.
func (f Frame) AppendTo(p []byte) []byte {
	p = append(p, Header(f.First, 0x80, len(f.Payload))...)
	p = append(p, maskKey...)
	start := len(p)
	p = append(p, f.Payload...)
	for rest := p[start:]; len(rest) > 0; {
		rest = rest[subtle.XORBytes(rest, rest, maskPage):]
	}
	return p
}

// Masked returns a frame as a client sends it.
func Masked(first byte, payload string) []byte { return Frame{first, payload}.AppendTo(nil) }

// Unmasked returns a frame as a server sends it, and a client must not.
func Unmasked(first byte, payload string) []byte {
	return append(Header(first, 0, len(payload)), payload...)
}

// Header returns the first byte and the length of a frame (RFC 6455, section 5.2). maskBit is 0x80 where a mask
// follows.
func Header(first, maskBit byte, size int) []byte {
	switch {
	case size < 126:
		return []byte{first, maskBit | byte(size)}
	case size < 1<<16:
		return binary.BigEndian.AppendUint16([]byte{first, maskBit | 126}, uint16(size))
	default:
		return binary.BigEndian.AppendUint64([]byte{first, maskBit | 127}, uint64(size))
	}
}

// ErrHeader is what Read says of a frame that is masked or longer than MaxPayload, or whose length is not in the
// shortest form.
var ErrHeader = errors.New("rawpeer: not the header of a frame from a server")

// MaxPayload is the longest payload that Read takes.
const MaxPayload = 16 << 20

// Read reads a frame that a server has sent. It must not be masked (RFC 6455, section 5.1), and its length must have
// the shortest form. Errors: ErrHeader, io.EOF before the first byte, io.ErrUnexpectedEOF after it, or that of r.
func Read(r io.Reader) (Frame, error) {
	var start [10]byte
	if _, err := io.ReadFull(r, start[:2]); err != nil {
		return Frame{}, err
	}
	size, length := uint64(start[1]), 0
	switch start[1] {
	case 126:
		length = 2
	case 127:
		length = 8
	}
	if length > 0 {
		if _, err := io.ReadFull(r, start[2:2+length]); err != nil {
			return Frame{}, noEOF(err)
		}
		var wide [8]byte
		copy(wide[8-length:], start[2:])
		size = binary.BigEndian.Uint64(wide[:])
	}
	if size > MaxPayload || !bytes.Equal(Header(start[0], 0, int(size)), start[:2+length]) {
		return Frame{}, fmt.Errorf("%w: %x", ErrHeader, start[:2+length])
	}
	payload := make([]byte, size)
	_, err := io.ReadFull(r, payload)
	return Frame{start[0], string(payload)}, noEOF(err)
}

// noEOF is for an end that comes in the middle.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
