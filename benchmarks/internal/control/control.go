// Package control is how the driver talks to the server and the load generator, which are processes of their own: it
// writes one JSON request a line to their standard input and reads one reply a line from their standard output.
package control

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// Request is one call. Args are those of the operation.
type Request struct {
	Op   string          `json:"op"`
	Args json.RawMessage `json:"args,omitempty"`
}

// Reply answers one request.
type Reply struct {
	Error  string          `json:"error,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
}

// Serve answers requests with handle, one after the other, until the input ends.
func Serve(r io.Reader, w io.Writer, handle func(op string, args json.RawMessage) (any, error)) error {
	lines := json.NewDecoder(r)
	out := json.NewEncoder(w)
	for {
		var request Request
		if err := lines.Decode(&request); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		result, err := handle(request.Op, request.Args)
		var reply Reply
		if err != nil {
			reply.Error = err.Error()
		} else if reply.Result, err = json.Marshal(result); err != nil {
			return err
		}
		if err := out.Encode(reply); err != nil {
			return err
		}
	}
}

// Child is a process that answers requests.
type Child struct {
	name string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
}

// exitGrace is how long a child may take to end once its input has.
const exitGrace = 10 * time.Second

// Start runs a program, this one if the path is empty. What it writes to its standard error goes to ours.
func Start(program string, args ...string) (*Child, error) {
	if program == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		program = self
	}
	cmd := exec.Command(program, args...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &Child{name: args[0], cmd: cmd, in: in, out: bufio.NewReader(out)}, nil
}

// Call makes one request and stores its result, unless result is nil. A child that has not answered within timeout is
// killed.
func (c *Child) Call(timeout time.Duration, op string, args, result any) error {
	data, err := json.Marshal(args)
	if err != nil {
		return err
	}
	line, err := json.Marshal(Request{Op: op, Args: data})
	if err != nil {
		return err
	}
	if _, err := c.in.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("%s %s: %w", c.name, op, err)
	}
	watchdog := time.AfterFunc(timeout, func() { _ = c.cmd.Process.Kill() })
	defer watchdog.Stop()
	answer, err := c.out.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("%s %s: no answer within %v, or the process ended: %w", c.name, op, timeout, err)
	}
	var reply Reply
	if err := json.Unmarshal(answer, &reply); err != nil {
		return fmt.Errorf("%s %s: %w", c.name, op, err)
	}
	if reply.Error != "" {
		return fmt.Errorf("%s %s: %s", c.name, op, reply.Error)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(reply.Result, result)
}

// Stop ends the input of the child, which ends the child, and waits for that.
func (c *Child) Stop() error {
	_ = c.in.Close()
	watchdog := time.AfterFunc(exitGrace, func() { _ = c.cmd.Process.Kill() })
	defer watchdog.Stop()
	return c.cmd.Wait()
}

// With decodes the arguments of an operation and carries it out.
func With[A, R any](args json.RawMessage, fn func(A) (R, error)) (any, error) {
	var a A
	if err := json.Unmarshal(args, &a); err != nil {
		return nil, err
	}
	return fn(a)
}
