package browsertest

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is how long a page may take to be as expected. It bounds failures: nothing waits for it to pass.
const patience = 30 * time.Second

// overall bounds all that one test does with its browser.
const overall = 4 * time.Minute

// clientjs is where the JavaScript client is.
var clientjs = filepath.Join("..")

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
// Hidden pages are throttled as they are for people.
func startBrowser(t *testing.T, more ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	options := append([]chromedp.ExecAllocatorOption{
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
		chromedp.Flag("disable-dev-shm-usage", true),
	}, more...)
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

// A tab shows pages.
type tab struct {
	t   *testing.T
	ctx context.Context
	end func() // closes it, as a click on its cross does

	mu     sync.Mutex
	errors []string // scripts that failed
	why    []string // a page was not kept when the tab left it
}

// openTab opens one in the same window as others of that context, and in front of them.
func openTab(t *testing.T, browser context.Context) *tab {
	t.Helper()
	b := &tab{t: t}
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewWindow(false), chromedp.WithListener(b.listen))
	b.ctx, b.end = ctx, cancel
	t.Cleanup(cancel)
	t.Cleanup(b.checkErrors)
	if err := chromedp.Do(ctx); err != nil { // a first call must not have a deadline: the tab lives as long
		t.Fatalf("opening a tab: %v", err)
	}
	return b
}

func (b *tab) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		b.errors = append(b.errors, e.ExceptionDetails.Text)
	case *log.EventEntryAdded:
		if e.Entry.Source == log.EntrySourceSecurity {
			b.errors = append(b.errors, e.Entry.Text)
		}
	case *page.EventBackForwardCacheNotUsed:
		for _, x := range e.NotRestoredExplanations {
			b.why = append(b.why, string(x.Reason))
		}
	}
}

func (b *tab) checkErrors() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, text := range b.errors {
		b.t.Errorf("the page had the error %q", text)
	}
}

func (b *tab) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
}

// call calls a command of the DevTools protocol.
func call[P, R any](b *tab, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	result, err := chromedp.Call(ctx, command, params)
	if err != nil {
		b.t.Fatalf("%s: %v", command.Method, err)
	}
	return result
}

// eval returns an expression's value as JSON, or the error.
func (b *tab) eval(expression string) string {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[string]("JSON.stringify("+expression+") ?? 'undefined'"))
	if err != nil {
		return err.Error()
	}
	return value
}

// get returns an expression's value.
func get[T any](b *tab, expression string) (value T) {
	b.t.Helper()
	text := b.eval(expression)
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		b.t.Fatalf("%s is %s: %v", expression, text, err)
	}
	return value
}

// wait waits until an expression is equal to want.
func (b *tab) wait(expression string, want any) {
	b.t.Helper()
	wanted, err := json.Marshal(want)
	if err != nil {
		b.t.Fatal(err)
	}
	tick := time.NewTicker(10 * time.Millisecond) // from outside: the page's own timers may sleep
	defer tick.Stop()
	is := ""
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-tick.C {
		if is = b.eval(expression); is == string(wanted) {
			return
		}
	}
	b.t.Fatalf("waited for %s\nto be  %s\nbut is %s\nand the talk is %s, the events %s", expression, wanted, is,
		b.eval("talk"), b.eval("events"))
}

// back goes back in the history of the tab. The page may be one that was kept.
func (b *tab) back() {
	b.t.Helper()
	history := call(b, page.GetNavigationHistory, cdp.Empty{})
	call(b, page.NavigateToHistoryEntry, page.NavigateToHistoryEntryParams{EntryID: history.Entries[history.CurrentIndex-1].ID})
}

// front brings the tab to the front: another one of the window is hidden then.
func (b *tab) front() {
	b.t.Helper()
	call(b, page.BringToFront, cdp.Empty{})
}
