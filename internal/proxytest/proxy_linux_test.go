package proxytest

import (
	"bytes"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var required = flag.Bool("required", false, "fail where a proxy is not installed")

const patience = 20 * time.Second

// A kind is a proxy program.
type kind struct {
	program, config string
	args            func(config string) []string
	reload          func(t *testing.T, p *proxy)
	idle            bool                              // it cuts what is idle
	encrypt         func(certificate string) []string // changes that have it end TLS, with a file that has the key too
}

var kinds = []kind{
	{
		program: "nginx", config: "nginx.conf", idle: true,
		args: func(config string) []string {
			return []string{"-p", filepath.Dir(config), "-c", config, "-e", "stderr", "-g", "daemon off;"}
		},
		reload: func(t *testing.T, p *proxy) { p.signal(t, syscall.SIGHUP) },
		encrypt: func(certificate string) []string {
			return []string{"listen 127.0.0.1:8000;", "listen 127.0.0.1:8000 ssl; " +
				"ssl_certificate " + certificate + "; ssl_certificate_key " + certificate + ";"}
		},
	},
	{
		program: "haproxy", config: "haproxy.cfg", idle: true,
		args:   func(config string) []string { return []string{"-W", "-db", "-f", config} },
		reload: func(t *testing.T, p *proxy) { p.signal(t, syscall.SIGUSR2) },
		encrypt: func(certificate string) []string {
			return []string{"bind 127.0.0.1:8000", "bind 127.0.0.1:8000 ssl crt " + certificate}
		},
	},
	{
		program: "caddy", config: "Caddyfile",
		args: func(config string) []string {
			return []string{"run", "--config", config, "--adapter", "caddyfile"}
		},
		reload: func(t *testing.T, p *proxy) {
			command := exec.CommandContext(t.Context(), "caddy", "reload", "--force", "--address", p.admin,
				"--config", p.config, "--adapter", "caddyfile")
			command.Env = p.cmd.Env
			if output, err := command.CombinedOutput(); err != nil {
				t.Fatalf("caddy reload: %v\n%s", err, output)
			}
		},
		encrypt: func(certificate string) []string {
			return []string{"http://:8000", "https://127.0.0.1:8000",
				"	bind 127.0.0.1", "	bind 127.0.0.1\n	tls " + certificate + " " + certificate,
				"	admin ", "	auto_https disable_redirects\n	admin "}
		},
	},
}

// each runs a test with each proxy.
func each(t *testing.T, test func(t *testing.T, k kind)) {
	for _, k := range kinds {
		t.Run(k.program, func(t *testing.T) {
			if _, err := exec.LookPath(k.program); err != nil {
				if *required {
					t.Fatal(err)
				}
				t.Skipf("%s is not installed", k.program)
			}
			test(t, k)
		})
	}
}

// A proxy is one that runs.
type proxy struct {
	kind   kind
	cmd    *exec.Cmd
	config string
	addr   string // where it listens
	admin  string // Caddy's

	mu     sync.Mutex // guards output
	output bytes.Buffer
}

// Write implements io.Writer.
func (p *proxy) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.Write(b)
}

func (p *proxy) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.String()
}

// configure returns the configuration of the docs with other addresses, and with what changes says: pairs of what is
// there, unless a proxy has no such thing, and what is to be.
func (p *proxy) configure(t *testing.T, server string, changes []string) (config string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "proxies", p.kind.config))
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(p.addr)
	if err != nil {
		t.Fatal(err)
	}
	changes = append(changes,
		"127.0.0.1:8080", server,
		"127.0.0.1:8000", p.addr,
		"http://:8000", "http://:"+port,
		"127.0.0.1:2019", p.admin,
		"maxconn 10000", "maxconn 100", // the machine may not have files for more
	)
	config = string(text)
	for i := 0; i < len(changes); i += 2 {
		config = strings.ReplaceAll(config, changes[i], changes[i+1])
	}
	if !strings.Contains(config, server) || !strings.Contains(config, ":"+port) {
		t.Fatalf("%s has not the addresses that this test knows:\n%s", p.kind.config, config)
	}
	return config
}

// start starts a proxy in front of a server. It ends with the test.
func (k kind) start(t *testing.T, server string, changes ...string) *proxy {
	t.Helper()
	dir := t.TempDir()
	p := &proxy{kind: k, config: filepath.Join(dir, k.config), addr: freeAddr(t), admin: freeAddr(t)}
	config := p.configure(t, server, changes)
	if err := os.WriteFile(p.config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	p.cmd = exec.Command(k.program, k.args(p.config)...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, p, p
	p.cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	p.cmd.WaitDelay = time.Second
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- p.cmd.Wait() }()
	t.Cleanup(func() { p.stop(t, ended) })
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if conn, err := net.Dial("tcp", p.addr); err == nil {
			conn.Close()
			return p
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("%s ended: %v\n%s", k.program, err, p.said())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen:\n%s", k.program, p.said())
		}
	}
}

func (p *proxy) stop(t *testing.T, ended chan error) {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		t.Errorf("%s did not end", p.kind.program)
	}
	if t.Failed() {
		t.Logf("%s said:\n%s", p.kind.program, p.said())
	}
}

func (p *proxy) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatalf("%s: %v\n%s", p.kind.program, err, p.said())
	}
}

// freeAddr returns an address of 127.0.0.1 where nobody listens.
func freeAddr(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return fmt.Sprint(listener.Addr())
}
