// Package program lets the tests of an example run it as a process: the test binary is the program if it is told to be.
package program

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	variable = "WSPULSE_EXAMPLE" // set for the process that is the program
	patience = 20 * time.Second  // with a process
)

// Main is for TestMain: it runs the program, or its tests.
func Main(m *testing.M, program func()) {
	if os.Getenv(variable) != "" {
		program()
		return
	}
	os.Exit(m.Run())
}

// A Process is a program that runs.
type Process struct {
	t    *testing.T
	cmd  *exec.Cmd
	addr chan string   // what the program says that it listens on; closed when its output has ended
	done chan struct{} // closed when the output has ended

	mu     sync.Mutex // guards output
	output strings.Builder
}

var address = regexp.MustCompile(`listening on ws://(\S+:\d+)/`)

// Start starts the program. It is killed with the test, if it has not ended before.
func Start(t *testing.T, args ...string) *Process {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	p := &Process{t: t, addr: make(chan string, 1), done: make(chan struct{})}
	p.cmd = exec.CommandContext(ctx, os.Args[0], args...)
	p.cmd.Env = append(os.Environ(), variable+"=1", "GORACE=atexit_sleep_ms=0")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stdout, p.cmd.Stderr = w, w
	err = p.cmd.Start()
	w.Close()
	if err != nil {
		r.Close()
		t.Fatal(err)
	}
	go p.read(r)
	return p
}

func (p *Process) read(r io.ReadCloser) {
	defer close(p.done)
	defer close(p.addr)
	defer r.Close()
	for lines, said := bufio.NewScanner(r), false; lines.Scan(); {
		p.mu.Lock()
		fmt.Fprintln(&p.output, lines.Text())
		p.mu.Unlock()
		if match := address.FindStringSubmatch(lines.Text()); match != nil && !said {
			said = true
			p.addr <- match[1]
		}
	}
}

// Addr waits until the program says on which address it listens.
func (p *Process) Addr() string {
	p.t.Helper()
	addr, ok := <-p.addr
	if !ok {
		p.t.Fatalf("it ended before it said where it listens:\n%s", p.Output())
	}
	return addr
}

// Output is what the program has written so far.
func (p *Process) Output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.String()
}

// Await waits until the program has written all these.
func (p *Process) Await(texts ...string) {
	p.t.Helper()
	deadline := time.Now().Add(patience / 2)
	for _, text := range texts {
		for !strings.Contains(p.Output(), text) {
			if time.Now().After(deadline) {
				p.t.Fatalf("it has not written %q but\n%s", text, p.Output())
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// Interrupt does what Ctrl-C does, and waits for the end.
func (p *Process) Interrupt() {
	p.t.Helper()
	p.signal(os.Interrupt)
}

// Terminate does what a supervisor does, and waits for the end.
func (p *Process) Terminate() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
}

func (p *Process) signal(s os.Signal) {
	p.t.Helper()
	if runtime.GOOS == "windows" {
		p.t.Skip("a process can't be interrupted there")
	}
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
	if err := p.Wait(); err != nil {
		p.t.Errorf("it ended with %v after\n%s", err, p.Output())
	}
}

// Wait waits for the end.
func (p *Process) Wait() error {
	<-p.done
	return p.cmd.Wait()
}
