package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/wspulse/server/internal/wire"
)

// clientFrame is a masked frame with that first byte and its length in the shortest form.
func clientFrame(first byte, payload []byte) []byte {
	frame := []byte{first}
	switch n := len(payload); {
	case n < 126:
		frame = append(frame, 0x80|byte(n))
	case n < 1<<16:
		frame = binary.BigEndian.AppendUint16(append(frame, 0x80|126), uint16(n))
	default:
		frame = binary.BigEndian.AppendUint64(append(frame, 0x80|127), uint64(n))
	}
	mask := [4]byte{0x12, 0xA5, 0xFF, 0x01}
	frame = append(frame, mask[:]...)
	for i, b := range payload {
		frame = append(frame, b^mask[i%4])
	}
	return frame
}

// all reads to the end, and returns what came as one line for each message or control frame, and the error at the end.
func all(r *wire.Reader) (lines []string, err error) {
	for {
		opcode, data, err := r.Next()
		if err != nil {
			return lines, err
		}
		lines = append(lines, fmt.Sprintf("%x %q", opcode, data))
	}
}

// A random conversation comes out as it went in, however it was fragmented and whatever pieces it is read in.
func TestReader_AnyFragmentsInAnyPieces(t *testing.T) {
	for range 300 {
		var stream []byte
		var want []string
		for range 1 + rand.IntN(5) {
			opcode := wire.Opcode(1 + rand.IntN(2))
			text := strings.Repeat([]string{"a", "ä", "水", "🌊"}[rand.IntN(4)], rand.IntN(1500))
			for first, rest := byte(opcode), []byte(text); ; first = 0 {
				n := rand.IntN(len(rest) + 1)
				if rand.IntN(3) == 0 {
					n = len(rest)
				}
				if n == len(rest) {
					stream = append(stream, clientFrame(0x80|first, rest)...)
					break
				}
				stream = append(stream, clientFrame(first, rest[:n])...)
				rest = rest[n:]
				if rand.IntN(3) == 0 {
					stream = append(stream, clientFrame(0x89, []byte("ping"))...)
					want = append(want, `9 "ping"`)
				}
			}
			want = append(want, fmt.Sprintf("%x %q", opcode, text))
		}
		early := rand.IntN(len(stream) + 1)
		for name, src := range map[string]io.Reader{
			"whole":      bytes.NewReader(stream[early:]),
			"one byte":   iotest.OneByteReader(bytes.NewReader(stream[early:])),
			"half":       iotest.HalfReader(bytes.NewReader(stream[early:])),
			"with error": iotest.DataErrReader(bytes.NewReader(stream[early:])),
		} {
			got, err := all(newReader(src, stream[:early], 1+rand.IntN(2000), 1<<20, false))
			if !errors.Is(err, io.ErrUnexpectedEOF) || strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Fatalf("%s: got %d messages, want %d: %v\n%.2000q\n%.2000q", name, len(got), len(want), err, got, want)
			}
		}
	}
}

// What a header announces is not allocated before it has come.
func TestReader_MemoryFollowsWhatHasCome(t *testing.T) {
	frame := binary.BigEndian.AppendUint64([]byte{0x82, 0x80 | 127}, 60<<20)
	frame = append(frame, 0, 0, 0, 0, 1, 2, 3)
	per := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r := newReader(bytes.NewReader(frame), nil, 1024, 64<<20, false)
			if _, _, err := r.Next(); !errors.Is(err, io.ErrUnexpectedEOF) {
				b.Fatal(err)
			}
		}
	}).AllocedBytesPerOp()
	if per > 8<<10 {
		t.Errorf("%d bytes for a message of which three bytes came", per)
	}
}

