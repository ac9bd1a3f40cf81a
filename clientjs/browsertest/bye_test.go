package browsertest

import (
	"context"
	"flag"
	"testing"

	"github.com/chromedp/chromedp"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/internal/lossless"
)

var flagCloses = flag.Int("closes", 10, "pages that go away, in each way")

// TestBye counts how often a page that goes away for good says bye, so that its session ends at once. The session of one
// that does not waits for as long as the resume window.
func TestBye(t *testing.T) {
	kept, dropped := startBrowser(t), startBrowser(t, chromedp.Flag("disable-back-forward-cache", true))
	for _, way := range []struct {
		name    string
		browser context.Context
		byes    int // of ten, at the least
		leave   func(s *story, b *tab)
	}{
		{"TabClosed", kept, 8, func(_ *story, b *tab) { b.end() }},
		{"HiddenTabClosed", kept, 8, func(s *story, b *tab) {
			other := openTab(s.t, kept)
			other.front()
			b.wait("document.visibilityState", "hidden")
			b.end()
			other.end()
		}},
		{"Reloaded", kept, 8, func(_ *story, b *tab) {
			b.do("reload", chromedp.Reload())
			b.end()
		}},
		{"NavigatedAway", dropped, 8, func(s *story, b *tab) {
			s.leave(b)
			b.end()
		}},
		// Such a page may come back, until its tab is closed.
		{"NavigatedAwayAndKept", kept, 0, func(s *story, b *tab) {
			s.leave(b)
			b.end()
		}},
		{"BrowserClosed", dropped, 0, func(*story, *tab) {}},
	} {
		t.Run(way.name, func(t *testing.T) {
			p := lossless.New(t, clientjs, wspulse.WithHeartbeat(heartbeat, 10*heartbeat))
			s := &story{Proof: p, t: t, network: p.NewNetwork()}
			s.plan = s.network.Plan("", 0, 0, nil)
			var ids []string
			for range *flagCloses {
				b := openTab(t, way.browser)
				s.open(b)
				ids = append(ids, get[string](b, "talk.id"))
				way.leave(s, b)
			}
			if way.name == "BrowserClosed" {
				if err := chromedp.Cancel(way.browser); err != nil {
					t.Error(err)
				}
			}
			s.JudgeByes(ids, way.byes)
		})
	}
}
