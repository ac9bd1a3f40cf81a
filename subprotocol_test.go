package wspulse_test

import (
	"net/http"
	"strings"
	"testing"

	wspulse "github.com/wspulse/server"
)

func TestWithSubprotocols(t *testing.T) {
	for name, tc := range map[string]struct {
		speaks string   // names with spaces between; empty: the option is not given
		offers []string // headers
		want   string   // in the answer, with its header
	}{
		"one":                          {"chat", []string{"chat"}, "[chat]"},
		"the server's order counts":    {"chat.v2 chat.v1", []string{"chat.v1, chat.v2"}, "[chat.v2]"},
		"the second name":              {"chat.v2 chat.v1", []string{"old, chat.v1"}, "[chat.v1]"},
		"in the second header":         {"chat", []string{"old", "new , chat"}, "[chat]"},
		"offered twice":                {"chat", []string{"chat, chat"}, "[chat]"},
		"none of them":                 {"chat", []string{"other"}, "[]"},
		"nothing offered":              {"chat", nil, "[]"},
		"no option":                    {"", []string{"chat"}, "[]"},
		"part of a name":               {"chat", []string{"chatter, cha"}, "[]"},
		"case counts":                  {"chat", []string{"Chat"}, "[]"},
		"wspulse.v1 before":            {"chat", []string{"wspulse.v1, chat"}, "[wspulse.v1]"},
		"wspulse.v1 behind":            {"chat", []string{"chat", "wspulse.v1"}, "[wspulse.v1]"},
		"a claim alone":                {"chat", []string{"wspulse.v1.resume.YQ.0.x, chat"}, "[chat]"},
		"every character of tokens":    {"!#$%&'*+-.^_`|~aZ9", []string{"!#$%&'*+-.^_`|~aZ9"}, "[!#$%&'*+-.^_`|~aZ9]"},
		"wspulse.v1 without an option": {"", []string{"chat, wspulse.v1"}, "[wspulse.v1]"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				var options []wspulse.ServerOption
				if tc.speaks != "" {
					options = append(options, wspulse.WithSubprotocols(strings.Fields(tc.speaks)...))
				}
				w := newWorld(t, options...)
				alice, response, err := w.upgrade("?room=r&id=alice", http.Header{"Sec-Websocket-Protocol": tc.offers})
				w.must(err)
				got := "[" + strings.Join(response.Header["Sec-Websocket-Protocol"], "; ") + "]"
				if got != tc.want {
					t.Errorf("selected %s, want %s", got, tc.want)
				}
				alice.Drop()
			})
		})
	}
}

func TestWithSubprotocols_Bounds(t *testing.T) {
	for names, want := range map[string]string{
		"chat":             "",
		"chat,Chat":        "",
		"wspulse":          "",
		"":                 `"" is not a token`,
		"chat,":            `"" is not a token`,
		"a b":              `"a b" is not a token`,
		"b\u00fccher":      `is not a token`,
		"a\r\nb":           `"a\r\nb" is not a token`,
		"chat,other,chat":  `"chat" comes twice`,
		"chat,wspulse.v1":  `"wspulse.v1" begins with "wspulse."`,
		"wspulse.v2.resum": `begins with "wspulse."`,
	} {
		text := panicText(func() wspulse.ServerOption { return wspulse.WithSubprotocols(strings.Split(names, ",")...) })
		if (text == "") != (want == "") || !strings.Contains(text, want) ||
			text != "" && !strings.HasPrefix(text, "wspulse: WithSubprotocols: ") {
			t.Errorf("%q: panic %q, want %q", names, text, want)
		}
	}
	if text := panicText(func() wspulse.ServerOption { return wspulse.WithSubprotocols() }); !strings.Contains(text, "no names") {
		t.Errorf("no names: panic %q", text)
	}
}
