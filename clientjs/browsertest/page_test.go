package browsertest

import (
	"slices"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/wspulse/server/internal/lossless"
)

// A page that is hidden, and then frozen for longer than a client without news waits, and longer than the time in which it
// acknowledges, goes on with its session. Chromium answers the server's pings for a frozen page, and closes its socket
// when the page goes on.
func TestFrozen(t *testing.T) {
	const frozen = max(heartbeat*5/2, ackPeriod) + time.Second
	s := newStory(t, frozen+time.Second, nil)
	browser := startBrowser(t)
	b := openTab(t, browser)
	s.open(b)
	s.underway(b)
	s.hide(b, browser)
	call(b, page.SetWebLifecycleState, page.SetWebLifecycleStateParams{State: page.SetWebLifecycleStateStateFrozen})
	b.wait("events.at(-1)", "freeze")
	ticks, id := b.eval("ticks"), get[string](b, "talk.id")
	<-time.After(frozen)
	if now := b.eval("ticks"); now != ticks {
		t.Fatalf("the page was not frozen: its timer fired %s times before, and %s times after that", ticks, now)
	}
	if journal := s.Session(id).Journal; !slices.Equal(journal, []string{"connect"}) {
		t.Errorf("while the page is frozen the session's journal is %v", journal)
	}
	call(b, page.SetWebLifecycleState, page.SetWebLifecycleStateParams{State: page.SetWebLifecycleStateStateActive})
	b.front()
	s.judge(b, "[connect drop restore]")
}

// A page that is only hidden keeps its connection. One that loses it while nobody looks does not dial, and does so at once
// when somebody looks again.
func TestHidden(t *testing.T) {
	s := newStory(t, 8*time.Second, plan{"options": plan{"base": 50}})
	browser := startBrowser(t)
	b := openTab(t, browser)
	s.open(b)
	s.underway(b)
	s.hide(b, browser)
	<-time.After(heartbeat * 3) // longer than a client without news waits
	b.wait("talk.drops", []string{})
	s.network.Kill()
	s.network.Restart()
	b.wait("talk.drops.length", 1)
	<-time.After(2 * time.Second) // of a base of 50 ms, and timers that fire once a second
	if dials := s.network.Dials(); dials != 1 {
		t.Errorf("a hidden page has dialled %d times", dials-1)
	}
	b.front()
	s.judge(b, "[connect drop restore]")
}

// While a page is offline its socket gets nothing, and is given up for want of life. When the network is back the page
// dials at once, long before its time.
func TestOffline(t *testing.T) {
	s := newStory(t, 2*time.Second, plan{"options": plan{"base": 3_600_000, "cap": 3_600_000, "jitter": 0}})
	b := openTab(t, startBrowser(t))
	offline := func(is bool) {
		rules := []*network.Conditions{}
		if is {
			rules = append(rules, &network.Conditions{Offline: true, DownloadThroughput: -1, UploadThroughput: -1})
		}
		call(b, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{MatchedNetworkConditions: rules})
		call(b, network.OverrideNetworkState, network.OverrideNetworkStateParams{Offline: is, DownloadThroughput: -1, UploadThroughput: -1})
	}
	s.open(b)
	s.underway(b)
	offline(true)
	b.wait("events.at(-1)", "offline")
	b.wait("talk.drops", []string{"wspulse: no sign of life in 2500 ms"})
	if dials := s.network.Dials(); dials != 1 {
		t.Errorf("the page has dialled %d times while it waits", dials-1)
	}
	offline(false)
	s.lingers = true // as long as it was offline, the old one could not be closed
	b.wait("events.at(-1)", "online")
	b.wait("talk.backs", 1)
	s.judge(b, "[connect drop restore]")
}

// A page that is left and comes back from the back/forward cache goes on with its session: neither an open socket nor the
// lock on a session that was handed in keeps Chromium from keeping the page. Meanwhile the session is suspended.
func TestBackForwardCache(t *testing.T) {
	s := newStory(t, 3*time.Second, plan{"keep": true})
	b := openTab(t, startBrowser(t))
	s.open(b)
	s.underway(b)
	b.do("reload", chromedp.Reload()) // so that the session is one that was handed in
	b.wait("globalThis.talk?.client?.connected ?? false", true)
	b.eval("globalThis.mark = 1")
	id := get[string](b, "talk.id")
	s.leave(b)
	<-time.After(2 * time.Second)
	if journal := s.Session(id).Journal; !slices.Equal(journal, []string{"connect", "drop", "restore", "drop"}) {
		t.Errorf("while the page is kept the session's journal is %v", journal)
	}
	b.back()
	b.wait("globalThis.mark ?? 0", 1)
	b.wait("events.includes('pageshow persisted')", true)
	s.judge(b, "[connect drop restore drop restore]")
}

