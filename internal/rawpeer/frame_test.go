package rawpeer

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

// The examples of RFC 6455, section 5.7, and the bounds between the forms of a length.
func TestFrame_Bytes(t *testing.T) {
	xs := func(n int) string { return strings.Repeat("x", n) }
	for want, got := range map[string][]byte{
		"\x81\x05Hello": Unmasked(Fin|OpText, "Hello"),
		"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58": Masked(Fin|OpText, "Hello"),
		"\x01\x03Hel":                                          Unmasked(OpText, "Hel"),
		"\x88\x82\x37\xfa\x21\x3d\x34\x12":                     Close(1000, "").AppendTo(nil),
		"\x88\x80\x37\xfa\x21\x3d":                             Close(NoStatus, "").AppendTo(nil),
		"\x82\x7e\x00\x7e" + xs(126):                           Unmasked(Fin|OpBinary, xs(126)),
		"\x82\x7e\xff\xff" + xs(1<<16-1):                       Unmasked(Fin|OpBinary, xs(1<<16-1)),
		"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00" + xs(1<<16): Unmasked(Fin|OpBinary, xs(1<<16)),
	} {
		if string(got) != want {
			t.Errorf("%.30x, want %.30x", got, want)
		}
	}
}

func TestRead(t *testing.T) {
	for _, size := range []int{0, 125, 126, 1<<16 - 1, 1 << 16} {
		want := Frame{Fin | OpBinary, strings.Repeat("x", size)}
		got, err := Read(bytes.NewReader(Unmasked(want.First, want.Payload)))
		if got != want || err != nil {
			t.Errorf("read %v, %v, want %v", got, err, want)
		}
	}
	for p, want := range map[string]error{
		"":                         io.EOF,
		"\x81":                     io.ErrUnexpectedEOF,
		"\x81\x7e":                 io.ErrUnexpectedEOF,
		"\x81\x05Hell":             io.ErrUnexpectedEOF,
		"\x81\x05":                 io.ErrUnexpectedEOF,
		"\x81\x80\x01\x02\x03\x04": ErrHeader,
		"\x81\x7e\x00\x05Hello":    ErrHeader,
		"\x81\x7f\x00\x00\x00\x00\x7f\xff\xff\xff": ErrHeader,
	} {
		if got, err := Read(strings.NewReader(p)); !errors.Is(err, want) {
			t.Errorf("%x: read %v, %v, want %v", p, got, err, want)
		}
	}
}

func TestFrame_Code(t *testing.T) {
	for want, f := range map[int]Frame{1001: Close(1001, "bye"), NoStatus: Close(NoStatus, ""), 0: {Fin | OpClose, "\x03"}} {
		if got := f.Code(); got != want {
			t.Errorf("%v: code %d, want %d", f, got, want)
		}
	}
	if got := (Frame{Fin | OpText, "\x03\xe8"}).Code(); got != 0 {
		t.Errorf("a text has the code %d", got)
	}
}