// A message in the steady state costs no allocation, whole or in fragments.
func TestReader_AllocatesNothing(t *testing.T) {
	text := bytes.Repeat([]byte("x"), 200)
	stream := clientFrame(0x81, text)
	stream = append(stream, clientFrame(0x01, text)...)
	stream = append(stream, clientFrame(0x80, text)...)
	src := &loop{stream: stream}
	r := newReader(src, nil, 1024, 1<<20, false)
	if n := testing.AllocsPerRun(1000, func() {
		if _, data, err := r.Next(); err != nil || len(data)%200 != 0 {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations for a message", n)
	}
}

// A loop reads the same stream again and again.
type loop struct {
	stream []byte
	pos    int
}

func (l *loop) Read(p []byte) (int, error) {
	n := copy(p, l.stream[l.pos:])
	l.pos = (l.pos + n) % len(l.stream)
	return n, nil
}

func TestReader_Limit(t *testing.T) {
	for name, tc := range map[string]struct {
		stream []byte
		ok     bool
	}{
		"as large as the limit": {clientFrame(0x82, make([]byte, 1000)), true},
		"larger":                {clientFrame(0x82, make([]byte, 1001)), false},
		"fragments, as large": {append(clientFrame(0x02, make([]byte, 500)),
			clientFrame(0x80, make([]byte, 500))...), true},
		"fragments, larger": {append(clientFrame(0x02, make([]byte, 500)),
			clientFrame(0x80, make([]byte, 501))...), false},
		"2^62": {[]byte{0x82, 0x80 | 127, 0x40, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}, false},
		"control frame in it": {append(clientFrame(0x02, make([]byte, 1000)),
			clientFrame(0x89, make([]byte, 125))...), true},
		"as large, before larger": {append(clientFrame(0x82, make([]byte, 1000)),
			clientFrame(0x82, make([]byte, 1000))...), true},
	} {
		_, err := all(newReader(bytes.NewReader(tc.stream), nil, 1, 1000, false))
		if tooLarge := errors.Is(err, wire.ErrTooLarge); tooLarge == tc.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever comes, a Reader reports the same messages and the same error in whatever pieces it comes, none of them
// larger than the limit.
func FuzzReader(f *testing.F) {
	for _, stream := range [][]byte{
		clientFrame(0x81, []byte("text")),
		append(clientFrame(0x01, []byte("\xe6\xb0")), clientFrame(0x80, []byte("\xb4"))...),
		append(append(clientFrame(0x02, []byte("frag")), clientFrame(0x89, nil)...), clientFrame(0x80, []byte("ments"))...),
		clientFrame(0x88, []byte("\x03\xe8bye")),
		clientFrame(0x82, make([]byte, 70000)),
		{0x81, 0xFE, 0, 1, 0, 0, 0, 0, 'x'},
		{0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		clientFrame(0xC1, deflated("compressed")),
		append(clientFrame(0x41, deflated("compressed")[:3]), clientFrame(0x80, deflated("compressed")[3:])...),
		clientFrame(0xC2, deflated(strings.Repeat("x", 5000))),
	} {
		f.Add(stream, true)
		f.Add(stream, false)
	}
	f.Fuzz(func(t *testing.T, stream []byte, inflate bool) {
		const limit = 2000
		read := func(src io.Reader) (string, []string) {
			r := newReader(src, nil, 300, limit, inflate)
			lines, err := all(r)
			return fmt.Sprint(lines, err), lines
		}
		whole, lines := read(bytes.NewReader(stream))
		pieces, _ := read(iotest.OneByteReader(bytes.NewReader(stream)))
		if whole != pieces {
			t.Fatalf("%s\nbyte by byte: %s", whole, pieces)
		}
		for _, line := range lines {
			if len(line) > 4*limit+10 {
				t.Errorf("a message over the limit: %d", len(line))
			}
		}
	})
}

// newReader returns a reader as a link has it.
func newReader(src io.Reader, early []byte, size int, limit int64, inflate bool) *wire.Reader {
	r := wire.NewReader(size)
	r.Reset(src, early, limit, inflate)
	return r
}
