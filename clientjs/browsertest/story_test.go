package browsertest

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/internal/lossless"
)

// A story is a server, the network before it, and a plan for a talk through that.
type story struct {
	*lossless.Proof
	t       *testing.T
	network *lossless.Network
	plan    plan
	clients int  // through the network
	lingers bool // the network may still have a connection that the client has given up
}

type plan = lossless.Plan

const (
	numbers   = 400         // each way
	heartbeat = time.Second // so a client takes its connection for dead after 2.5 s
	ackPeriod = time.Second // how often a client acknowledges at the least
)

// newStory begins one. The talk lasts for length at the least.
func newStory(t *testing.T, length time.Duration, more plan) *story {
	t.Helper()
	p := lossless.New(t, clientjs, wspulse.WithHeartbeat(heartbeat, 10*time.Second))
	s := &story{Proof: p, t: t, network: p.NewNetwork(), clients: 1}
	s.plan = s.network.Plan("", numbers, length, more)
	return s
}

// open has a tab show the page with the talk, and waits until its client is connected.
func (s *story) open(b *tab) {
	s.t.Helper()
	b.do("open the page", chromedp.Navigate(s.TalkURL(s.plan)))
	b.wait("talk.id !== ''", true)
}

// hide has another tab in front of one.
func (s *story) hide(b *tab, browser context.Context) {
	s.t.Helper()
	other := openTab(s.t, browser)
	s.leave(other)
	other.front()
	b.wait("document.visibilityState", "hidden")
}

// leave has a tab show another page of the site.
func (s *story) leave(b *tab) {
	s.t.Helper()
	b.do("go elsewhere", chromedp.Navigate(s.Site+"/elsewhere.html"))
}

// underway waits until numbers go both ways.
func (s *story) underway(b *tab) {
	s.t.Helper()
	b.wait("talk.sent > 20 && talk.down.next > 20", true)
}

// finish waits until the talk is complete, and returns it.
func (s *story) finish(b *tab) lossless.Talk {
	s.t.Helper()
	b.wait("talk.complete", true)
	return get[lossless.Talk](b, "talk")
}

// judge waits until the talk is complete. Nothing may be lost or doubled, no client may ever have had two connections at
// once, and the session's journal must be that.
func (s *story) judge(b *tab, journal string) lossless.Talk {
	s.t.Helper()
	talk := s.finish(b)
	s.Judge(talk, s.plan["up"].(int), s.plan["down"].(int))
	s.JudgeMetrics(0)
	if most, takeovers := s.network.Most(), s.Metrics.Takeovers.Load(); !s.lingers && (most != s.clients || takeovers != 0) {
		s.t.Errorf("%d connections at once, %d takeovers", most, takeovers)
	}
	s.Await("the journal "+journal, func() bool { return fmt.Sprint(s.Session(talk.ID).Journal) == journal })
	s.t.Logf("%+v, events %s; %s", talk, b.eval("events"), s.Summary())
	return talk
}

// quote returns a string as JavaScript.
func quote(s string) string {
	text, _ := json.Marshal(s)
	return string(text)
}
