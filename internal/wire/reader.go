package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"unicode/utf8"
)

// An Opcode says what a frame is (RFC 6455, section 5.2).
type Opcode byte

// The opcodes. A Reader joins continuations to the frame that they continue.
const (
	opContinuation Opcode = 0x0
	OpText         Opcode = 0x1
	OpBinary       Opcode = 0x2
	OpClose        Opcode = 0x8
	OpPing         Opcode = 0x9
	OpPong         Opcode = 0xA
)

func (o Opcode) control() bool { return o >= OpClose }

// Status codes (RFC 6455, section 7.4.1).
const (
	codeProtocolError = 1002
	codeNoStatus      = 1005
	codeInvalidData   = 1007
	codePolicy        = 1008
)

// A Violation is what a peer did that ends its connection.
type Violation struct {
	Code   int // of the close frame that it gets
	Reason string
}

// Error says what the peer did.
func (v *Violation) Error() string { return "websocket: " + v.Reason }

func violation(format string, args ...any) error {
	return &Violation{Code: codeProtocolError, Reason: fmt.Sprintf(format, args...)}
}

var (
	// ErrTooLarge says that a message has more bytes than the reader's limit.
	ErrTooLarge = errors.New("websocket: message too large")

	// ErrNotUTF8 says that a text is none. It is a *Violation.
	ErrNotUTF8 error = &Violation{Code: codeInvalidData, Reason: "text is not UTF-8"} // RFC 6455, section 8.1
)

const (
	opcodeBits   = 0x0F // RFC 6455, section 5.2: of the first byte
	reservedBits = 0x70 // the same
	deflateBit   = 0x40 // one of them, for RFC 7692
	maskBit      = 0x80 // of the second byte
	lengthBits   = 0x7F // the same
	maskSize     = 4    // bytes

	minReadBuffer = 256 // holds any control frame
	maxEmpty      = 64  // frames without payload in one message

	smallMessage = 4 << 10 // bytes
)

// A Reader takes the frames of a client apart, by the letter of RFC 6455. It belongs to one goroutine at a time.
type Reader struct {
	inflates bool // the peer may send compressed messages (RFC 7692)

	src   io.Reader
	limit int64  // of a message, in bytes
	small Opcode // whose messages may have smallMessage bytes, whatever the limit; 0: none has a limit of its own
	buf   []byte // what has come in and is not taken yet is buf[r:w]
	r, w  int

	// Of the message that is under way: its first frame has come, and does not hold all of it.
	opcode   Opcode // 0: there is none
	deflated bool   // its payload is compressed
	message  pile
	valid    int // how many bytes of a text are known to be UTF-8
	empty    int // frames without payload

	refused  Opcode // of the message in which Next has failed; 0: in none
	begun    bool   // a part of the next message or control frame has come
	returned *piece // the message that Next returned last, unless that was in buf
}

// NewReader returns a reader of nothing, with a buffer of size bytes or a little more; see Reset.
func NewReader(size int) *Reader { return &Reader{buf: make([]byte, max(size, minReadBuffer))} }

// Reset has a reader read what early holds and src has after it. What it held is forgotten. inflate says that the peer
// may send compressed messages (RFC 7692).
func (r *Reader) Reset(src io.Reader, early []byte, limit int64, inflate bool) {
	r.release()
	buf := r.buf
	if len(early) > len(buf) {
		buf = make([]byte, len(early))
	}
	*r = Reader{inflates: inflate, src: src, limit: limit, buf: buf, w: copy(buf, early)}
}

// AllowSmall gives the messages of an opcode a limit of their own: 4 KiB, whatever that of Reset is.
func (r *Reader) AllowSmall(opcode Opcode) { r.small = opcode }

// Begun says that a part of what Next returns next has come. While that is false, an error of src loses nothing, and
// Next may be called again.
func (r *Reader) Begun() bool { return r.begun }

// Next returns the next message, or a control frame that came before it. The payload is good until the next call. A
// text is UTF-8. Errors: *Violation, ErrTooLarge, or what src returned; the end of the stream is io.ErrUnexpectedEOF.
// After an error the reader holds no message, and is of no more use.
func (r *Reader) Next() (Opcode, []byte, error) {
	if r.opcode == 0 {
		r.release()
	}
	for {
		if err := r.fill(2); err != nil { // not in header: an idle connection waits here, and keeps the stack for it
			return r.fail(err)
		}
		h, err := r.header()
		switch {
		case err != nil:
			return r.refuse(h, err)
		case h.opcode.control(), h.final && h.opcode != opContinuation && h.size <= int64(len(r.buf)):
			data, err := r.whole(h)
			if err == nil && h.deflated {
				data, err = r.inflate(h.opcode, data)
			}
			if err != nil {
				return r.refuse(h, err)
			}
			return h.opcode, data, nil
		}
		if err := r.gather(h); err != nil {
			return r.refuse(h, err)
		}
		if h.final {
			return r.finish()
		}
	}
}

