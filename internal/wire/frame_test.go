package wire_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/wspulse/server/internal/wire"
)

// parse takes an unmasked frame apart by the letter of RFC 6455, section 5.2, and demands the shortest length.
func parse(data []byte) (opcode byte, payload []byte, err error) {
	if len(data) < 2 || data[0]&0xF0 != 0x80 || data[1]&0x80 != 0 {
		return 0, nil, fmt.Errorf("not a final, unmasked frame: % x", data[:min(len(data), 10)])
	}
	opcode, size, rest, least := data[0]&0x0F, uint64(data[1]), data[2:], uint64(0)
	switch size {
	case 126:
		size, rest, least = uint64(binary.BigEndian.Uint16(rest)), rest[2:], 126
	case 127:
		size, rest, least = binary.BigEndian.Uint64(rest), rest[8:], 1<<16
	}
	if size < least || uint64(len(rest)) != size {
		return 0, nil, fmt.Errorf("length %d for a payload of %d bytes", size, len(rest))
	}
	return opcode, rest, nil
}

func TestNew_HeaderOfEachLength(t *testing.T) {
	for _, size := range []int{0, 1, 124, 125, 126, 127, 65534, 65535, 65536, 65537, 1 << 20} {
		for _, messageType := range []wire.Opcode{wire.OpText, wire.OpBinary} {
			payload := bytes.Repeat([]byte{0xA5}, size)
			f := wire.New(messageType, payload)
			opcode, got, err := parse(f.Bytes)
			if err != nil || wire.Opcode(opcode) != messageType || !bytes.Equal(got, payload) || f.Size != size {
				t.Errorf("type %d, %d bytes: opcode %d, %d bytes, Size %d: %v", messageType, size, opcode, len(got), f.Size, err)
			}
		}
	}
}

func TestNew_CopiesThePayload(t *testing.T) {
	payload := []byte("before")
	f := wire.New(1, payload)
	copy(payload, "after!")
	if _, got, _ := parse(f.Bytes); string(got) != "before" {
		t.Errorf("the frame changed to %q", got)
	}
}

func FuzzNew(f *testing.F) {
	for _, size := range []int{0, 125, 126, 65535, 65536} {
		f.Add(byte(2), make([]byte, size))
	}
	f.Fuzz(func(t *testing.T, messageType byte, payload []byte) {
		messageType = 1 + messageType&1
		frame := wire.New(wire.Opcode(messageType), payload)
		opcode, got, err := parse(frame.Bytes)
		if err != nil || opcode != messageType || !bytes.Equal(got, payload) || frame.Size != len(payload) {
			t.Errorf("%d bytes of type %d became %d of type %d: %v", len(payload), messageType, len(got), opcode, err)
		}
	})
}

func TestControlFrames(t *testing.T) {
	long := strings.Repeat("x", 200)
	for name, tc := range map[string]struct {
		frame   *wire.Frame
		opcode  byte
		payload string
	}{
		"close":                   {wire.Close(1000, ""), 8, "\x03\xe8"},
		"close with a reason":     {wire.Close(1001, "bye"), 8, "\x03\xe9bye"},
		"close without a status":  {wire.Close(1005, "ignored"), 8, ""},
		"close, longest reason":   {wire.Close(1000, long[:123]), 8, "\x03\xe8" + long[:123]},
		"close, reason too long":  {wire.Close(1000, long), 8, "\x03\xe8" + long[:123]},
		"ping":                    {wire.Ping(), 9, ""},
		"pong":                    {wire.Pong([]byte("payload")), 10, "payload"},
		"pong, longest payload":   {wire.Pong([]byte(long[:125])), 10, long[:125]},
		"pong, no payload at all": {wire.Pong(nil), 10, ""},
	} {
		opcode, payload, err := parse(tc.frame.Bytes)
		if err != nil || opcode != tc.opcode || string(payload) != tc.payload || len(payload) > 125 {
			t.Errorf("%s: opcode %d, payload %q: %v", name, opcode, payload, err)
		}
	}
}

