package others

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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
	flagCloses   = flag.Int("closes", 10, "pages that go away, in each way")
)

const (
	patience  = 30 * time.Second // bounds failures
	heartbeat = time.Second      // so a client takes its connection for dead after 2.5 s
	numbers   = 400              // each way
)

// usual are the defaults of connect, where a talk has shorter waits.
var usual = plan{"base": 500, "cap": 30_000, "background": true}

// clientjs is where the JavaScript client is.
var clientjs = filepath.Join("..", "..")

// A browser can be told what to do.
type browser interface {
	use(t *testing.T) // is what fails from now on
	open(url string) tab
	navigate(t tab, url string)
	eval(t tab, expression string) string // its value, as JSON
	back(t tab)
	reload(t tab)
	close(t tab)
	front(t tab)
}

type (
	tab    string
	params map[string]any
	plan   = lossless.Plan
)

func TestFirefox(t *testing.T) {
	f := startFirefox(t)
	stories(t, f)
	t.Run("Offline", func(t *testing.T) { offline(t, f) })
}

func TestWebKit(t *testing.T) { stories(t, startWebKit(t)) } // it can't be told to be offline

func stories(t *testing.T, b browser) {
	for _, story := range []struct {
		name string
		run  func(t *testing.T, b browser)
	}{{"Proof", proof}, {"BackForward", backForward}, {"Reload", reload}, {"OldServer", oldServer}, {"Bye", bye}} {
		t.Run(story.name, func(t *testing.T) {
			b.use(t)
			story.run(t, b)
		})
	}
}

// proof is the proof that nothing is lost, of a page and a worker.
func proof(t *testing.T, b browser) {
	p := lossless.New(t, clientjs, wspulse.WithHeartbeat(100*time.Millisecond, 2*time.Second))
	clients := []string{"", "Worker"}
	messages := *flagMessages / len(clients)
	quit := make(chan struct{})
	var faulty sync.WaitGroup
	defer faulty.Wait()
	end := sync.OnceFunc(func() { close(quit) })
	defer end()
	var tabs []tab
	for i, worker := range clients {
		network := p.NewNetwork()
		tabs = append(tabs, b.open(p.TalkURL(network.Plan(fmt.Sprint(i), messages, *flagLength, plan{"worker": worker,
			"options": plan{"background": true}}))))
		wait(t, b, tabs[i], "globalThis.talk?.id > ''", true)
		pause := *flagLength * time.Duration(len(clients)) / time.Duration(*flagFaults) / 2
		faulty.Go(func() { network.Suffer(lossless.BlackHole, pause, quit) })
	}
	for _, tab := range tabs {
		b.front(tab)
		p.Judge(finish(t, b, tab), messages, messages)
	}
	end()
	faulty.Wait()
	p.JudgeMetrics(*flagFaults)
	t.Logf("%d messages each way; %s", len(clients)*messages, p.Summary())
	for _, tab := range tabs {
		b.close(tab)
	}
}

// A story is a server, the network before it, and a page.
type story struct {
	*lossless.Proof
	network *lossless.Network
	b       browser
	tab     tab
}

func begin(t *testing.T, b browser, length time.Duration, more plan) *story {
	t.Helper()
	s := &story{Proof: lossless.New(t, clientjs, wspulse.WithHeartbeat(heartbeat, 10*heartbeat)), b: b}
	s.network = s.NewNetwork()
	s.tab = b.open(s.TalkURL(s.network.Plan("", numbers, length, more)))
	wait(t, b, s.tab, "globalThis.talk?.sent > 20 && talk.down.next > 20", true)
	return s
}

// judge waits until the talk is complete. Nothing may be lost or doubled.
func (s *story) judge(t *testing.T) {
	t.Helper()
	talk := finish(t, s.b, s.tab)
	s.Judge(talk, numbers, numbers)
	s.JudgeMetrics(0)
	t.Logf("%+v, events %s, %v; %s", talk, s.b.eval(s.tab, "events"), s.Session(talk.ID).Journal, s.Summary())
	s.b.close(s.tab)
}

// backForward leaves a page, comes back, and says whether the page was kept.
func backForward(t *testing.T, b browser) {
	s := begin(t, b, 3*time.Second, plan{"keep": true, "options": usual})
	b.eval(s.tab, "globalThis.mark = 1")
	b.navigate(s.tab, s.Site+"/elsewhere.html")
	<-time.After(time.Second)
	t.Logf("meanwhile: %+v", s.Sessions())
	b.back(s.tab)
	wait(t, b, s.tab, "!!globalThis.talk?.client", true)
	t.Logf("kept: %s", b.eval(s.tab, "globalThis.mark === 1"))
	s.judge(t)
}

