package browsertest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is how long a page may take to show what is expected. It bounds failures: nothing waits for it to pass.
const patience = 20 * time.Second

// overall bounds the whole test: when it has passed, the browser ends, and every wait with it.
const overall = 170 * time.Second

// findChromium returns the path of Chromium, or fails the test with advice.
func findChromium(t *testing.T) string {
	t.Helper()
	names := []string{"chromium", "chromium-browser", "google-chrome"}
	if name := os.Getenv("CHROMIUM"); name != "" {
		names = []string{name}
	}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatalf("no Chromium: looked for %s. Install it (on Debian: apt-get install chromium), or set CHROMIUM to its path.",
		strings.Join(names, ", "))
	return ""
}

// startBrowser starts headless Chromium, and returns the context in which pages can be opened. It ends with the test.
func startBrowser(t *testing.T) context.Context {
	t.Helper()
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(findChromium(t)),
		chromedp.UserDataDir(t.TempDir()),
		chromedp.Headless,
		chromedp.NoFirstRun,
		chromedp.NoDefaultBrowserCheck,
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-features", "BackForwardCache"), // a page that is left is gone
		chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("disable-background-timer-throttling", true), // of the page that is not in front
		chromedp.Flag("disable-backgrounding-occluded-windows", true),
		chromedp.Flag("disable-renderer-backgrounding", true),
		chromedp.Flag("force-color-profile", "srgb"),
		chromedp.Flag("hide-scrollbars", true),
	}
	if os.Getuid() == 0 {
		options = append(options, chromedp.Flag("no-sandbox", true)) // Chromium's sandbox refuses root
	}
	bound, cancel := context.WithTimeout(context.Background(), overall)
	t.Cleanup(cancel)
	allocator, end := chromedp.NewExecAllocator(bound, options...)
	t.Cleanup(end)
	browser, leave := chromedp.NewContext(allocator, chromedp.WithErrorf(t.Logf))
	t.Cleanup(leave)
	if err := chromedp.Do(browser); err != nil {
		t.Fatalf("starting %s: %v", findChromium(t), err)
	}
	return browser
}

// A page is a tab in a browser context of its own, as if it were another person's.
type page struct {
	t   *testing.T
	who string
	ctx context.Context

	mu     sync.Mutex
	errors []string // what the console shows as errors
	away   bool     // the server may be away: requests that fail are none
}

func openPage(t *testing.T, browser context.Context, who, url string) *page {
	t.Helper()
	p := &page{t: t, who: who}
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext(), chromedp.WithListener(p.listen))
	t.Cleanup(cancel)
	p.ctx = ctx
	t.Cleanup(p.checkErrors)
	if err := chromedp.Do(ctx); err != nil { // a first call must not have a deadline: the page lives as long
		t.Fatalf("%s: opening a page: %v", who, err)
	}
	p.look(1280, 800, "light")
	p.do("open "+url, chromedp.Navigate(url))
	return p
}

// look has the page in a window of that size, and the person like a color scheme, "light" or "dark".
func (p *page) look(width, height int64, scheme string) {
	p.t.Helper()
	features := []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme},
		{Name: "prefers-reduced-motion", Value: "reduce"}, // so that pictures are the same each time
	}
	like := chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features})
		return err
	})
	p.do("look", chromedp.EmulateViewport(width, height), like)
}

func (p *page) listen(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			text += " " + e.ExceptionDetails.Exception.Description
		}
		p.errors = append(p.errors, text)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			p.errors = append(p.errors, fmt.Sprintf("console.%s %s", e.Type, e.Args[0].Value))
		}
	case *log.EventEntryAdded:
		away := p.away && e.Entry.Source == log.EntrySourceNetwork
		if e.Entry.Level == log.EntryLevelError && !away || e.Entry.Source == log.EntrySourceSecurity {
			p.errors = append(p.errors, e.Entry.Text)
		}
	}
}

// mayBeAway has the page not complain of requests that fail: the server is going to be away.
func (p *page) mayBeAway() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away = true
}

func (p *page) checkErrors() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, text := range p.errors {
		p.t.Errorf("%s: the page had the error %q", p.who, text)
	}
}

func (p *page) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.t.Fatalf("%s: %s: %v\nthe page shows: %s", p.who, what, err, p.eval("document.body.innerText"))
	}
}

// click moves the mouse to the middle of an element, and clicks.
func (p *page) click(id string) {
	p.t.Helper()
	p.do("click "+id, chromedp.Click(chromedp.ID(id), chromedp.NodeVisible, chromedp.NodeEnabled))
}

// enter replaces what is in a field with keys that are pressed.
func (p *page) enter(id, text string) {
	p.t.Helper()
	p.click(id)
	p.do("type into "+id, chromedp.KeyEvent("a", chromedp.KeyModifiers(chromedp.ModifierCtrl)), chromedp.KeyEvent(text))
}

// press presses keys, one after the other, wherever the focus is.
func (p *page) press(keys string) {
	p.t.Helper()
	p.do("press keys", chromedp.KeyEvent(keys))
}

// eval returns an expression's value as JSON, or the error.
func (p *page) eval(expression string) string {
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[string]("JSON.stringify("+expression+") ?? 'undefined'"))
	if err != nil {
		return err.Error()
	}
	return value
}

// wait waits until an expression is equal to want.
func (p *page) wait(expression string, want any) {
	p.t.Helper()
	wanted, err := json.Marshal(want)
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(p.ctx, patience+5*time.Second)
	defer cancel()
	same := fmt.Sprintf("JSON.stringify(%s) === JSON.stringify(%s)", expression, wanted)
	_, err = chromedp.Run(ctx, chromedp.Poll[bool](same,
		chromedp.WithPollingInterval(30*time.Millisecond), chromedp.WithPollingTimeout(patience)))
	if err != nil {
		p.t.Fatalf("%s: waited for %s\nto be  %s\nbut is %s (%v)", p.who, expression, wanted, p.eval(expression), err)
	}
}

// shoot leaves a picture of the page.
func (p *page) shoot(name string) {
	p.t.Helper()
	directory := os.Getenv("SCREENSHOTS")
	if directory == "" {
		directory = p.t.ArtifactDir()
	}
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	picture, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.MkdirAll(directory, 0o755)
	}
	path := filepath.Join(directory, name)
	if err == nil {
		err = os.WriteFile(path, picture, 0o644)
	}
	if err != nil {
		p.t.Fatalf("%s: screenshot: %v", p.who, err)
	}
	p.t.Logf("screenshot of %s: %s (%d bytes)", p.who, path, len(picture))
}

// reload presses the reload button.
var reload = chromedp.Reload()

// duplicate opens the page in another tab with a copy of this tab's session storage, as "Duplicate tab" does.
func (p *page) duplicate() *page {
	p.t.Helper()
	second := &page{t: p.t, who: p.who + "'s second tab"}
	ctx, cancel := chromedp.NewContext(p.ctx, chromedp.WithListener(second.listen))
	p.t.Cleanup(cancel)
	second.ctx = ctx
	p.t.Cleanup(second.checkErrors)
	if err := chromedp.Do(ctx); err != nil {
		p.t.Fatalf("%s: opening a page: %v", second.who, err)
	}
	url, storage := "", ""
	if err := json.Unmarshal([]byte(p.eval("location.href")), &url); err != nil {
		p.t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(p.eval("JSON.stringify(sessionStorage)")), &storage); err != nil {
		p.t.Fatal(err)
	}
	second.do("open", chromedp.Navigate(url))
	second.eval("Object.assign(sessionStorage, " + storage + ")")
	second.do("reload", reload)
	return second
}
