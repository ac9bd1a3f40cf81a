package browsertest

import (
	"slices"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestChat is stories in one browser, each with a chat and with people of its own.
func TestChat(t *testing.T) {
	program := build(t, "chat")
	browser := startBrowser(t)
	start := func(t *testing.T, args ...string) *server {
		return startServer(t, program, "127.0.0.1:0", append([]string{"-key", key}, args...)...)
	}
	open := func(t *testing.T, name string, s *server) *page {
		p := openPage(t, browser, name, s.url)
		p.comeIn(name)
		return p
	}

	t.Run("TalkDropAndComeBack", func(t *testing.T) {
		s := start(t)
		network := newRelay(t, s)
		ann := openPage(t, browser, "ann", network.url)
		ann.pictures("entrance")
		ann.comeIn("ann")
		bob := open(t, "bob", s)
		ann.wait(people, []string{"ann you", "bob"})
		ann.join("harbour")
		ann.wait(people, []string{"ann you"})
		bob.join("harbour")
		ann.wait(people, []string{"ann you", "bob"})

		talk := []string{}
		say := func(p *page, text string) {
			p.say(text)
			talk = append(talk, text)
			ann.wait(messages, talk)
			bob.wait(messages, talk)
		}
		say(ann, "Morning, Bob! Has the ferry left?")
		say(bob, "Not yet, they are still loading.")

		ann.mayBeAway()
		network.setCut(true)
		ann.wait(notes, []string{"bob joined", "Connection lost…"})
		ann.wait(state, "Coming back…")
		bob.wait(people, []string{"ann away", "bob you"})
		ann.say("Did you get this?")
		ann.wait(outbox, []string{"Did you get this?: sending…"})
		ann.wait(pending+`.endsWith(" on the way")`, true)
		ann.shoot("chat-offline.png")
		for _, text := range []string{"The captain waves.", "Two more cars,", "and they cast off at nine."} {
			bob.say(text)
			talk = append(talk, text)
		}
		bob.wait(messages, talk)
		ann.wait(messages, talk[:2])

		network.setCut(false)
		ann.eval(online)
		talk = append(talk, "Did you get this?")
		ann.wait(messages, talk)
		ann.wait(state, "Connected")
		ann.wait(notes, []string{"bob joined", "Connection lost, and back after … s: nothing missed."})
		ann.wait(outbox, []string{})
		ann.wait(pending, "")
		bob.wait(messages, talk)
		bob.wait(people, []string{"ann", "bob you"})
		say(bob, "I did. See you on board!")
		s.post("/rooms/harbour/announce", "The ferry to the islands leaves at 9:00 from pier 2.")
		talk = append(talk, "The ferry to the islands leaves at 9:00 from pier 2.")
		ann.wait(messages, talk)

		another := newRelay(t, s)
		eve := openPage(t, browser, "eve", another.url)
		eve.comeIn("eve")
		eve.say("Anybody for breakfast?")
		eve.join("harbour")
		ann.wait(people, []string{"ann you", "bob", "eve"})
		eve.mayBeAway()
		another.setCut(true)
		ann.wait(people, []string{"ann you", "bob", "eve away"})
		ann.wait(tabs, []string{"lobby 1 unread", "harbour"})
		ann.shoot("chat.png")
		ann.pictures("chat")
	})

	t.Run("DropByHand", func(t *testing.T) {
		s := start(t)
		ann, bob := open(t, "ann", s), open(t, "bob", s)
		ann.wait(notes, []string{"You are in.", "bob joined"})
		ann.click("drop")
		ann.wait(`/^in \d s$/.test(document.getElementById("countdown").textContent)`, true)
		ann.wait(notes, []string{"You are in.", "bob joined", "Connection lost…"})
		ann.click("now")
		ann.wait(notes, []string{"You are in.", "bob joined", "Connection lost, and back after … s: nothing missed."})
		ann.wait(state, "Connected")
		ann.wait(`document.getElementById("now").hidden`, true)
		bob.click("drop") // and do nothing
		bob.wait(notes, []string{"You are in.", "Connection lost…"})
		bob.wait(notes, []string{"You are in.", "Connection lost, and back after … s: nothing missed."})
		bob.wait(`Number(/after ([\d.]+) s/.exec(document.body.innerText)[1]) >= 5`, true)
		ann.wait(people, []string{"ann you", "bob"})
	})

	t.Run("TwoRooms", func(t *testing.T) {
		s := start(t)
		ann, bob := open(t, "ann", s), open(t, "bob", s)
		ann.click("open-join")
		for room, why := range map[string]string{
			"two words":                  "The room may have letters, digits, - and _, and begins with a letter or digit.",
			"abcdefghijklmnopqrstuvwxyz": "The room must have 1 to 24 characters.",
		} {
			ann.enter("room", room)
			ann.press("\r")
			ann.wait(`document.getElementById("join-error").textContent`, why)
		}
		ann.shoot("chat-refused.png")
		ann.press("\x1b") // Escape
		ann.wait(`document.getElementById("join").open`, false)
		ann.wait(tabs, []string{"lobby"})
		for _, room := range []string{"harbour", "café", "b-2", "b_3"} {
			ann.join(room)
		}
		ann.click("open-join")
		ann.enter("room", "b5")
		ann.press("\r")
		ann.wait(`document.getElementById("join-error").textContent`, "Nobody is in more than 5 rooms; leave one first.")
		ann.press("\x1b")

		ann.click("tab-harbour")
		ann.enter("text", "a draft")
		ann.click("tab-lobby")
		ann.wait(`document.getElementById("text").value`, "")
		bob.join("harbour")
		bob.say("in the harbour")
		ann.wait(tabs, []string{"lobby", "harbour 1 unread", "café", "b-2", "b_3"})
		ann.wait("document.title", "(1) lobby · wspulse chat")
		bob.click("tab-lobby")
		bob.say("in the lobby")
		ann.wait(messages, []string{"in the lobby"})
		ann.click("tab-harbour")
		ann.wait(messages, []string{"in the harbour"})
		ann.wait(tabs, []string{"lobby", "harbour", "café", "b-2", "b_3"})
		ann.wait(`document.getElementById("text").value`, "a draft")

		ann.eval(shown + `.querySelector("button").click()`) // Leave room
		ann.wait(tabs, []string{"lobby", "café", "b-2", "b_3"})
		bob.click("tab-harbour")
		bob.wait(people, []string{"bob you"})
		bob.say("anybody?")
		ann.say("not me")
		bob.wait(tabs, []string{"lobby 1 unread", "harbour"})
		ann.wait(messages, []string{"in the lobby", "not me"})
	})

	t.Run("FreezeAndMissSomething", func(t *testing.T) {
		s := start(t)
		ann, bob := open(t, "ann", s), open(t, "bob", s)
		ann.wait(people, []string{"ann you", "bob"})
		ann.click("freeze")
		ann.wait(state, "Frozen")
		bob.say("Are you there?")
		ann.say("I write, and read nothing.")
		ann.wait(outbox, []string{"I write, and read nothing.: delivered"})
		count := func(n int) { // which is more than what waits for ann has room for
			bob.click("count")
			bob.click("count") // is refused
			bob.wait(wrongs+`.length`, n)
			bob.wait(wrongs+`.at(-1)`, "Somebody is counting already; wait for the end.")
			bob.wait(`Array.from(document.querySelectorAll("progress"), (bar) => bar.value)`, slices.Repeat([]int{3000}, n))
		}
		count(1)
		ann.say("And now?")
		bob.wait(messages, []string{"Are you there?", "I write, and read nothing.", "And now?"})
		count(2) // by which she does not hear what she has said
		ann.wait(messages, []string{})
		ann.shoot("chat-frozen.png")

		ann.click("freeze")
		ann.wait(state, "Connected")
		ann.wait(outbox, []string{})
		ann.wait(messages, []string{"Are you there?", "I write, and read nothing.", "And now?"})
		ann.wait(`Array.from(document.querySelectorAll("progress"), (bar) => bar.value).at(-1)`, 3000)
		for _, p := range []*page{ann, bob} {
			came := sum(p, tallies, `^([\d,]+) of 3,000 came in order`)
			dropped := sum(p, notes, `^The server dropped ([\d,]+) message`)
			others := came + dropped - 6000 // that were dropped
			missing := sum(p, tallies, `, ([\d,]+) missing$`)
			if others < 0 || others > 10 || p == ann && dropped < 1000 || missing != 6000-came {
				t.Errorf("%s: %d numbers came, %d are missing, and the server says that it dropped %d messages",
					p.who, came, missing, dropped)
			}
			p.wait(`document.body.innerText.includes("out of order")`, false)
		}
		ann.shoot("chat-gap.png")
		bob.say("Welcome back.")
		ann.wait(messages+`.at(-1)`, "Welcome back.")
	})

	t.Run("TextStaysText", func(t *testing.T) {
		s := start(t)
		ann, bob := openPage(t, browser, "ann", s.url), open(t, "bob", s)
		ann.enter("name", "<img/src=x>")
		ann.press("\r")
		ann.wait(refusal, "The name may have letters, digits, - and _, and begins with a letter or digit.")
		ann.comeIn("ann")
		attacks := []string{
			`<img src=x onerror="window.attacked = true">`,
			`<script>window.attacked = true</script>`,
			`&lt;b&gt; javascript:alert(1)`,
		}
		for _, attack := range attacks {
			ann.say(attack)
		}
		bob.wait(messages, attacks)
		s.post("/rooms/lobby/announce", "<b id=attack>bold</b>")
		for _, p := range []*page{ann, bob} {
			p.wait(messages, append(attacks, "<b id=attack>bold</b>"))
			p.wait(`document.querySelectorAll(".log :is(img, script, b), #attack").length`, 0)
			p.wait(`typeof window.attacked`, "undefined")
		}
		s.post("/users/bob/send", "Only you read this")
		bob.wait(messages, append(attacks, "<b id=attack>bold</b>", "Only you read this"))
		ann.wait(messages, append(attacks, "<b id=attack>bold</b>"))
	})

	t.Run("NameTakenAndTwoTabs", func(t *testing.T) {
		s := start(t)
		ann, mallory := open(t, "ann", s), openPage(t, browser, "mallory", s.url)
		mallory.enter("name", "ann")
		mallory.press("\r")
		mallory.wait(refusal, "Somebody else has this name; choose another.")
		mallory.comeIn("mallory")
		second := ann.duplicate()
		second.wait(`document.getElementById("name").value`, "ann")
		second.comeIn("ann")
		for _, p := range []*page{ann, second} {
			p.wait(people, []string{"ann you 2 tabs", "mallory"})
		}
		second.say("from the other tab")
		ann.wait(messages, []string{"from the other tab"})
		second.click("leave")
		second.wait(ending, "You have left.")
		ann.wait(people, []string{"ann you", "mallory"})
		mallory.wait(notes, []string{"You are in."}) // a person is one, in however many tabs

		ann.click("leave")
		mallory.wait(notes, []string{"You are in.", "ann left"})
		ann.click("rejoin")
		ann.wait(state, "Connected")
		ann.wait(messages, []string{"from the other tab"})
		mallory.wait(notes, []string{"You are in.", "ann left", "ann joined"})
	})

	t.Run("KickedDoesNotComeBackUninvited", func(t *testing.T) {
		s := start(t)
		ann, bob := open(t, "ann", s), open(t, "bob", s)
		ann.wait(people, []string{"ann you", "bob"})
		ann.eval(`document.querySelector("[aria-label='Kick bob']").focus()`)
		ann.press("\r")
		ann.enter("reason", "no shouting")
		ann.enter("key", "open it")
		ann.press("\r")
		ann.wait(`document.getElementById("kick-error").textContent`, "That is not the key of admins.")
		ann.enter("key", key)
		ann.press("\r")
		bob.wait(ending, "You were kicked out: no shouting.")
		bob.wait(state, "Not connected")
		bob.shoot("chat-kicked.png")
		ann.wait(notes, []string{"You are in.", "bob joined", "You have kicked bob out (1 tab).", "bob left"})
		bob.do("reload the page", reload) // not even then
		bob.wait(`document.getElementById("chat").hidden`, true)
		bob.comeIn("bob")
		ann.wait(people, []string{"ann you", "bob"})
	})

	t.Run("ReloadMissesNothing", func(t *testing.T) {
		s := start(t)
		ann, bob := open(t, "ann", s), open(t, "bob", s)
		ann.join("harbour")
		bob.join("harbour")
		ann.wait(people, []string{"ann you", "bob"})
		bob.say("before")
		ann.wait(messages, []string{"before"})
		ann.do("go elsewhere", chromedp.Navigate("about:blank"))
		bob.wait(people, []string{"ann away", "bob you"})
		bob.say("meanwhile")
		bob.click("tab-lobby")
		bob.say("in the lobby, too")
		ann.do("come back", chromedp.Navigate(s.url))
		ann.wait(state, "Connected")
		ann.wait(tabs, []string{"lobby 1 unread", "harbour"})
		ann.wait(messages, []string{"before", "meanwhile"})
		bob.say("after")
		ann.click("tab-lobby")
		ann.wait(messages, []string{"in the lobby, too", "after"})
		bob.wait(people, []string{"ann", "bob you"})
	})

	t.Run("SessionLost", func(t *testing.T) {
		s := start(t)
		network := newRelay(t, s)
		ann := openPage(t, browser, "ann", network.url)
		ann.comeIn("ann")
		ann.join("harbour")
		ann.wait(pending, "")
		ann.mayBeAway()
		network.mute.Lock()
		ann.say("Does it arrive?")
		ann.say("And this?")
		ann.wait(outbox, []string{"Does it arrive?: sending…", "And this?: sending…"})
		s.kill()
		ann.wait(state, "Coming back…")
		network.mute.Unlock()
		s = startServer(t, program, s.addr(), "-key", key)
		bob := open(t, "bob", s)
		bob.join("harbour")
		ann.eval(online)
		ann.wait(state, "Connected")
		ann.wait(notes, []string{"Connection lost.",
			"The session is lost (expired): what was said meanwhile is missing. 2 messages of yours were not sent."})
		ann.wait(outbox, []string{"Does it arrive?: Not sent: the session was lost (expired). ",
			"And this?: Not sent: the session was lost (expired). "})
		ann.wait(people, []string{"ann you", "bob"})
		ann.shoot("chat-lost.png")
		ann.eval(shown + `.querySelectorAll(".unsent button")[0].focus()`) // Send again
		ann.press("\r")
		ann.eval(shown + `.querySelectorAll(".unsent button")[1].focus()`) // Discard
		ann.press("\r")
		bob.wait(messages, []string{"Does it arrive?"})
		ann.wait(messages, []string{"Does it arrive?"})
		ann.wait(outbox, []string{})
	})

	t.Run("ServerRestart", func(t *testing.T) {
		s := start(t)
		ann := open(t, "ann", s)
		ann.join("harbour")
		ann.say("Before the restart")
		ann.wait(messages, []string{"Before the restart"})
		ann.mayBeAway()
		s.stop()
		ann.wait(notes, []string{"Connection lost…"})
		ann.say("Meanwhile")
		startServer(t, program, s.addr(), "-key", key)
		ann.eval(online)
		ann.wait(state, "Connected")
		ann.say("After the restart")
		ann.wait(messages, []string{"Before the restart", "Meanwhile", "After the restart"})
		ann.wait(tabs, []string{"lobby", "harbour"})
		ann.wait(notes, []string{"Connection lost.", "The session is lost (expired): what was said meanwhile is missing."})
		ann.wait(people, []string{"ann you"})
	})
}
