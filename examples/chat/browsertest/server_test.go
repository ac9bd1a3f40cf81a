package browsertest

import (
	"bufio"
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// build builds an example, and returns the path of the program.
func build(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, "./examples/"+name)
	build.Dir = filepath.Join("..", "..", "..") // the module that the examples are in
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the %s: %v\n%s", name, err, output)
	}
	return path
}

// A server is an example that runs as a process of its own.
type server struct {
	t   *testing.T
	cmd *exec.Cmd
	log bytes.Buffer // to be read when the process has ended
	url string
}

// startServer starts a program that says first where it is. It ends with the test.
func startServer(t *testing.T, program, addr string, args ...string) *server {
	t.Helper()
	s := &server{t: t, cmd: exec.Command(program, append([]string{"-addr", addr}, args...)...)}
	s.cmd.Stderr = &s.log
	stdout, err := s.cmd.StdoutPipe()
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		t.Fatalf("starting %s: %v", program, err)
	}
	t.Cleanup(s.stop)
	line, err := bufio.NewReader(stdout).ReadString('\n') // the program writes no more than this
	s.url = regexp.MustCompile(`http://[\w.]+:\d+`).FindString(line)
	if s.url == "" {
		s.stop()
		t.Fatalf("the program did not say where it is: %q, %v\n%s", line, err, &s.log)
	}
	return s
}

func (s *server) addr() string { return strings.TrimPrefix(s.url, "http://") }

// stop ends the process as Ctrl-C does, and by force if it does not end within ten seconds. It may be called again.
func (s *server) stop() {
	if s.cmd.ProcessState != nil {
		return
	}
	force := time.AfterFunc(10*time.Second, func() {
		s.t.Error("the program did not end by itself")
		_ = s.cmd.Process.Kill()
	})
	defer force.Stop()
	_ = s.cmd.Process.Signal(os.Interrupt)
	if err := s.cmd.Wait(); err != nil {
		s.t.Errorf("the program ended with %v\n%s", err, &s.log)
	}
}

// post calls the API.
func (s *server) post(path, body string) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode >= http.StatusBadRequest {
		s.t.Fatalf("POST %s: %s", path, response.Status)
	}
}
