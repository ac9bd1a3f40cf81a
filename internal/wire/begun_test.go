package wire_test

import (
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/wspulse/server/internal/wire"
)

// A script is what each read yields, and a journal of reads and of what else there was.
type script struct {
	reads   [][]byte
	reader  *wire.Reader
	journal []string
	told    bool // that a part of the next message is there
}

// note writes down what there was; several reads in a row are one.
func (s *script) note(what string) {
	if n := len(s.journal); n == 0 || what != "read" || s.journal[n-1] != what {
		s.journal = append(s.journal, what)
	}
}

func (s *script) Read(p []byte) (int, error) {
	if s.reader.Begun() && !s.told {
		s.told = true
		s.note("part")
	}
	s.note("read")
	if len(s.reads) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.reads[0])
	if s.reads[0] = s.reads[0][n:]; len(s.reads[0]) == 0 {
		s.reads = s.reads[1:]
	}
	return n, nil
}

// A message has begun when a part of it is there while the rest is waited for, wherever that part came from: not one that
// is there in one piece, and not when nothing of it is.
func TestReader_Begun(t *testing.T) {
	a, b := clientFrame(0x81, []byte("first")), clientFrame(0x81, []byte("second"))
	ping := clientFrame(0x89, nil)
	long := clientFrame(0x82, make([]byte, 5000))
	third := slices.Concat(clientFrame(0x01, []byte("th")), ping, clientFrame(0x80, []byte("ird")))
	both, rest := slices.Concat(a, b[:3]), b[3:]
	type reads = [][]byte
	for name, tc := range map[string]struct {
		early []byte
		reads
		want string
	}{
		"whole":                   {nil, reads{a, b}, "read message read message read"},
		"both at once":            {nil, reads{slices.Concat(a, b)}, "read message message read"},
		"in two":                  {nil, reads{a[:4], a[4:]}, "read part read message read"},
		"in three":                {nil, reads{a[:1], a[1:4], a[4:]}, "read part read message read"},
		"a part behind another":   {nil, reads{both, rest}, "read message part read message read"},
		"a byte behind another":   {nil, reads{slices.Concat(a, b[:1]), b[1:]}, "read message part read message read"},
		"behind one in two":       {nil, reads{both[:2], both[2:], rest}, "read part read message part read message read"},
		"early":                   {a, reads{b}, "message read message read"},
		"a part early":            {a[:3], reads{a[3:]}, "part read message read"},
		"a part behind an early":  {both, reads{rest}, "message part read message read"},
		"a part behind a ping":    {nil, reads{slices.Concat(ping, b[:3]), rest}, "read ping part read message read"},
		"fragments around a ping": {nil, reads{third[:8], third[8:]}, "read part read ping message read"},
		"longer than the buffer":  {nil, reads{long[:300], long[300:2000], long[2000:]}, "read part read message read"},
		"the end of the stream":   {nil, reads{both}, "read message part read"},
	} {
		s := &script{reads: tc.reads}
		r := newReader(s, tc.early, 256, 1<<20, false)
		s.reader = r
		for {
			opcode, _, err := r.Next()
			if err != nil {
				break
			}
			s.told = s.told && r.Gathering()
			if opcode == wire.OpPing {
				s.note("ping")
			} else {
				s.note("message")
			}
		}
		if got := strings.Join(s.journal, " "); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}
