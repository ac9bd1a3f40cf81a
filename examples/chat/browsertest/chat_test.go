package browsertest

import "testing"

// TestChat is a few stories in one browser, each with a chat and with people of its own.
func TestChat(t *testing.T) {
	program := build(t, "chat")
	browser := startBrowser(t)
	open := func(t *testing.T, who string, s *server) *page { return openPage(t, browser, who, s.url) }

	t.Run("TalkDropAndResume", func(t *testing.T) {
		s := startServer(t, program, "127.0.0.1:0")
		ann, bob := open(t, "ann", s), open(t, "bob", s)
		ann.join("ann", "harbour")
		ann.wait(members, []string{"ann"})
		bob.join("bob", "harbour")
		for _, p := range []*page{ann, bob} {
			p.wait(state, "Connected")
			p.wait(members, []string{"ann", "bob"})
		}
		ann.wait(notices, []string{"You joined", "bob joined"})

		ann.say("Morning, Bob! Has the ferry left?")
		bob.wait(messages, []string{"Morning, Bob! Has the ferry left?"})
		bob.say("Not yet, they are still loading.")
		talk := []string{"Morning, Bob! Has the ferry left?", "Not yet, they are still loading."}
		ann.wait(messages, talk)

		ann.block("*://*:*/join") // for as long as it takes bob to type
		ann.click("drop")
		ann.wait(notices, []string{"You joined", "bob joined", "Connection lost."})
		ann.wait(`document.getElementById("countdown").textContent.startsWith("Reconnecting in ")`, true)
		ann.shoot("reconnecting.png")
		bob.wait(members, []string{"ann (away)", "bob"})
		for _, text := range []string{"The captain waves.", "Two more cars,", "and they cast off at nine."} {
			bob.say(text)
			talk = append(talk, text)
		}
		bob.wait(messages, talk)
		ann.wait(messages, talk[:2])

		ann.block()
		ann.wait(state, "Connected")
		ann.wait(messages, talk)
		ann.wait(notices, []string{"You joined", "bob joined", "Connection lost.", "You are back in your session"})
		bob.wait(members, []string{"ann", "bob"})
		ann.say("Back on shore Wi-Fi. On my way!")
		talk = append(talk, "Back on shore Wi-Fi. On my way!")
		bob.wait(messages, talk)
		s.post("/rooms/harbour/announce", `{"text": "The ferry to the islands leaves at 9:00 from pier 2."}`)
		talk = append(talk, "The ferry to the islands leaves at 9:00 from pier 2.")
		ann.wait(messages, talk)
		bob.wait(messages, talk)
		ann.shoot("chat.png")
	})

	t.Run("TextStaysText", func(t *testing.T) {
		s := startServer(t, program, "127.0.0.1:0")
		ann, bob := open(t, "ann", s), open(t, "bob", s)
		ann.join("<img/src=x>", "lobby")
		ann.wait(refusal, "The name may have letters, digits, - and _, and begins with a letter or digit.")
		ann.join("ann", "lobby")
		bob.join("bob", "lobby")
		bob.wait(state, "Connected")
		bob.wait(members, []string{"ann", "bob"})

		attacks := []string{
			`<img src=x onerror="window.attacked = true">`,
			`<script>window.attacked = true</script>`,
			`&lt;b&gt; javascript:alert(1)`,
		}
		for _, attack := range attacks {
			ann.say(attack)
		}
		bob.wait(messages, attacks)
		s.post("/rooms/lobby/announce", `{"text": "<b id=attack>bold</b>"}`)
		for _, p := range []*page{ann, bob} {
			p.wait(messages, append(attacks, "<b id=attack>bold</b>"))
			p.wait(`document.querySelectorAll("#log :is(img, script, b), #attack").length`, 0)
			p.wait(`typeof window.attacked`, "undefined")
		}
	})

	t.Run("NameTaken", func(t *testing.T) {
		s := startServer(t, program, "127.0.0.1:0")
		ann, mallory := open(t, "ann", s), open(t, "mallory", s)
		ann.join("ann", "lobby")
		ann.wait(state, "Connected")
		mallory.join("ann", "cellar")
		mallory.wait(refusal, "Somebody else has this name; choose another.")
		ann.wait(state, "Connected")

		ann.click("leave")
		ann.wait(ending, "You have left the room.")
		mallory.join("ann", "cellar")
		mallory.wait(state, "Connected")
	})

	t.Run("KickedDoesNotComeBackUninvited", func(t *testing.T) {
		s := startServer(t, program, "127.0.0.1:0")
		ann, bob := open(t, "ann", s), open(t, "bob", s)
		ann.join("ann", "lobby")
		ann.wait(state, "Connected")
		bob.join("bob", "lobby")
		bob.wait(members, []string{"ann", "bob"})

		s.post("/users/bob/send", `{"text": "Last warning"}`)
		bob.wait(messages, []string{"Last warning"})
		s.post("/users/bob/kick", "")
		bob.wait(ending, "You were kicked out of the room.")
		bob.wait(state, "Kicked")
		ann.wait(notices, []string{"You joined", "bob joined", "bob left"})
		bob.do("reload the page", reload) // not even then
		bob.wait(`document.getElementById("chat").hidden`, true)
		bob.join("bob", "lobby")
		ann.wait(notices, []string{"You joined", "bob joined", "bob left", "bob joined"})
	})

	t.Run("ReloadComesBackAndSecondTabTakesOver", func(t *testing.T) {
		s := startServer(t, program, "127.0.0.1:0")
		ann, bob := open(t, "ann", s), open(t, "bob", s)
		ann.join("ann", "lobby")
		ann.wait(state, "Connected")
		bob.join("bob", "lobby")
		bob.wait(state, "Connected")
		ann.do("reload the page", reload)
		ann.wait(state, "Connected")
		ann.wait(members, []string{"ann", "bob"})

		second := ann.duplicate()
		second.wait(state, "Connected")
		ann.wait(ending, "This chat was opened elsewhere.")
		second.wait(members, []string{"ann", "bob"})
		ann.click("rejoin")
		second.wait(ending, "This chat was opened elsewhere.")
		ann.wait(state, "Connected")
	})

	t.Run("ServerRestart", func(t *testing.T) {
		s := startServer(t, program, "127.0.0.1:0")
		ann := open(t, "ann", s)
		ann.join("ann", "lobby")
		ann.wait(state, "Connected")
		ann.say("Before the restart")
		ann.wait(messages, []string{"Before the restart"})
		s.stop()
		ann.wait(notices, []string{"You joined", "The server is shutting down."})
		startServer(t, program, s.addr())
		ann.wait(state, "Connected")
		ann.say("After the restart")
		ann.wait(messages, []string{"Before the restart", "After the restart"})
		ann.wait(`document.querySelectorAll("#log .notice").length`, 3)
	})
}
