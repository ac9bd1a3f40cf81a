package wire_test

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"testing"
	"time"
)

func TestTryWrite(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no write is tried here")
	}
	conn, peer := tcpPair(t)
	s := socketOver(conn)
	go func() { _, _ = io.Copy(io.Discard, peer) }()
	word := []byte("word")
	if n := testing.AllocsPerRun(1000, func() {
		if n, err := s.TryWrite(word); n != len(word) || err != nil {
			t.Errorf("%d bytes written: %v", n, err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
	s.Cut(time.Now())
	if _, err := s.TryWrite(word); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after a cut: %v", err)
	}
	_ = s.Close()
	if _, err := s.TryWrite(word); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after it was closed: %v", err)
	}
	pipe, _ := net.Pipe()
	defer pipe.Close()
	if n, err := socketOver(pipe).TryWrite(word); n != 0 || err != nil {
		t.Errorf("%d bytes tried on a pipe: %v", n, err)
	}
}
