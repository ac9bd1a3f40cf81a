package browsertest

import (
	"path/filepath"
	"testing"
)

// The expressions that read the poll's page.
const (
	pollState = `document.getElementById("state").textContent`
	pollHere  = `Array.from(document.querySelectorAll("li"), (item) => item.firstChild.textContent.trim())`
	pollReply = `document.getElementById("reply").textContent`
	pollYes   = `document.querySelector("#yes b").textContent`
)

// TestPoll is a vote with a tab too many, a refusal and a kick whose reasons the page shows, and an end after which what
// was voted is there again.
func TestPoll(t *testing.T) {
	program, votes := build(t, "poll"), filepath.Join(t.TempDir(), "votes.json")
	s := startServer(t, program, "127.0.0.1:0", "-key", "sesame", "-votes", votes)
	browser := startBrowser(t)
	enter := func(name, key string) *page {
		p := openPage(t, browser, name, s.url+"/lunch")
		p.wait(pollState, "say who you are")
		p.eval(`document.getElementById("name").value = "` + name + `"`)
		p.eval(`document.getElementById("key").value = "` + key + `"`)
		p.eval(`document.querySelector("form").requestSubmit()`)
		p.wait(pollState, "connected")
		return p
	}
	ann, bob := enter("ann", "sesame"), enter("Bób & co", "")
	second := bob.duplicate()
	ann.wait(pollHere, []string{"ann, admin", "Bób & co, 2 tabs"})

	bob.eval(`document.getElementById("yes").click()`)
	bob.wait(pollReply, "You have chosen yes. Votes so far: 1.")
	for _, p := range []*page{ann, second} {
		p.wait(pollYes, "1")
	}
	ann.shoot("poll.png")

	bob.eval(`(window.prompt = () => "ha", document.querySelector("li button").click())`)
	bob.wait(pollReply, "only an admin kicks")
	ann.eval(`(window.prompt = () => "no shouting", document.querySelectorAll("li button")[1].click())`)
	for _, p := range []*page{bob, second} {
		p.wait(pollState, "You were kicked out: no shouting")
	}
	ann.wait(pollReply, "Bób & co is out. Tabs closed: 2.")
	ann.wait(pollHere, []string{"ann, admin"})
	bob.shoot("poll-kicked.png")

	addr := s.addr()
	s.stop()
	ann.wait(pollState, "no connection; trying again…")
	startServer(t, program, addr, "-key", "sesame", "-votes", votes)
	ann.wait(pollState, "connected")
	ann.wait(pollHere, []string{"ann, admin"})
	ann.wait(pollYes, "1")
}