// finish returns the message that was under way.
func (r *Reader) finish() (Opcode, []byte, error) {
	opcode := r.opcode
	r.opcode = 0
	if !r.deflated {
		r.returned = r.message.join()
		return opcode, r.returned.data, nil
	}
	data, err := r.inflate(opcode, nil)
	if err != nil {
		r.refused = opcode
		return r.fail(err)
	}
	return opcode, data, nil
}

// refuse fails in a frame.
func (r *Reader) refuse(h header, err error) (Opcode, []byte, error) {
	r.refused = r.opcodeOf(h)
	return r.fail(err)
}

func (r *Reader) fail(err error) (Opcode, []byte, error) {
	r.release()
	return 0, nil, err
}

// Refused returns the opcode of the message in which Next has failed; 0: in none.
func (r *Reader) Refused() Opcode { return r.refused }

// Gathering says that a message is under way, of which the first frame has come and not the last.
func (r *Reader) Gathering() bool { return r.opcode != 0 }

// release forgets the message before, and gives back its memory.
func (r *Reader) release() {
	r.message.release()
	r.returned.release()
	r.returned = nil
	r.valid, r.empty, r.deflated = 0, 0, false
	r.begun = r.r < r.w
}

// inflate returns what a compressed message inflates to: data, or what has been gathered.
func (r *Reader) inflate(opcode Opcode, data []byte) ([]byte, error) {
	inflated, err := inflate(tailed{data: data, next: r.message.first}, int(r.limitOf(opcode)))
	r.message.release()
	if err != nil {
		inflated.release()
		return nil, err
	}
	r.returned = inflated.join()
	if opcode == OpText && !utf8.Valid(r.returned.data) {
		return nil, ErrNotUTF8
	}
	return r.returned.data, nil
}

// A header is that of a frame (RFC 6455, section 5.2).
type header struct {
	final    bool
	deflated bool
	opcode   Opcode
	mask     uint32 // the first byte lowest
	size     int64
}

// header takes the next header, of which two bytes are in the buffer.
func (r *Reader) header() (h header, err error) {
	first, second := r.buf[r.r], r.buf[r.r+1]
	h.final, h.opcode, h.size = first&finalBit != 0, Opcode(first&opcodeBits), int64(second&lengthBits)
	if err := r.check(h, first, second); err != nil {
		return h, err
	}
	h.deflated = first&deflateBit != 0
	length := 0
	switch h.size {
	case length16:
		length = 2
	case length64:
		length = 8
	}
	if err := r.fill(2 + length + maskSize); err != nil {
		return h, err
	}
	rest, least := r.buf[r.r+2:r.w], int64(0)
	switch length {
	case 2:
		h.size, least = int64(binary.BigEndian.Uint16(rest)), length16
	case 8:
		h.size, least = int64(binary.BigEndian.Uint64(rest)), 1<<16 // negative with the highest bit, which must be 0
	}
	if h.size < least {
		return h, violation("length not in its shortest form")
	}
	h.mask = binary.LittleEndian.Uint32(rest[length:])
	r.r += 2 + length + maskSize
	if !h.opcode.control() && h.size > r.most(h)-int64(r.message.size) {
		return h, ErrTooLarge
	}
	return h, nil
}

// most returns how many bytes the message of which h is a frame may have on the wire. What does not compress gets
// longer, by as much as zlib's deflateBound allows for with the least memory.
func (r *Reader) most(h header) int64 {
	limit := r.limitOf(r.opcodeOf(h))
	if h.deflated || r.deflated {
		return limit + limit>>3 + limit>>6 + 64
	}
	return limit
}

// limitOf returns how many bytes a message of an opcode may have.
func (r *Reader) limitOf(opcode Opcode) int64 {
	if r.small != 0 && opcode == r.small {
		return smallMessage
	}
	return r.limit
}

// opcodeOf returns the opcode of the message of which h is a frame.
func (r *Reader) opcodeOf(h header) Opcode {
	if h.opcode == opContinuation {
		return r.opcode
	}
	return h.opcode
}

