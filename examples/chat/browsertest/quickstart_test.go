package browsertest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestQuickstart saves the README's page for the quick start as a file, and opens it in two windows.
func TestQuickstart(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, sample, _ := strings.Cut(string(readme), "```html\n")
	sample, _, found := strings.Cut(sample, "```")
	if !found || !strings.Contains(sample, "127.0.0.1:8080") {
		t.Fatalf("the README has no page for the quick start: %q", sample)
	}
	sample = strings.ReplaceAll(sample, "127.0.0.1:8080", startQuickstart(t))
	browser := startBrowser(t)
	open := func(who string) *page {
		file := filepath.Join(t.TempDir(), "page.html")
		page := fmt.Sprintf("<meta charset=utf-8><script>window.prompt = () => %q</script>\n%s", who, sample)
		if err := os.WriteFile(file, []byte(page), 0o600); err != nil {
			t.Fatal(err)
		}
		return openPage(t, browser, who, "file://"+file)
	}
	say := func(p *page, text string) {
		p.eval(fmt.Sprintf(`Object.assign(document.getElementById("say"), {value: %q}).dispatchEvent(new Event("change"))`, text))
	}
	const log = `document.getElementById("log").textContent`
	ann, bob := open("ann & co"), open("bob")
	for _, p := range []*page{ann, bob} { // a module of another origin: it takes a moment until the page listens
		p.wait(`typeof document.getElementById("say").onchange`, "function")
	}
	say(ann, "hello")
	for _, p := range []*page{ann, bob} {
		p.wait(log, "hello\n")
	}
	say(bob, "hello yourself")
	ann.wait(log, "hello\nhello yourself\n")
}

// startQuickstart starts the program, and returns its address. It ends with the test.
func startQuickstart(t *testing.T) (addr string) {
	t.Helper()
	cmd := exec.Command(build(t, "quickstart"), "-addr", "127.0.0.1:0")
	stderr, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		kill := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if said := regexp.MustCompile(`listening on ws://(\S+)/ws`).FindStringSubmatch(lines.Text()); said != nil {
			go func() { _, _ = io.Copy(io.Discard, stderr) }() // the program is not to wait for who reads
			return said[1]
		}
	}
	t.Fatalf("the program did not say where it is: %v", lines.Err())
	return ""
}