// reload hands the session to the same page, in the storage of its tab.
func reload(t *testing.T, b browser) {
	s := begin(t, b, 3*time.Second, plan{"keep": true, "options": usual})
	for range 3 {
		b.eval(s.tab, "globalThis.old = true")
		b.reload(s.tab)
		wait(t, b, s.tab, "[globalThis.old ?? false, globalThis.talk?.client?.connected ?? false]", []bool{false, true})
	}
	s.judge(t)
}

// offline has a page lose its connection while it is offline. When the network is back it dials at once, long before its
// time. A socket that is open when Firefox is told to be offline stays open.
func offline(t *testing.T, f *firefox) {
	f.use(t)
	s := begin(t, f, 2*time.Second, plan{"options": plan{"base": 3_600_000, "cap": 3_600_000, "jitter": 0, "background": true}})
	f.offline(s.tab, true)
	wait(t, f, s.tab, "events.at(-1)", "offline")
	s.network.Kill()
	s.network.Restart()
	wait(t, f, s.tab, "talk.drops.length", 1)
	f.offline(s.tab, false)
	wait(t, f, s.tab, "talk.backs", 1)
	s.judge(t)
}

func oldServer(t *testing.T, b browser) {
	p := lossless.New(t, clientjs)
	tab := b.open(p.Site + "/talk.html")
	url, _ := json.Marshal(lossless.NewOld(t))
	wait(t, b, tab, "typeof globalThis.visit", "function")
	b.eval(tab, fmt.Sprintf("visit(%s) && 0", url))
	wait(t, b, tab, "!!globalThis.visited", true)
	var visit lossless.Visit
	if err := json.Unmarshal([]byte(b.eval(tab, "visited")), &visit); err != nil {
		t.Fatal(err)
	}
	visit.Check(t)
	b.close(tab)
}

// bye counts how often a page that goes away for good says bye. Firefox closes the sockets of a page before it tells it that
// it is left, and WebKit keeps pages that are left.
func bye(t *testing.T, b browser) {
	for _, way := range []struct {
		name  string
		byes  int // of ten, at the least
		leave func(s *story)
	}{
		{"TabClosed", 5, func(s *story) { b.close(s.tab) }},
		{"Reloaded", 0, func(s *story) { b.reload(s.tab); b.close(s.tab) }},
		{"NavigatedAway", 0, func(s *story) { b.navigate(s.tab, s.Site+"/elsewhere.html"); b.close(s.tab) }},
	} {
		t.Run(way.name, func(t *testing.T) {
			b.use(t)
			s := &story{Proof: lossless.New(t, clientjs, wspulse.WithHeartbeat(heartbeat, 10*heartbeat)), b: b}
			s.network = s.NewNetwork()
			var ids []string
			for range *flagCloses {
				s.tab = b.open(s.TalkURL(s.network.Plan("", 0, 0, plan{"options": usual})))
				wait(t, b, s.tab, "globalThis.talk?.id > ''", true)
				ids = append(ids, strings.Trim(b.eval(s.tab, "talk.id"), `"`))
				way.leave(s)
			}
			s.JudgeByes(ids, way.byes)
		})
	}
}

// finish waits until a talk is complete, and returns it.
func finish(t *testing.T, b browser, tab tab) (talk lossless.Talk) {
	t.Helper()
	wait(t, b, tab, "talk.complete", true)
	if err := json.Unmarshal([]byte(b.eval(tab, "talk")), &talk); err != nil {
		t.Fatal(err)
	}
	return talk
}

// wait waits until an expression is equal to want.
func wait(t *testing.T, b browser, tab tab, expression string, want any) {
	t.Helper()
	wanted, _ := json.Marshal(want)
	is := ""
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-tick.C {
		if is = b.eval(tab, expression); is == string(wanted) {
			return
		}
	}
	t.Fatalf("waited for %s\nto be  %s\nbut is %s\nand the talk is %s", expression, wanted, is, b.eval(tab, "globalThis.talk"))
}

// find returns the path of a program: where that variable says, or the first of the names in $PATH.
func find(t *testing.T, variable, debian string, names ...string) string {
	t.Helper()
	if path := os.Getenv(variable); path != "" {
		return path
	}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatalf("no %s: install it (on Debian: apt-get install %s)", strings.Join(names, ", "), debian)
	return ""
}

// end ends a program, by force if it does not end within ten seconds.
func end(t *testing.T, cmd *exec.Cmd) {
	force := time.AfterFunc(10*time.Second, func() {
		t.Logf("%s did not end by itself", cmd.Path)
		_ = cmd.Process.Kill()
	})
	defer force.Stop()
	_ = cmd.Process.Signal(os.Interrupt)
	_ = cmd.Wait()
}
