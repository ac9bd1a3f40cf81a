package others

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// webkit is WebKit's MiniBrowser over WebDriver.
type webkit struct {
	t       *testing.T
	session string // URL
	first   tab    // that stays open
}

func (w *webkit) use(t *testing.T) { w.t = t }

func startWebKit(t *testing.T) browser {
	t.Helper()
	driver := find(t, "", "webkit2gtk-driver", "WebKitWebDriver")
	display := startDisplay(t)
	path := os.Getenv("MINIBROWSER")
	if path == "" {
		found, _ := filepath.Glob("/usr/lib/*/webkit2gtk-4.*/MiniBrowser")
		if len(found) == 0 {
			t.Fatal("no MiniBrowser: install it (on Debian: apt-get install webkit2gtk-driver), or set MINIBROWSER to its path")
		}
		path = found[0]
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") // a port that is free
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().(*net.TCPAddr)
	listener.Close()
	cmd := exec.Command(driver, fmt.Sprint("--port=", addr.Port))
	cmd.Env = append(os.Environ(), "DISPLAY="+display, "HOME="+t.TempDir(), "GDK_BACKEND=x11", "NO_AT_BRIDGE=1")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end(t, cmd) })
	w := &webkit{t: t, session: fmt.Sprintf("http://%s/session", addr)}
	for deadline := time.Now().Add(patience); ; {
		conn, err := net.Dial("tcp", addr.String())
		if err == nil {
			conn.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		<-time.After(10 * time.Millisecond)
	}
	var opened struct{ SessionID string }
	w.call(http.MethodPost, "", params{"capabilities": params{"alwaysMatch": params{
		"webkitgtk:browserOptions": params{"binary": path, "args": []string{"--automation"}}}}}, &opened)
	w.session += "/" + opened.SessionID
	w.call(http.MethodGet, "/window", nil, &w.first)
	t.Cleanup(func() {
		w.t = t
		w.call(http.MethodDelete, "", nil, nil)
	})
	return w
}

// startDisplay starts a virtual display, and returns its name.
func startDisplay(t *testing.T) string {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	cmd := exec.Command(find(t, "", "xvfb", "Xvfb"), "-displayfd", "3", "-screen", "0", "1024x768x24", "-nolisten", "tcp")
	cmd.ExtraFiles = []*os.File{write}
	err = cmd.Start()
	write.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end(t, cmd) })
	_ = read.SetReadDeadline(time.Now().Add(patience))
	name, err := bufio.NewReader(read).ReadString('\n')
	if err != nil {
		t.Fatal("Xvfb: ", err)
	}
	return ":" + strings.TrimSpace(name)
}

// call calls a command of the session, and reads its value into result.
func (w *webkit) call(method, path string, p params, result any) {
	w.t.Helper()
	if p == nil {
		p = params{}
	}
	body, err := json.Marshal(p)
	if err != nil {
		w.t.Fatal(err)
	}
	request, err := http.NewRequest(method, w.session+path, bytes.NewReader(body)) //nolint:noctx // the client has a time-out
	if err != nil {
		w.t.Fatal(err)
	}
	client := http.Client{Timeout: patience}
	response, err := client.Do(request)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct{ Value json.RawMessage }
	err = json.NewDecoder(response.Body).Decode(&answer)
	if response.StatusCode != http.StatusOK {
		w.t.Fatalf("%s %s: %s %s", method, path, response.Status, answer.Value)
	}
	if err == nil && result != nil {
		err = json.Unmarshal(answer.Value, result)
	}
	if err != nil {
		w.t.Fatalf("%s %s: %v in %s", method, path, err, answer.Value)
	}
}

func (w *webkit) open(url string) tab {
	w.t.Helper()
	w.front(w.first)
	var opened struct{ Handle tab }
	w.call(http.MethodPost, "/window/new", params{"type": "window"}, &opened)
	w.navigate(opened.Handle, url)
	return opened.Handle
}

func (w *webkit) navigate(t tab, url string) {
	w.t.Helper()
	w.front(t)
	w.call(http.MethodPost, "/url", params{"url": url}, nil)
}

func (w *webkit) eval(t tab, expression string) (value string) {
	w.t.Helper()
	w.front(t)
	w.call(http.MethodPost, "/execute/sync", params{"script": "return JSON.stringify(" + expression + ") ?? 'undefined'", "args": []any{}}, &value)
	return value
}

func (w *webkit) back(t tab) {
	w.t.Helper()
	w.front(t)
	w.call(http.MethodPost, "/back", nil, nil)
}

func (w *webkit) reload(t tab) {
	w.t.Helper()
	w.front(t)
	w.call(http.MethodPost, "/refresh", nil, nil)
}

func (w *webkit) close(t tab) {
	w.t.Helper()
	w.front(t)
	w.call(http.MethodDelete, "/window", nil, nil)
}

func (w *webkit) front(t tab) {
	w.t.Helper()
	w.call(http.MethodPost, "/window", params{"handle": t}, nil)
}
