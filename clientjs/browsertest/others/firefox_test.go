package others

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// What Firefox would look for in the network; and it would put off dials by up to a minute after some that have failed.
const firefoxPrefs = `
user_pref("app.normandy.enabled", false);
user_pref("app.update.disabledForTesting", true);
user_pref("browser.safebrowsing.update.enabled", false);
user_pref("browser.search.update", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("extensions.getAddons.cache.enabled", false);
user_pref("extensions.systemAddon.update.enabled", false);
user_pref("messaging-system.rsexperimentloader.enabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("network.websocket.delay-failed-reconnects", false);
user_pref("services.settings.server", "data:,#");
user_pref("toolkit.telemetry.server", "data:,#");
`

// firefox is Firefox over WebDriver BiDi.
type firefox struct {
	t    *testing.T
	conn *websocket.Conn
	id   int
}

func (f *firefox) use(t *testing.T) { f.t = t }

func startFirefox(t *testing.T) *firefox {
	t.Helper()
	path := find(t, "FIREFOX", "firefox-esr", "firefox-esr", "firefox")
	profile := t.TempDir()
	if err := os.WriteFile(filepath.Join(profile, "user.js"), []byte(firefoxPrefs), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0")
	cmd.Env = append(os.Environ(), "HOME="+profile)
	stderr, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end(t, cmd) })
	addr := make(chan string, 1)
	go func() {
		listening := regexp.MustCompile(`BiDi listening on (ws://\S+)`)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			if found := listening.FindStringSubmatch(lines.Text()); found != nil {
				addr <- found[1]
			}
		}
	}()
	f := &firefox{t: t}
	select {
	case a := <-addr:
		if f.conn, _, err = websocket.DefaultDialer.Dial(a+"/session", nil); err != nil {
			t.Fatal(err)
		}
	case <-time.After(patience):
		t.Fatal("Firefox does not say where it listens")
	}
	t.Cleanup(func() { f.conn.Close() })
	f.call("session.new", params{"capabilities": params{}})
	return f
}

// call calls a command, and returns its result.
func (f *firefox) call(method string, p params) (result struct {
	Context string
	Result  struct{ Value string }
	Type    string
}) {
	f.t.Helper()
	f.id++
	_ = f.conn.SetReadDeadline(time.Now().Add(patience))
	if err := f.conn.WriteJSON(params{"id": f.id, "method": method, "params": p}); err != nil {
		f.t.Fatal(err)
	}
	for {
		var answer struct {
			ID             int
			Error, Message string
			Result         json.RawMessage
		}
		if err := f.conn.ReadJSON(&answer); err != nil {
			f.t.Fatalf("%s: %v", method, err)
		}
		if answer.ID != f.id {
			continue // an event
		}
		if answer.Error != "" {
			f.t.Fatalf("%s: %s: %s", method, answer.Error, answer.Message)
		}
		_ = json.Unmarshal(answer.Result, &result)
		return result
	}
}

func (f *firefox) open(url string) tab {
	f.t.Helper()
	t := f.call("browsingContext.create", params{"type": "tab"}).Context
	f.navigate(tab(t), url)
	return tab(t)
}

func (f *firefox) navigate(t tab, url string) {
	f.t.Helper()
	f.call("browsingContext.navigate", params{"context": t, "url": url, "wait": "complete"})
}

func (f *firefox) eval(t tab, expression string) string {
	f.t.Helper()
	return f.call("script.evaluate", params{"expression": "JSON.stringify(" + expression + ") ?? 'undefined'",
		"target": params{"context": t}, "awaitPromise": false}).Result.Value
}

func (f *firefox) back(t tab) {
	f.t.Helper()
	f.call("browsingContext.traverseHistory", params{"context": t, "delta": -1})
}

func (f *firefox) reload(t tab) {
	f.t.Helper()
	f.call("browsingContext.reload", params{"context": t, "wait": "complete"})
}

func (f *firefox) close(t tab) {
	f.t.Helper()
	f.call("browsingContext.close", params{"context": t})
}

func (f *firefox) front(t tab) {
	f.t.Helper()
	f.call("browsingContext.activate", params{"context": t})
}

// offline takes the network away from a page, or gives it back.
func (f *firefox) offline(t tab, is bool) {
	f.t.Helper()
	var conditions any
	if is {
		conditions = params{"type": "offline"}
	}
	f.call("emulation.setNetworkConditions", params{"contexts": []tab{t}, "networkConditions": conditions})
}
