package browsertest

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
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

// key makes admins.
const key = "sesame"

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

// kill ends the process as a crash does.
func (s *server) kill() {
	s.t.Helper()
	if err := s.cmd.Process.Kill(); err != nil {
		s.t.Fatal(err)
	}
	_ = s.cmd.Wait() // it was killed
}

// post has an admin of the chat post a text.
func (s *server) post(path, text string) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url+path, strings.NewReader(text))
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+key)
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

// A relay is the network between a page and a server.
type relay struct {
	url  string
	mute sync.RWMutex // held for writing: what the page says stays here

	mu    sync.Mutex
	cut   bool       // guarded by mu
	conns []net.Conn // guarded by mu
}

// newRelay starts a relay to a server. It ends with the test.
func newRelay(t *testing.T, s *server) *relay {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{url: "http://" + listener.Addr().String()}
	t.Cleanup(func() {
		_ = listener.Close()
		r.setCut(true)
	})
	go func() {
		for {
			page, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", s.addr())
			if err != nil || !r.keep(page, server) {
				_ = page.Close()
				continue
			}
			go r.pass(page, server)
			go r.pass(upstream{server, r}, page)
		}
	}()
	return r
}

// keep notes a connection, unless there are to be none.
func (r *relay) keep(conns ...net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns = append(r.conns, conns...)
	return !r.cut
}

// setCut cuts all connections, and lets no more through, or lets them through again.
func (r *relay) setCut(cut bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut = cut
	for _, conn := range r.conns {
		_ = conn.Close()
	}
	r.conns = nil
}

func (r *relay) pass(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_ = to.Close()
	_ = from.Close()
}

// upstream writes to a server what a relay lets through.
type upstream struct {
	net.Conn
	relay *relay
}

func (u upstream) Write(p []byte) (int, error) {
	u.relay.mute.RLock()
	defer u.relay.mute.RUnlock()
	return u.Conn.Write(p)
}
