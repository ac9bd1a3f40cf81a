package browsertest

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// The expressions that read the page of the chat. All but the first are about the room that it shows.
const (
	state    = `document.getElementById("state-text").textContent`
	shown    = `document.querySelector(".panel:not([hidden])")`
	messages = `Array.from(` + shown + `.querySelectorAll(
		".log:not(.outbox) :is(.message, .announcement, .private) .text"), (text) => text.textContent)`
	notes   = `Array.from(` + shown + `.querySelectorAll(".note"), (note) => note.textContent.replace(/[\d.]+ s/, "… s"))`
	wrongs  = `Array.from(` + shown + `.querySelectorAll(".error"), (error) => error.textContent)`
	tallies = `Array.from(` + shown + `.querySelectorAll(".tally .text"), (tally) => tally.textContent)`
	outbox  = `Array.from(` + shown + `.querySelectorAll(".outbox li"), (item) =>
		item.querySelector(".text").textContent + ": " + item.querySelector(".fate").firstChild.textContent)`
	pending = `document.getElementById("pending").textContent`
	people  = `Array.from(document.querySelectorAll("#people li"), (person) =>
		Array.from(person.querySelectorAll(".who, .badge"), (part) => part.textContent).join(" "))`
	tabs    = `Array.from(document.querySelectorAll("[role=tab]"), (tab) => tab.innerText.replace(/\s+/g, " ").trim())`
	refusal = `document.getElementById("refusal").textContent`
	ending  = `document.getElementById("ending").hidden || document.getElementById("ending-text").textContent`
	focused = `document.activeElement.id || document.activeElement.ariaLabel || document.activeElement.tagName`
)

// online has the page not wait for the time to try again.
const online = `dispatchEvent(new Event("online"))`

// comeIn fills in the form of the entrance, and waits until the page is connected.
func (p *page) comeIn(name string) {
	p.t.Helper()
	p.enter("name", name)
	p.press("\r")
	p.wait(state, "Connected")
}

// join joins a room by the dialog.
func (p *page) join(room string) {
	p.t.Helper()
	p.click("open-join")
	p.enter("room", room)
	p.press("\r")
	p.wait(`document.getElementById("join").open`, false)
	p.click("tab-" + room)
}

func (p *page) say(text string) {
	p.t.Helper()
	p.enter("text", text)
	p.press("\r")
}

// get reads a value of the page.
func get[T any](p *page, expression string) (v T) {
	p.t.Helper()
	if value := p.eval(expression); json.Unmarshal([]byte(value), &v) != nil {
		p.t.Fatalf("%s: %s is %s", p.who, expression, value)
	}
	return v
}

// sum adds up the numbers in texts of the page.
func sum(p *page, texts, pattern string) (n int) {
	p.t.Helper()
	number := regexp.MustCompile(pattern)
	for _, text := range get[[]string](p, texts) {
		if found := number.FindStringSubmatch(text); found != nil {
			i, err := strconv.Atoi(strings.ReplaceAll(found[1], ",", ""))
			if err != nil {
				p.t.Fatal(err)
			}
			n += i
		}
	}
	return n
}

// pictures takes pictures in a window of each size, in light and in dark, and makes sure that nothing is cut off.
func (p *page) pictures(name string) {
	p.t.Helper()
	for _, width := range []int64{1280, 390} {
		for _, scheme := range []string{"light", "dark"} {
			p.look(width, 800, scheme)
			p.wait(`document.documentElement.scrollWidth <= innerWidth && innerWidth`, width)
			p.shoot(fmt.Sprintf("%s-%d-%s.png", name, width, scheme))
		}
	}
	p.look(1280, 800, "light")
}
