package browsertest

import (
	"flag"
	"fmt"
	"sync"
	"testing"
	"time"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/internal/lossless"
)

var (
	flagMessages = flag.Int("messages", 1000, "messages in each direction, of all clients together")
	flagFaults   = flag.Int("faults", 20, "faults at the least")
	flagLength   = flag.Duration("length", 3*time.Second, "time over which the messages are spread")
)

const (
	pingPeriod = 100 * time.Millisecond // so a client takes its connection for dead after 250 ms,
	pongWait   = 2 * time.Second        // long before the server does
)

// TestProof is the proof that nothing is lost: pages and workers in Chromium, with faults at random bytes between them
// and the server.
func TestProof(t *testing.T) {
	p := lossless.New(t, clientjs, wspulse.WithHeartbeat(pingPeriod, pongWait))
	browser := startBrowser(t)
	clients := []string{"", "", "Worker", "SharedWorker"}
	messages := *flagMessages / len(clients)
	quit := make(chan struct{})
	var faulty sync.WaitGroup
	var stories []*story
	var tabs []*tab
	for i, worker := range clients {
		s := &story{Proof: p, t: t, network: p.NewNetwork()}
		s.plan = s.network.Plan(fmt.Sprint(i), messages, *flagLength, plan{"worker": worker, "options": plan{"background": i == 1}})
		b := openTab(t, browser)
		s.open(b)
		stories, tabs = append(stories, s), append(tabs, b)
		kind := lossless.Fault(i) + lossless.BlackHole
		pause := *flagLength * time.Duration(len(clients)) / time.Duration(*flagFaults) / 2
		faulty.Go(func() { s.network.Suffer(kind%lossless.Kinds, pause, quit) })
	}
	defer faulty.Wait()
	var once sync.Once
	end := func() { once.Do(func() { close(quit) }) }
	defer end()
	for i, b := range tabs {
		b.front() // the others are hidden, and have timers that are slow
		talk := stories[i].finish(b)
		t.Logf("%q: %+v", clients[i], talk)
		p.Judge(talk, messages, messages)
	}
	end()
	faulty.Wait()
	p.JudgeMetrics(*flagFaults)
	t.Logf("%d messages each way; %s", len(clients)*messages, p.Summary())
}
