package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A small soak, in which everything holds that does in a long one, but for what depends on how busy the machine is.
func TestSoak(t *testing.T) {
	p := standard()
	p.length, p.every = 3*time.Second, 500*time.Millisecond
	p.healthy, p.sick = 60, 140
	p.window = 300 * time.Millisecond
	p.pong, p.writeWait, p.harm = 30*time.Second, 10*time.Second, 10*time.Second
	p.seed = uint64(time.Now().UnixNano())
	p.plot = filepath.Join(t.TempDir(), "soak.svg")
	var out strings.Builder
	if err := soak(p, io.MultiWriter(t.Output(), &out)); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "none of 0 intervals") {
		t.Error("the verdict on latency is without intervals")
	}
	plot, err := os.ReadFile(p.plot)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<svg ", ">p99<", ">suspended<", ">faults<", "</svg>"} {
		if !strings.Contains(string(plot), want) {
			t.Errorf("the plot has no %q", want)
		}
	}
}
