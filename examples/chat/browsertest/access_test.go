package browsertest

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// TestChatAccess is what a keyboard and a screen reader find.
func TestChatAccess(t *testing.T) {
	program := build(t, "chat")
	browser := startBrowser(t)
	s := startServer(t, program, "127.0.0.1:0", "-key", key)
	bob := openPage(t, browser, "bob", s.url)
	bob.comeIn("bob")

	t.Run("KeyboardOnly", func(t *testing.T) {
		ann := openPage(t, browser, "ann", s.url)
		ann.wait(focused, "name")
		ann.expectTree("the entrance",
			"main", "heading 1 wspulse chat", "textbox Your name", "button Come in")
		ann.press("ann\r")
		ann.wait(state, "Connected")
		ann.wait(focused, "text")
		ann.press("Hello, Bob\r")
		bob.wait(messages, []string{"Hello, Bob"})
		ann.wait(people, []string{"ann you", "bob"})

		// All that can be reached, in order, and where one is can be seen.
		round := []string{"text"}
		for range 20 {
			ann.press("\t")
			at := get[string](ann, focused)
			if at == "text" {
				break
			}
			round = append(round, at)
			ann.wait(`(({outlineStyle, outlineWidth}) => outlineStyle !== "none" && parseFloat(outlineWidth) >= 2)(
				getComputedStyle(document.activeElement)) || document.activeElement === document.body`, true)
		}
		want := []string{"text", "send", "Kick bob", "drop", "freeze", "count", "leave", "tab-lobby", "open-join",
			"Messages in lobby"}
		if round = slices.DeleteFunc(round, func(at string) bool { return at == "BODY" }); !slices.Equal(round, want) {
			t.Errorf("the keyboard comes by %q, want %q", round, want)
		}

		ann.eval(`document.getElementById("open-join").focus()`)
		ann.press("\r")
		ann.wait(focused, "room")
		ann.press("nope nope\r")
		ann.wait(`document.getElementById("join-error").textContent.length > 0`, true)
		ann.wait(focused, "room")
		ann.press("\x1b") // Escape
		ann.wait(focused, "open-join")
		ann.press("\r")
		ann.wait(focused, "room")
		ann.press("harbour\r")
		ann.wait(tabs, []string{"lobby", "harbour"})
		ann.wait(focused, "text")

		ann.eval(`document.getElementById("tab-harbour").focus()`)
		for _, c := range []struct{ key, tab string }{
			{kb.ArrowUp, "tab-lobby"}, {kb.ArrowUp, "tab-harbour"}, {kb.ArrowRight, "tab-lobby"},
			{kb.ArrowLeft, "tab-harbour"}, {kb.Home, "tab-lobby"}, {kb.End, "tab-harbour"},
		} {
			ann.press(c.key)
			ann.wait(focused, c.tab)
			ann.wait(`document.activeElement.ariaSelected`, "true")
		}
		ann.eval(`document.getElementById("freeze").focus()`)
		ann.press(" ")
		ann.wait(state, "Frozen")
		ann.wait(`document.activeElement.ariaPressed`, "true")
		ann.press(" ")
		ann.wait(state, "Connected")

		ann.click("tab-lobby")
		ann.eval(`document.querySelector("[aria-label='Kick bob']").focus()`)
		ann.press("\r")
		ann.wait(focused, "reason")
		ann.press("\x1b")
		ann.wait(`document.activeElement.ariaLabel`, "Kick bob")
	})

	t.Run("ScreenReader", func(t *testing.T) {
		eve := openPage(t, browser, "eve", s.url)
		eve.comeIn("eve")
		bob.say("Hello, Eve")
		eve.join("harbour")
		eve.click("tab-lobby")
		eve.wait(messages+`.at(-1)`, "Hello, Eve")
		eve.wait(`document.getElementById("stats").childElementCount > 0`, true)
		eve.wait(`!!document.querySelector("[aria-label='Kick bob']")`, true)
		eve.expectTree("the chat",
			"banner", "heading 1 wspulse chat", "status live=polite", "button Leave",
			"navigation Rooms", "heading 2 Rooms", "tablist Rooms", "tab lobby selected", "tab harbour", "button Join a room",
			"main", "tabpanel lobby", "heading 2 lobby", "log Messages in lobby live=polite", "list", "listitem",
			"textbox Message to lobby", "button Send",
			"complementary People and connection", "heading 2 People in lobby", "list People in lobby", "button Kick bob",
			"heading 2 Try it", "button Drop my connection", "button Freeze", "button Count to 3,000",
			"heading 2 Server")
		eve.click("open-join")
		eve.enter("room", "no no")
		eve.press("\r")
		eve.expectTree("the dialog",
			"dialog Join a room modal", "heading 2 Join a room", "textbox Name of the room", "alert live=assertive",
			"button Cancel", "button Join")
	})

	t.Run("Narrow", func(t *testing.T) {
		eve := openPage(t, browser, "eve", s.url)
		eve.look(390, 800, "light")
		eve.comeIn("zoe")
		for _, room := range []string{"a-room-with-a-long-name-1", "b", "c"} {
			eve.join(room[:min(len(room), 24)])
		}
		eve.say(strings.Repeat("x", 300))
		eve.wait(messages+`.length`, 1)
		fits := func(what string) {
			t.Helper()
			if width := get[int](eve, "document.documentElement.scrollWidth"); width > 390 {
				t.Errorf("%s is %d wide", what, width)
			}
		}
		fits("the page")
		eve.wait(`document.getElementById("side").checkVisibility()`, false)
		eve.eval(`document.getElementById("more").focus()`)
		eve.press("\r")
		eve.wait(`document.getElementById("side").checkVisibility()`, true)
		eve.wait(`document.getElementById("more").ariaExpanded`, "true")
		fits("the side")
		eve.shoot("side-390-light.png")
		eve.press("\t\x1b")
		eve.wait(`document.getElementById("side").checkVisibility()`, false)
		eve.wait(focused, "more")
		eve.click("open-join")
		fits("the dialog")
		eve.shoot("join-390-light.png")
	})
}

