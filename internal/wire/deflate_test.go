package wire_test

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/wspulse/server/internal/wire"
)

const accepted = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

// allParams are all that there are: RFC 7692, section 7.1.
const allParams = "server_no_context_takeover; client_no_context_takeover; " +
	"server_max_window_bits=15; client_max_window_bits"

func TestNegotiateDeflate(t *testing.T) {
	const largest = "; server_max_window_bits=15"
	for offer, want := range map[string]string{
		"":                   "",
		"permessage-deflate": accepted,
		" permessage-deflate ; client_max_window_bits ":                              accepted,
		"permessage-deflate; client_max_window_bits=8":                               accepted,
		"permessage-deflate; client_max_window_bits=16":                              "",
		"permessage-deflate; client_max_window_bits=08":                              "",
		"permessage-deflate; server_max_window_bits":                                 "",
		"permessage-deflate; server_max_window_bits=10":                              "",
		"permessage-deflate; server_max_window_bits=15":                              accepted + largest,
		`permessage-deflate; server_max_window_bits="15"`:                            accepted + largest,
		"permessage-deflate; server_max_window_bits=10, permessage-deflate":          accepted,
		"permessage-deflate; server_no_context_takeover; client_no_context_takeover": accepted,
		"permessage-deflate; " + allParams:                                           accepted + largest,
		"permessage-deflate; " + allParams + "; client_max_window_bits":              "",
		"permessage-deflate; " + allParams + "; unknown":                             "",
		"permessage-deflate; server_no_context_takeover=1":                           "",
		"permessage-deflate; client_no_context_takeover; client_no_context_takeover": "",
		"permessage-deflate; unknown":                                                "",
		"permessage-deflate;":                                                        "",
		"x-webkit-deflate-frame, permessage-foo":                                     "",
		"foo; bar=1, permessage-deflate":                                             accepted,
	} {
		if got := wire.NegotiateDeflate([]string{"x-other", offer}); got != want {
			t.Errorf("%q: %q, want %q", offer, got, want)
		}
	}
}

// A pinned writer remembers where what it was given lies.
type pinned struct{ at *byte }

func (p *pinned) Write(data []byte) (int, error) {
	p.at = &data[0]
	return len(data), nil
}

// However many connections write a frame, it is compressed once.
func TestDeflater_CompressesOnce(t *testing.T) {
	f := wire.NewDeflater(1, 0).Attach(wire.New(wire.OpText, bytes.Repeat([]byte("text "), 1000)))
	pool := wire.NewBatchPool(1)
	var first, second, plain pinned
	for _, tc := range []struct {
		w       *pinned
		deflate bool
	}{{&first, true}, {&second, true}, {&plain, false}} {
		b := pool.Get(tc.deflate, false)
		b.Add(f)
		if sent, err := flush(b, tc.w); sent != 1 || err != nil {
			t.Errorf("%d sent: %v", sent, err)
		}
	}
	if first.at != second.at || first.at == plain.at || plain.at != &f.Bytes[0] {
		t.Error("the frame was compressed anew, or not at all")
	}
}

