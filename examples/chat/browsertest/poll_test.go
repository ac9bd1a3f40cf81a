package browsertest

import (
	"path/filepath"
	"testing"
)

// The expressions that read the poll's page.
const (
	pollState = `document.getElementById("state").textContent`
	pollHere  = `Array.from(document.querySelectorAll("li"), (item) => item.firstChild.textContent.trim())`
	pollYes   = `document.querySelector("[data-choice=yes] b").textContent`
)

// TestPoll is a vote with a tab too many, and a kick whose reason the page shows, also when it comes back.
func TestPoll(t *testing.T) {
	s := startServer(t, build(t, "poll"), "127.0.0.1:0", "-key", "sesame", "-votes", filepath.Join(t.TempDir(), "votes"))
	browser := startBrowser(t)
	enter := func(name, key string) *page {
		p := openPage(t, browser, name, s.url+"/lunch")
		p.wait(pollState, "log in first")
		p.eval(`document.querySelector("[name=name]").value = "` + name + `"`)
		p.eval(`document.querySelector("[name=key]").value = "` + key + `"`)
		p.eval(`document.querySelector("form").requestSubmit()`)
		p.wait(pollState, "connected")
		return p
	}
	ann, bob := enter("ann", "sesame"), enter("bob", "")
	second := bob.duplicate()
	ann.wait(pollHere, []string{"ann, admin", "bob, 2 tabs"})

	bob.eval(`document.querySelector("[data-choice=yes]").click()`)
	bob.wait(`document.getElementById("mine").textContent`, "You have chosen yes.")
	for _, p := range []*page{ann, second} {
		p.wait(pollYes, "1")
	}
	ann.shoot("poll.png")

	bob.eval(`(window.prompt = () => "ha", document.querySelector("li button").click())`)
	bob.wait(pollState, "only an admin kicks")
	ann.eval(`(window.prompt = () => "no shouting", document.querySelectorAll("li button")[1].click())`)
	for _, p := range []*page{bob, second} {
		p.wait(pollState, "You were kicked out: no shouting")
	}
	ann.wait(pollHere, []string{"ann, admin"})
	bob.do("reload", reload)
	bob.wait(pollState, "You were kicked out: no shouting")
	bob.shoot("poll-kicked.png")
}