// expectTree fails the test unless the accessibility tree has these, in any order, and a name for each control.
func (p *page) expectTree(what string, want ...string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	type result = accessibility.GetFullAXTreeResult
	tree, err := chromedp.Run(ctx, func(ctx context.Context, t *chromedp.Target) (result, error) {
		return cdp.Call(ctx, t, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	})
	if err != nil {
		p.t.Fatal(err)
	}
	controls := []string{"button", "textbox", "tab", "link", "dialog", "log", "tablist", "tabpanel", "navigation",
		"complementary", "progressbar"}
	seen := []string{}
	for _, n := range tree.Nodes {
		if n.Ignored {
			continue
		}
		role, name := text(n.Role), strings.Join(strings.Fields(text(n.Name)), " ")
		if name == "" && slices.Contains(controls, role) {
			p.t.Errorf("%s: a %s has no name", what, role)
		}
		line := role
		if level := property(n, "level"); role == "heading" {
			line += " " + level
		}
		if role != "listitem" && name != "" {
			line += " " + name
		}
		if property(n, "selected") == "true" {
			line += " selected"
		}
		if property(n, "modal") == "true" {
			line += " modal"
		}
		if live := property(n, "live"); slices.Contains([]string{"log", "status", "alert"}, role) {
			line += " live=" + live
		}
		seen = append(seen, line)
	}
	for _, w := range want {
		if !slices.Contains(seen, w) {
			p.t.Errorf("%s: a screen reader finds no %q among\n%s", what, w, strings.Join(seen, "\n"))
		}
	}
}

func text(v *accessibility.Value) (s string) {
	if v == nil || json.Unmarshal(v.Value, &s) != nil {
		return ""
	}
	return s
}

func property(n *accessibility.Node, name accessibility.PropertyName) string {
	for _, p := range n.Properties {
		if p.Name == name {
			return strings.Trim(string(p.Value.Value), `"`)
		}
	}
	return ""
}
