package main

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/wspulse/server/examples/internal/program"
)

func TestMain(m *testing.M) { program.Main(m, main) }

func TestMain_Addr(t *testing.T) { program.TestAddr(t, "/ws") }

// The network breaks once: the plain client misses ticks, the other one none.
func TestResume_OnlyThePlainClientMissesTicks(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	keys, press := io.Pipe()
	page, shown := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, "127.0.0.1:0", 0, keys, shown)
		shown.Close()
	}()
	go func() {
		time.Sleep(time.Second)
		_, _ = press.Write([]byte("\n"))
	}()
	var text strings.Builder
	buf := make([]byte, 1024)
	for !settled(text.String()) {
		n, err := page.Read(buf)
		if text.Write(buf[:n]); err != nil {
			t.Fatalf("it ended with %v after\n%s", err, text.String())
		}
	}
	cancel()
	go io.Copy(io.Discard, page)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// settled says that the last lines tell of a drop that is over, and of ticks missing on the plain side alone.
func settled(text string) bool {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) < 2 {
		return false
	}
	v1, plain := lines[len(lines)-2], lines[len(lines)-1]
	return strings.HasPrefix(v1, "wspulse.v1") && strings.HasPrefix(plain, "plain") &&
		strings.Contains(v1, "connected") && strings.Contains(v1, " 0 missing     0 doubled    1 drops") &&
		strings.Contains(plain, "connected") && strings.Contains(plain, " 1 drops") && !strings.Contains(plain, " 0 missing")
}