// A page that is not kept says bye when it is left, and its session ends. When the user goes back, it is a page that
// begins anew, with another session.
func TestBackForwardCacheOff(t *testing.T) {
	s := newStory(t, time.Second, nil)
	s.plan = s.network.Plan("", 0, 0, nil) // or the bye may stand behind what the page does not get rid of any more
	b := openTab(t, startBrowser(t, chromedp.Flag("disable-back-forward-cache", true)))
	s.open(b)
	first := get[string](b, "talk.id")
	s.leave(b)
	s.Await("the end of the session", func() bool { return slices.Equal(s.Session(first).Journal, []string{"connect", "end"}) })
	b.back()
	b.wait("globalThis.talk?.id > '' && talk.id !== "+quote(first), true)
	s.finish(b)
	talk := get[any](b, "talk")
	t.Logf("%v, %v, not kept: %v", talk, s.Sessions(), b.why)
	if reason := s.Session(first).Reason; reason != "normal" {
		t.Errorf("the session of the page that was left has ended with %q", reason)
	}
}

// The same page hands its session to itself, in the storage of its tab: it goes on over any number of reloads, and when
// the user leaves and comes back.
func TestReload(t *testing.T) {
	s := newStory(t, 3*time.Second, plan{"keep": true})
	b := openTab(t, startBrowser(t, chromedp.Flag("disable-back-forward-cache", true)))
	s.open(b)
	s.underway(b)
	id := get[string](b, "talk.id")
	journal := "[connect"
	for range 5 {
		b.eval("globalThis.old = true")
		b.do("reload", chromedp.Reload())
		b.wait("[globalThis.old ?? false, globalThis.talk?.id ?? '', talk.client.connected]", []any{false, id, true})
		journal += " drop restore"
	}
	s.leave(b)
	b.back()
	s.judge(b, journal+" drop restore]")
}

// A tab that is a copy of another one, with its storage, does not take the session: it has one of its own.
func TestDuplicateTab(t *testing.T) {
	s := newStory(t, 2*time.Second, plan{"keep": true})
	browser := startBrowser(t, chromedp.Flag("disable-back-forward-cache", true))
	b := openTab(t, browser)
	s.open(b)
	s.underway(b)
	id := get[string](b, "talk.id")
	call(b, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: "globalThis.careless = true"})
	b.do("reload", chromedp.Reload()) // from now on the storage has a session
	b.wait("[globalThis.talk?.id ?? '', !!sessionStorage.talk]", []any{id, true})

	copied := openTab(t, browser)
	call(copied, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{
		Source: "sessionStorage.talk = " + b.eval("sessionStorage.talk")})
	copied.do("open the same page", chromedp.Navigate(get[string](b, "location.href")))
	copied.wait("globalThis.talk?.lost ?? []", []string{"conflict"})
	copied.wait("talk.client?.connected ?? false", true)
	if other := get[string](copied, "talk.client.id"); other == id {
		t.Errorf("the copy has the session %s", id)
	}
	b.front()
	s.clients = 2
	s.judge(b, "[connect drop restore]")
}

// A proxy that is killed, and one that listens in its place later.
func TestProxyRestart(t *testing.T) {
	s := newStory(t, 3*time.Second, nil)
	b := openTab(t, startBrowser(t))
	s.open(b)
	for range 3 {
		s.underway(b)
		drops := get[int](b, "talk.drops.length")
		s.network.Kill()
		b.wait("talk.drops.length", drops+1)
		<-time.After(200 * time.Millisecond) // some dials are refused
		s.network.Restart()
		b.wait("talk.backs", drops+1)
	}
	s.judge(b, "[connect drop restore drop restore drop restore]")
}

// At a server that does not know wspulse.v1 a page says at once what to do, and does without it if told so.
func TestOldServer(t *testing.T) {
	s := newStory(t, 0, nil)
	b := openTab(t, startBrowser(t))
	s.open(b)
	b.eval("visit(" + quote(lossless.NewOld(t)) + ") && 0")
	b.wait("!!globalThis.visited", true)
	get[lossless.Visit](b, "visited").Check(t)
}