// A miser is a writer that accepts so many bytes in all.
type miser struct {
	left int
	got  bytes.Buffer
}

func (m *miser) Write(p []byte) (int, error) {
	n := min(len(p), m.left)
	m.left -= n
	m.got.Write(p[:n])
	if n < len(p) {
		return n, fmt.Errorf("no more")
	}
	return n, nil
}

// flush writes a batch to w, and returns how many messages w accepted whole.
func flush(b *wire.Batch, w io.Writer) (sent int, err error) {
	for p := b.Next(); len(p) > 0 && err == nil; p = b.Next() {
		var n int
		n, err = w.Write(p)
		b.Wrote(n)
	}
	return len(b.Sent()), err
}

// Whatever number of bytes a writer accepts, a batch knows how many whole frames these are, and what is left.
func TestBatch_CountsTheFramesThatWereAccepted(t *testing.T) {
	const large = 40 << 10 // is not copied
	pool := wire.NewBatchPool(1024)
	for _, sizes := range [][]int{
		{3}, {0, 0, 0}, {1, 2, 3}, {125, 126, 5}, {large}, {1, large, 1},
		{large, large}, {0, 300, large, 2, 0},
	} {
		var frames []*wire.Frame
		var ends []int // of each frame, in bytes from the start
		total := 0
		for _, size := range sizes {
			frames = append(frames, wire.New(2, bytes.Repeat([]byte{byte(size)}, size)))
			total += len(frames[len(frames)-1].Bytes)
			ends = append(ends, total)
		}
		for n := range total + 1 {
			if n > 1000 && n < total-1000 && rand.IntN(50) > 0 && !slices.Contains(ends, n) {
				continue // one large payload byte is like another
			}
			batch, w := pool.Get(false, false), &miser{left: n}
			for _, f := range frames {
				batch.Add(f)
			}
			sent, err := flush(batch, w)
			want := 0
			for want < len(ends) && ends[want] <= n {
				want++
			}
			if sent != want || (err == nil) != (n == total) || w.got.Len() != n {
				t.Fatalf("sizes %v, %d bytes accepted: %d frames sent, want %d (%v)", sizes, n, sent, want, err)
			}
			if n < total {
				rest, message := batch.Rest()
				if unsent := batch.Unsent(); len(rest) != ends[want]-n || message != unsent[0] || len(unsent) != len(frames)-want {
					t.Fatalf("sizes %v, %d bytes accepted: a rest of %d bytes, %d frames unsent", sizes, n, len(rest), len(unsent))
				}
			}
			pool.Put(batch)
		}
	}
}

func TestBatch_WritesFramesInOrder(t *testing.T) {
	pool := wire.NewBatchPool(1)
	for range 3 { // the same batch again
		batch, w := pool.Get(false, false), &miser{left: 1 << 30}
		var want []byte
		for i := 0; ; i++ {
			f := wire.New(1, bytes.Repeat([]byte{byte(i)}, i*700))
			if batch.Fill([]*wire.Frame{f}) == 0 {
				break
			}
			want = append(want, f.Bytes...)
		}
		if sent, err := flush(batch, w); err != nil || len(batch.Unsent()) > 0 || !bytes.Equal(w.got.Bytes(), want) {
			t.Errorf("%d frames sent, %d not: %v", sent, len(batch.Unsent()), err)
		}
		pool.Put(batch)
	}
}

func TestBatch_IsFullByFramesOrByBytes(t *testing.T) {
	pool := wire.NewBatchPool(1)
	for _, size := range []int{0, 1000, 40 << 10, 1 << 20} {
		batch, f := pool.Get(false, false), wire.New(1, make([]byte, size))
		n := batch.Fill(slices.Repeat([]*wire.Frame{f}, 100))
		if bytes := n * len(f.Bytes); n == 0 || n > 64 || bytes-size > 80<<10 || batch.Fill([]*wire.Frame{f}) > 0 {
			t.Errorf("frames of %d bytes: full at %d frames, %d bytes", size, n, bytes)
		}
		pool.Put(batch)
	}
}
