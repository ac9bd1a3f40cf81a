package wire

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

// unmasked returns a client's frame, with a mask that changes nothing.
func unmasked(first byte, payload []byte) []byte {
	frame := binary.BigEndian.AppendUint64([]byte{first, 0x80 | 127}, uint64(len(payload)))
	switch n := len(payload); {
	case n < 126:
		frame = []byte{first, 0x80 | byte(n)}
	case n < 1<<16:
		frame = binary.BigEndian.AppendUint16([]byte{first, 0x80 | 126}, uint16(n))
	}
	return append(append(frame, 0, 0, 0, 0), payload...)
}

// fragmented returns a message in frames of size bytes, none of which is the last one.
func fragmented(first byte, payload []byte, size int) (stream []byte) {
	for ; len(payload) > size; first = 0 {
		stream = append(stream, unmasked(first, payload[:size])...)
		payload = payload[size:]
	}
	return append(stream, unmasked(first, payload)...)
}

func compress(text []byte) []byte {
	var buf bytes.Buffer
	w, _ := flate.NewWriter(&buf, 1)
	_, _ = w.Write(text)
	_ = w.Flush()
	return buf.Bytes()[:buf.Len()-4]
}

func noise(n int) []byte {
	text := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(text)
	return text
}

// held returns how many bytes a reader holds for messages.
func held(r *Reader) (n int) {
	for p := r.message.first; p != nil; p = p.next {
		n += cap(p.data)
	}
	if r.returned != nil {
		n += cap(r.returned.data)
	}
	return n
}

// A witness looks at what its reader holds whenever that reads. It has up to step bytes for it at a time.
type witness struct {
	t      *testing.T
	name   string
	reader *Reader
	stream []byte
	step   int
}

func (w *witness) Read(p []byte) (int, error) {
	came, most := w.reader.message.size, int(w.reader.most(header{}))
	room := max(12<<10, came/4)
	switch {
	case came < 1<<10:
		room = 1 << 10
	case came < 4<<10:
		room = 4 << 10
	}
	bound := min(came+room, most+1<<10) + utf8.UTFMax
	if n := held(w.reader); n > bound {
		w.t.Fatalf("%s, %d bytes at a time, limit %d: %d bytes held of %d", w.name, w.step, most, n, came)
	}
	n := copy(p[:min(len(p), w.step)], w.stream)
	w.stream = w.stream[n:]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// However a message comes in, a reader holds little more than what has come of it, and never more than the limit.
func TestReader_HoldsWhatHasCome(t *testing.T) {
	for _, limit := range []int{512, 5000, 100_000, 1 << 20} {
		text := noise(limit)
		for name, stream := range map[string][]byte{
			"one frame":               unmasked(0x82, text),
			"no end":                  fragmented(0x02, text, limit),
			"fragments of a byte":     fragmented(0x02, text[:min(limit, 30_000)], 1),
			"fragments of 1000 bytes": fragmented(0x02, text, 1000),
			"text":                    fragmented(0x01, []byte(strings.Repeat("水", limit/3)), 1000),
			"compressed, no end":      fragmented(0x42, compress(text[:limit*9/10]), 999),
		} {
			for _, step := range []int{100, 1500, 1 << 20} {
				w := &witness{t: t, name: name, stream: stream, step: step}
				r := newReader(w, nil, 1024, int64(limit), true)
				w.reader = r
				var err error
				for err == nil {
					_, _, err = r.Next()
				}
				if !errors.Is(err, io.ErrUnexpectedEOF) || held(r) > 0 {
					t.Errorf("%s: %v, %d bytes held after that", name, err, held(r))
				}
			}
		}
	}
}

// A message that has been returned is held once, whatever it came in.
func TestReader_HoldsAMessageOnce(t *testing.T) {
	for _, size := range []int{1 << 10, 5000, 70_000, 1 << 20} {
		text := noise(size)
		packed := compress(text)
		for name, stream := range map[string][]byte{
			"one frame":             unmasked(0x82, text),
			"fragments":             append(fragmented(0x02, text, 999), unmasked(0x80, nil)...),
			"compressed":            unmasked(0xC2, packed),
			"compressed, fragments": append(fragmented(0x42, packed, 999), unmasked(0x80, nil)...),
		} {
			r := newReader(bytes.NewReader(stream), nil, 256, int64(size), true)
			if _, data, err := r.Next(); err != nil || !bytes.Equal(data, text) {
				t.Fatalf("%s: %d bytes: %v", name, len(data), err)
			}
			if n := held(r); n > size+1<<10 {
				t.Errorf("%s: %d bytes held for a message of %d", name, n, size)
			}
		}
	}
}

// A blocked is a source that has no more to give until it is told to end.
type blocked struct {
	stream []byte
	at     *sync.WaitGroup // where it has given all
	end    chan struct{}
}

func (b *blocked) Read(p []byte) (int, error) {
	if n := copy(p, b.stream); n > 0 {
		b.stream = b.stream[n:]
		return n, nil
	}
	b.at.Done()
	<-b.end
	return 0, io.EOF
}

// What a thousand peers can make the server hold with parts of messages, some of them behind larger messages.
func TestReader_MemoryOfPartialMessages(t *testing.T) {
	const peers, limit, readBuffer = 1000, 64 << 10, 1 << 10
	large := append(unmasked(0x82, noise(limit)), unmasked(0xC2, compress(make([]byte, limit)))...)
	large = large[:len(large):len(large)]
	for name, tc := range map[string]struct {
		stream []byte
		most   int // bytes for each
	}{
		"a byte":                    {fragmented(0x02, noise(2), 1)[:7], 1 << 10},
		"16 KiB":                    {fragmented(0x02, noise(16<<10+1), 1000), 29 << 10},
		"40 KiB of a frame":         {unmasked(0x82, noise(60<<10))[:40<<10], 53 << 10},
		"60 KiB of a frame":         {unmasked(0x82, noise(64<<10))[:60<<10], 65 << 10},
		"40 KiB of a compressed":    {unmasked(0xC2, compress(noise(60<<10)))[:40<<10], 53 << 10},
		"a byte of a compressed":    {fragmented(0x42, noise(2), 1)[:7], 1 << 10},
		"a part of a small message": {unmasked(0x82, noise(1000))[:500], 0},
	} {
		all := append(large, tc.stream...)
		before := heap()
		at, end, done := new(sync.WaitGroup), make(chan struct{}), new(sync.WaitGroup)
		at.Add(peers)
		for i := range peers {
			done.Go(func() {
				stream := all
				if i%10 > 0 {
					stream = all[len(large):]
				}
				r := newReader(&blocked{stream, at, end}, nil, readBuffer, limit, true)
				for err := error(nil); err == nil; {
					_, _, err = r.Next()
				}
			})
		}
		at.Wait()
		per := (heap() - before) / peers
		close(end)
		done.Wait()
		if most := tc.most + readBuffer + 1<<10; per > most {
			t.Errorf("%s: %d bytes for each, want %d at the most", name, per, most)
		}
	}
}

// heap returns how many bytes are in use, without those in pools.
func heap() int {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}