// Whatever is compressed comes out of a Reader as it was, in one frame or in two.
func TestDeflater_RoundTrip(t *testing.T) {
	d := wire.NewDeflater(9, 0)
	for _, text := range []string{"", "a", "hello hello hello", strings.Repeat("x", 100_000), "\x00\x00\xff\xff"} {
		var buf bytes.Buffer
		pool := wire.NewBatchPool(1)
		b := pool.Get(true, false)
		b.Add(d.Attach(wire.New(wire.OpBinary, []byte(text))))
		if _, err := flush(b, &buf); err != nil {
			t.Fatal(err)
		}
		opcode, payload, err := parseAny(buf.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		half := len(payload) / 2
		stream := append(clientFrame(opcode&^0x80, payload[:half]), clientFrame(0x80, payload[half:])...)
		for range 2 {
			r := newReader(bytes.NewReader(stream), nil, 1024, 100_000, true)
			if _, got, err := r.Next(); err != nil || string(got) != text {
				t.Errorf("%.20q came back as %.20q: %v", text, got, err)
			}
			stream = clientFrame(opcode, payload)
		}
	}
}

// parseAny is parse with the first byte as it is.
func parseAny(frame []byte) (first byte, payload []byte, err error) {
	first = frame[0]
	frame[0] &^= 0x40
	_, payload, err = parse(frame)
	return first, payload, err
}

func deflated(text string) []byte {
	var buf bytes.Buffer
	w, _ := flate.NewWriter(&buf, 9)
	_, _ = io.WriteString(w, text)
	_ = w.Flush()
	return buf.Bytes()[:buf.Len()-4]
}

func TestReader_Inflate(t *testing.T) {
	for name, tc := range map[string]struct {
		stream []byte
		want   string // of the first message
		code   int    // 0: none, 1009: ErrTooLarge
	}{
		"text":            {clientFrame(0xC1, deflated("hello")), "hello", 0},
		"plain beside it": {clientFrame(0x81, []byte("hello")), "hello", 0},
		"ping between its frames": {append(append(clientFrame(0x41, deflated("hello")[:2]), clientFrame(0x89, nil)...),
			clientFrame(0x80, deflated("hello")[2:])...), "", 0},
		"as large as the limit": {clientFrame(0xC2, deflated(strings.Repeat("x", 1000))),
			strings.Repeat("x", 1000), 0},
		"larger":                  {clientFrame(0xC2, deflated(strings.Repeat("x", 1001))), "", 1009},
		"bomb":                    {clientFrame(0xC2, deflated(strings.Repeat("x", 1<<20))), "", 1009},
		"not UTF-8 when inflated": {clientFrame(0xC1, deflated("\xff")), "", 1007},
		"garbage":                 {clientFrame(0xC1, []byte("\xff\xff\xff")), "", 1007},
		"cut":                     {clientFrame(0xC1, deflated("hello hello")[:3]), "", 1007},
		"compressed ping":         {clientFrame(0xC9, nil), "", 1002},
		"compressed continuation": {append(clientFrame(0x41, deflated("hello")[:2]),
			clientFrame(0xC0, deflated("hello")[2:])...), "", 1002},
		"reserved bit 2":             {clientFrame(0xA1, nil), "", 1002},
		"empty, with a final block":  {clientFrame(0xC1, []byte{0x03, 0x00}), "", 0},
		"final block, empty byte":    {clientFrame(0xC1, []byte(final("hello")+"\x00")), "hello", 0},
		"final block, no empty byte": {clientFrame(0xC1, []byte(final("hello"))), "hello", 0},
		"block behind a final one": {clientFrame(0xC1, append([]byte(final("hello ")), deflated("hello")...)),
			"hello hello", 0},
		"64 final blocks": {clientFrame(0xC1, []byte(strings.Repeat(final("x"), 64)+"\x00")),
			strings.Repeat("x", 64), 0},
		"66 final blocks": {clientFrame(0xC1, []byte(strings.Repeat(final("x"), 66))), "", 1008},
		"larger by final blocks": {clientFrame(0xC1, []byte(final(strings.Repeat("x", 600))+
			final(strings.Repeat("x", 600)))), "", 1009},
		"garbage behind a final one":        {clientFrame(0xC1, []byte(final("hello")+"\xff\xff\xff")), "", 1007},
		"back reference past a final block": {clientFrame(0xC1, backReference("hello ", "hello")), "hello hello", 0},
		"nothing but the empty byte":        {clientFrame(0xC1, []byte{0x00}), "", 0},
	} {
		r := newReader(bytes.NewReader(tc.stream), nil, 256, 1000, true)
		opcode, got, err := r.Next()
		var violation *wire.Violation
		code := 0
		switch {
		case errors.Is(err, wire.ErrTooLarge):
			code = 1009
		case errors.As(err, &violation):
			code = violation.Code
		case err != nil:
			code = 1
		}
		if code != tc.code || opcode != wire.OpPing && string(got) != tc.want {
			t.Errorf("%s: %.20q, %v", name, got, err)
		}
	}
}

// final is deflated with a block that calls itself the last one (RFC 7692, section 7.2.3.4).
func final(text string) string {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		panic(err)
	}
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return b.String()
}

// backReference is first in a final block, and then second, which is part of it, by reference to it.
func backReference(first, second string) []byte {
	var b bytes.Buffer
	w, err := flate.NewWriterDict(&b, flate.BestCompression, []byte(first))
	if err != nil {
		panic(err)
	}
	_, _ = io.WriteString(w, second)
	_ = w.Flush()
	return append([]byte(final(first)), b.Bytes()[:b.Len()-4]...)
}

// What does not compress is longer when it is compressed, the more so the less memory the peer's deflater has: in
// stored blocks of 2 KiB here, as zlib's memLevel 5 makes them, and of 128 bytes.
func TestReader_LimitHoldsForWhatWasInflated(t *testing.T) {
	const limit = 64 << 10
	for _, block := range []int{128, 2 << 10} {
		var stored []byte
		for range limit / block {
			stored = append(stored, 0, byte(block), byte(block>>8), ^byte(block), ^byte(block>>8))
			stored = append(stored, strings.Repeat("x", block)...)
		}
		r := newReader(bytes.NewReader(clientFrame(0xC2, append(stored, 0))), nil, 256, limit, true)
		if _, got, err := r.Next(); err != nil || len(got) != limit {
			t.Errorf("blocks of %d bytes: %d bytes, %v, want %d", block, len(got), err, limit)
		}
	}
}

// A compressed message in the steady state costs no buffers: one allocation, or a few where the race detector makes
// pools forget what they hold.
func TestReader_InflateReusesItsBuffers(t *testing.T) {
	src := &loop{stream: clientFrame(0xC1, deflated(strings.Repeat("hello ", 100)))}
	r := newReader(src, nil, 1024, 1<<20, true)
	if n := testing.AllocsPerRun(1000, func() {
		if _, _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
	}); n > 5 {
		t.Errorf("%v allocations for a message", n)
	}
}

// What compression costs a message, once however many connections write it.
func BenchmarkDeflater(b *testing.B) {
	for _, level := range []int{1, 6, 9} {
		for name, size := range map[string]int{"1KiB": 1 << 10, "16KiB": 16 << 10} {
			b.Run(fmt.Sprintf("level=%d/size=%s", level, name), func(b *testing.B) {
				d, pool := wire.NewDeflater(level, 0), wire.NewBatchPool(1)
				text := []byte(strings.Repeat(`{"event":"move","payload":{"x":12.5,"y":7,"who":"alice"}}`, size/57))
				b.SetBytes(int64(len(text)))
				b.ReportAllocs()
				for b.Loop() {
					batch := pool.Get(true, false)
					batch.Add(d.Attach(wire.New(wire.OpText, text)))
					if _, err := flush(batch, io.Discard); err != nil {
						b.Fatal(err)
					}
					pool.Put(batch)
				}
			})
		}
	}
}