// check looks at what the first two bytes of a frame say, which are all that is needed to refuse it.
func (r *Reader) check(h header, first, second byte) error {
	reserved := first & reservedBits
	if r.inflates && !h.opcode.control() && h.opcode != opContinuation {
		reserved &^= deflateBit // RFC 7692, section 6: of the first frame of a message
	}
	switch {
	case reserved != 0:
		return violation("reserved bit set")
	case h.opcode > OpPong, h.opcode > OpBinary && h.opcode < OpClose:
		return violation("reserved opcode %d", h.opcode)
	case second&maskBit == 0:
		return violation("frame without a mask")
	case h.opcode.control() && !h.final:
		return violation("fragmented control frame")
	case h.opcode.control() && h.size > maxControl:
		return violation("control frame of more than %d bytes", maxControl)
	case h.opcode == opContinuation && r.opcode == 0:
		return violation("continuation of no message")
	case h.opcode != opContinuation && !h.opcode.control() && r.opcode != 0:
		return violation("message inside another")
	}
	return nil
}

// whole takes a payload that fits the buffer, where it stays.
func (r *Reader) whole(h header) ([]byte, error) {
	size := int(h.size)
	if err := r.fill(size); err != nil {
		return nil, err
	}
	data := r.buf[r.r : r.r+size]
	r.r += size
	unmask(data, h.mask, 0)
	if h.opcode == OpText && !h.deflated && !utf8.Valid(data) {
		return nil, ErrNotUTF8
	}
	return data, nil
}

// gather adds the payload of a frame to the message that is under way, or begins with it.
func (r *Reader) gather(h header) error {
	if h.opcode != opContinuation {
		r.opcode, r.deflated = h.opcode, h.deflated
	}
	if h.size == 0 {
		if r.empty++; r.empty > maxEmpty {
			return &Violation{Code: codePolicy, Reason: fmt.Sprintf("more than %d empty frames in a message", maxEmpty)}
		}
	}
	for pos, size := 0, int(h.size); pos < size; {
		data, err := r.take(size - pos)
		if err != nil {
			return err
		}
		unmask(data, h.mask, pos)
		pos += len(data)
		if err := r.checkText(false); err != nil {
			return err
		}
	}
	return r.checkText(h.final)
}

// take adds up to n bytes to the message under way, as many as have come in and there is room for, and returns them.
func (r *Reader) take(n int) ([]byte, error) {
	room := r.message.room(n, r.unchecked())
	if r.r < r.w {
		n = copy(room, r.buf[r.r:r.w])
		r.r += n
	} else {
		var err error
		if n, err = r.read(room); err != nil {
			return nil, err
		}
	}
	return r.message.add(n), nil
}

// checkText checks what has come of a text since the last time. The last rune may be cut unless it is the end of the
// text.
func (r *Reader) checkText(end bool) error {
	n := r.unchecked()
	if n == 0 {
		return nil
	}
	last := r.message.last.data
	rest := last[len(last)-n:]
	if !end {
		rest = rest[:len(rest)-cutRune(rest)]
	}
	r.valid += len(rest)
	if !utf8.Valid(rest) {
		return ErrNotUTF8
	}
	return nil
}

// unchecked returns how many bytes at the end of the message, in its last piece, are yet to be checked: between two
// takes a cut rune at the most.
func (r *Reader) unchecked() int {
	if r.opcode != OpText || r.deflated {
		return 0
	}
	return r.message.size - r.valid
}

// cutRune returns how many bytes at the end of p are the beginning of a rune.
func cutRune(p []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(p); n++ {
		if tail := p[len(p)-n:]; utf8.RuneStart(tail[0]) {
			if utf8.FullRune(tail) {
				return 0
			}
			return n
		}
	}
	return 0
}

// fill reads until n bytes are in the buffer, which must have room for as many.
func (r *Reader) fill(n int) error {
	if r.r == r.w {
		r.r, r.w = 0, 0
	}
	if r.r+n > len(r.buf) {
		r.r, r.w = 0, copy(r.buf, r.buf[r.r:r.w])
	}
	for r.w-r.r < n {
		read, err := r.read(r.buf[r.w:])
		if err != nil {
			return err
		}
		r.w += read
	}
	return nil
}

// read reads from the source. What that says of an end it says again after what it has read.
func (r *Reader) read(p []byte) (int, error) {
	n, err := r.src.Read(p)
	if n > 0 {
		r.begun = true
		return n, nil
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return 0, err
}

// unmask takes the mask from p, whose first byte is number pos of its frame (RFC 6455, section 5.3).
func unmask(p []byte, mask uint32, pos int) {
	mask = bits.RotateLeft32(mask, -8*(pos%4))
	wide := uint64(mask)<<32 | uint64(mask)
	for ; len(p) >= 8; p = p[8:] {
		binary.LittleEndian.PutUint64(p, binary.LittleEndian.Uint64(p)^wide)
	}
	for i := range p {
		p[i] ^= byte(wide >> (8 * i))
	}
}
