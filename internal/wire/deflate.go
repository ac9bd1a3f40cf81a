package wire

import (
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
)

// RFC 7692, section 7.2: a compressed message ends with an empty block, of which these four bytes are left out.
const deflateTail = "\x00\x00\xff\xff"

// inflateTail is deflateTail and an empty block that is the last one, so that an inflater knows where to end.
const inflateTail = deflateTail + "\x01" + deflateTail

const (
	flateWindow = 32 << 10 // bytes that a block may refer back to: RFC 1951, section 2
	maxFinals   = 64       // blocks in a message that call themselves the last one; to go on costs some microseconds
)

// A Deflater compresses messages with permessage-deflate (RFC 7692), each by itself. A nil Deflater leaves them as they
// are.
type Deflater struct {
	threshold int // bytes of a message that is worth it
	writers   sync.Pool
}

// NewDeflater returns a deflater for messages of threshold bytes or more, at a level of compress/flate.
func NewDeflater(level, threshold int) *Deflater {
	return &Deflater{threshold: threshold, writers: sync.Pool{New: func() any {
		w, err := flate.NewWriter(nil, level)
		if err != nil {
			panic(err)
		}
		return w
	}}}
}

// Attach lets connections that have negotiated it write f compressed, and returns f.
func (d *Deflater) Attach(f *Frame) *Frame {
	if d != nil && f.Size >= d.threshold {
		f.deflated = &deflated{by: d}
	}
	return f
}

// A deflated is a frame's other form, which is made when the first connection needs it.
type deflated struct {
	by    *Deflater
	once  sync.Once
	bytes []byte
}

// form returns what goes on the wire to a peer that takes compressed messages, or to one that does not.
func (f *Frame) form(deflate bool) []byte {
	d := f.deflated
	if d == nil || !deflate {
		return f.Bytes
	}
	d.once.Do(func() { d.bytes = d.by.compress(f) })
	return d.bytes
}

// WireSize returns how many bytes go on the wire to a peer that takes compressed messages, or to one that does not.
func (f *Frame) WireSize(deflate bool) int { return len(f.form(deflate)) }

// compress returns the compressed form of a frame, or the plain one where that is no larger.
func (d *Deflater) compress(f *Frame) []byte {
	payload := f.Bytes[len(f.Bytes)-f.Size:]
	out := sink(make([]byte, HeaderSize, HeaderSize+len(payload)/2+64))
	w := d.writers.Get().(*flate.Writer)
	defer d.writers.Put(w)
	w.Reset(&out)
	if _, err := w.Write(payload); err != nil {
		return f.Bytes
	}
	if err := w.Flush(); err != nil {
		return f.Bytes
	}
	out = out[:len(out)-len(deflateTail)]
	if len(out)-HeaderSize >= f.Size {
		return f.Bytes
	}
	packed := Seal(Opcode(f.Bytes[0]&opcodeBits), out)
	packed.Bytes[0] |= deflateBit
	return packed.Bytes
}

// A sink takes all that is written to it.
type sink []byte

func (s *sink) Write(p []byte) (int, error) {
	*s = append(*s, p...)
	return len(p), nil
}

// An inflater and its source. It is reset before each use.
type inflater struct {
	flate io.ReadCloser
	src   tailed
}

var inflaters = sync.Pool{New: func() any { return &inflater{flate: flate.NewReader(&tailed{})} }}

// tailed reads a message, data and then the pieces from next on, and then inflateTail.
type tailed struct {
	data []byte
	next *piece
	tail string
}

// more sees to it that data holds what comes next, and says whether there is any.
func (t *tailed) more() bool {
	for len(t.data) == 0 && t.next != nil {
		t.data, t.next = t.next.data, t.next.next
	}
	return len(t.data) > 0
}

func (t *tailed) ReadByte() (byte, error) {
	if t.more() {
		b := t.data[0]
		t.data = t.data[1:]
		return b, nil
	}
	var p [1]byte
	_, err := t.Read(p[:])
	return p[0], err
}

func (t *tailed) Read(p []byte) (n int, err error) {
	if t.more() {
		n = copy(p, t.data)
		t.data = t.data[n:]
		return n, nil
	}
	if n = copy(p, t.tail); n == 0 {
		return 0, io.EOF
	}
	t.tail = t.tail[n:]
	return n, nil
}

// inflate returns what src inflates to, up to limit bytes. Errors: ErrTooLarge, *Violation; dst is then what came
// before.
func inflate(src tailed, limit int) (dst pile, err error) {
	z := inflaters.Get().(*inflater)
	defer func() {
		z.src = tailed{}
		inflaters.Put(z)
	}()
	z.src = src
	z.src.tail = inflateTail
	for finals := 0; ; finals++ {
		if err := z.resume(&dst); err != nil {
			return dst, err
		}
		if err := z.read(&dst, limit); err != nil {
			return dst, err
		}
		switch {
		case !z.src.more():
			return dst, nil
		case finals == maxFinals:
			reason := fmt.Sprintf("more than %d final blocks in a message", maxFinals)
			return dst, &Violation{Code: codePolicy, Reason: reason}
		}
	}
}

// resume readies the inflater for what comes behind dst.
func (z *inflater) resume(dst *pile) error {
	again := z.flate.(flate.Resetter)
	if dst.size == 0 {
		return again.Reset(&z.src, nil)
	}
	window := dst.tail(flateWindow)
	defer window.release()
	return again.Reset(&z.src, window.data)
}

// read adds what comes up to the next block that calls itself the last one: RFC 7692, section 7.2.3.4 lets others
// follow.
func (z *inflater) read(dst *pile, limit int) error {
	for {
		n, err := z.flate.Read(dst.room(limit-dst.size+1, 0))
		dst.add(n)
		switch {
		case dst.size > limit:
			return ErrTooLarge
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return &Violation{Code: codeInvalidData, Reason: "message does not inflate"}
		}
	}
}

// NegotiateDeflate returns the value of Sec-WebSocket-Extensions that accepts the first acceptable offer of
// permessage-deflate in a request's, or "" (RFC 7692, section 7.1).
func NegotiateDeflate(headers []string) string {
	answer := ""
	eachExtension(headers, func(offer extension) bool {
		accepted, ok := acceptOffer(offer)
		if ok {
			answer = accepted
		}
		return !ok
	})
	return answer
}

func acceptOffer(offer extension) (answer string, ok bool) {
	if offer.name != "permessage-deflate" || offer.n > maxParams {
		return "", false
	}
	answer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
	seen := make(map[string]bool)
	for _, p := range offer.params[:offer.n] {
		if seen[p.key] {
			return "", false
		}
		seen[p.key] = true
		switch p.key {
		case "server_no_context_takeover", "client_no_context_takeover":
			if p.value != "" {
				return "", false
			}
		case "client_max_window_bits": // ours is 15, which takes any
			if p.value != "" && !validWindow(p.value) {
				return "", false
			}
		case "server_max_window_bits":
			if p.value != "15" { // compress/flate knows no smaller window
				return "", false
			}
			answer += "; server_max_window_bits=15"
		default:
			return "", false
		}
	}
	return answer, true
}

// validWindow says whether s is a number from 8 to 15, without leading zeros.
func validWindow(s string) bool {
	bits, err := strconv.Atoi(s)
	return err == nil && 8 <= bits && bits <= 15 && s == strconv.Itoa(bits)
}
