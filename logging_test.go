package wspulse_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	wspulse "github.com/wspulse/server"
)

// newLoggedWorld is newWorld with a logger whose lines the test sees.
func newLoggedWorld(
	t *testing.T, level zapcore.Level, options ...wspulse.ServerOption,
) (*world, *observer.ObservedLogs) {
	core, logs := observer.New(level)
	return newWorld(t, append(options, wspulse.WithLogger(zap.New(core)))...), logs
}

// lines formats what was logged since the last time: a level for each line.
func lines(logs *observer.ObservedLogs) string {
	var levels []string
	for _, entry := range logs.TakeAll() {
		levels = append(levels, entry.Level.String())
	}
	return strings.Join(levels, " ")
}

func TestLog_InfoForStartAndStop(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, logs := newLoggedWorld(t, zap.InfoLevel, wspulse.WithResumeWindow(time.Minute))
		if got := lines(logs); got != "info" {
			t.Errorf("at the start: %q", got)
		}
		w.dial("r", "alice").drop()
		w.dial("r", "alice")
		w.must(w.server.Kick("alice"))
		if got := lines(logs); got != "" {
			t.Errorf("for the life of a connection: %q", got)
		}
		w.server.Close()
		w.server.Close()
		if got := lines(logs); got != "info" {
			t.Errorf("at the end: %q", got)
		}
	})
}

func TestLog_DebugForTheLifeOfAConnection(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, logs := newLoggedWorld(t, zap.DebugLevel, wspulse.WithResumeWindow(time.Minute))
		lines(logs)
		for _, step := range []func(){
			func() { w.dial("r", "alice").drop() }, // opened, suspended
			func() { w.dial("r", "alice") },        // resumed
			func() { w.server.Kick("alice") },      // ended
		} {
			step()
			synctest.Wait()
			entries := logs.All()
			if len(entries) == 0 || strings.Trim(lines(logs), "debug ") != "" {
				t.Errorf("logged %v", entries)
			}
			for _, entry := range entries {
				if !strings.Contains(fmt.Sprint(entry.ContextMap()), "alice") {
					t.Errorf("%q does not say which connection", entry.Message)
				}
			}
		}
	})
}

func TestLog_NothingForEachFrame(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, logs := newLoggedWorld(t, zap.DebugLevel, wspulse.WithSendBufferSize(1))
		alice := w.dial("r", "alice")
		w.dialStalled("r", "slow")
		synctest.Wait()
		lines(logs)
		for i := range 100 {
			alice.send("hello")
			w.broadcast("r", fmt.Sprint(i)) // is lost for slow, but for the last one
			w.server.Send("alice", ev("one"))
			w.server.Send("slow", ev("refused"))
		}
		synctest.Wait()
		if got := lines(logs); got != "" {
			t.Errorf("logged %q", got)
		}
	})
}

func TestLog_WarnForUpgradesRefusedByTheServerIsRateLimited(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, logs := newLoggedWorld(t, zap.WarnLevel, wspulse.WithCheckOrigin(func(*http.Request) bool { return false }))
		for range 3 {
			for range 100 {
				w.upgrade("?room=r&id=alice", nil)
			}
			synctest.Wait()
			if got := lines(logs); got != "warn" {
				t.Errorf("logged %q", got)
			}
			time.Sleep(time.Minute)
		}
	})
}

// quotingCodec is a codec such as there are many: its errors quote what they cannot decode.
type quotingCodec struct{ wspulse.Codec }

func (quotingCodec) Decode(data []byte) (wspulse.Frame, error) {
	return wspulse.Frame{}, fmt.Errorf("parsing %q: invalid syntax", data)
}

func TestLog_NeverPayloadsNorCredentials(t *testing.T) {
	for name, tc := range map[string]struct {
		option wspulse.ServerOption
		story  func(w *world, alice *peer)
	}{
		"frames": {wspulse.WithOnMessage(nil), func(w *world, alice *peer) {
			alice.send("secret")
			w.send("alice", "secret")
			w.broadcast("r", "secret")
		}},
		"frames that are lost": {wspulse.WithSendBufferSize(1), func(w *world, alice *peer) {
			alice.drop()
			w.send("alice", "secret")
			w.server.Send("alice", ev("secret"))
			w.broadcast("r", "secret")
		}},
		"frames that cannot be encoded": {wspulse.WithOnMessage(nil), func(w *world, _ *peer) {
			w.server.Send("alice", wspulse.Frame{Payload: []byte("secret")})
		}},
		"malformed messages": {wspulse.WithOnConnect(nil), func(_ *world, alice *peer) {
			alice.WebSocket.WriteMessage(websocket.TextMessage, []byte(`{"event":secret}`))
		}},
		"malformed messages of another codec": {wspulse.WithCodec(quotingCodec{wspulse.JSONCodec}),
			func(_ *world, alice *peer) {
				alice.send("secret")
			}},
		"messages that are too large": {wspulse.WithMaxMessageSize(5), func(_ *world, alice *peer) {
			alice.send("secret")
		}},
		"messages whose handler panics": {wspulse.WithOnMessage(explode("oops")), func(_ *world, alice *peer) {
			alice.send("secret")
		}},
		"requests": {wspulse.WithCheckOrigin(func(r *http.Request) bool { return r.Header.Get("Cookie") == "" }),
			func(w *world, _ *peer) {
				credentials := http.Header{"Authorization": {"Bearer secret"}, "Cookie": {"session=secret"}}
				w.upgrade("?room=r&id=bob&token=secret", credentials)
				w.upgrade("?refuse&token=secret", credentials)
			}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w, logs := newLoggedWorld(t, zap.DebugLevel, wspulse.WithResumeWindow(time.Minute), tc.option)
				tc.story(w, w.dial("r", "alice"))
				synctest.Wait()
				w.server.Close()
				for _, entry := range logs.All() {
					if line := fmt.Sprint(entry.Message, entry.ContextMap()); strings.Contains(line, "secret") {
						t.Errorf("logged %s", line)
					}
				}
				if logs.Len() == 0 {
					t.Error("nothing was logged")
				}
			})
		})
	}
}

func TestLimits_AreLogged(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, logs := newLoggedWorld(t, zap.WarnLevel, wspulse.WithMaxConnections(1))
		w.dial("r", "alice")
		for range 100 {
			w.refused("?room=r&id=bob", 503)
		}
		if got := logs.All(); len(got) != 1 || got[0].Message != "wspulse: limit reached: max_connections" {
			t.Errorf("logged %v", got)
		}
	})
}

func TestLog_WarnOfAcceptingEveryOrigin(t *testing.T) {
	for _, tc := range []struct {
		options []wspulse.ServerOption
		lines   int
	}{
		{nil, 1},
		{[]wspulse.ServerOption{wspulse.WithCheckOrigin(wspulse.SameOrigin)}, 0},
		{[]wspulse.ServerOption{wspulse.WithCheckOrigin(wspulse.AllowOrigins("https://example.com"))}, 0},
	} {
		core, logs := observer.New(zap.WarnLevel)
		wspulse.NewServer(fromQuery, append(tc.options, wspulse.WithLogger(zap.New(core)))...).Close()
		if got := logs.All(); len(got) != tc.lines ||
			tc.lines == 1 && !strings.Contains(got[0].Message, "WithCheckOrigin") {
			t.Errorf("logged %v", got)
		}
	}
}

// A log line is short, whatever the request holds.
func TestLog_RequestsAreCut(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, logs := newLoggedWorld(t, zap.WarnLevel, wspulse.WithCheckOrigin(wspulse.SameOrigin))
		long := strings.Repeat("\x80", 10_000)
		origin := httptest.NewRequest("GET", "/?room=r&id=mallory", nil)
		origin.Header["Origin"] = []string{long, long}
		method := httptest.NewRequest("GET", "/?room=r&id=mallory", nil)
		method.Method = long
		for _, r := range []*http.Request{origin, method} {
			w.server.ServeHTTP(httptest.NewRecorder(), r)
			time.Sleep(time.Second) // the log has one such line a second
		}
		if logs.Len() != 2 {
			t.Errorf("logged %v", logs.All())
		}
		for _, entry := range logs.All() {
			if line := fmt.Sprint(entry.Message, entry.ContextMap()); len(line) > 1000 {
				t.Errorf("a line of %d bytes: %.200s", len(line), line)
			}
		}
	})
}

// What goes to log/slog is what goes to zap: the same lines, with the same fields.
func TestLog_SlogSaysWhatZapSays(t *testing.T) {
	story := func(t *testing.T, logger wspulse.ServerOption) {
		w := newWorld(t, logger, wspulse.WithResumeWindow(time.Minute), wspulse.WithMaxConnections(2),
			wspulse.WithMaxMessageSize(5))
		w.dial("r", "alice").drop()
		w.dial("r", "alice").send("too long")
		synctest.Wait()
		w.dial("r", "bob")
		w.refused("?room=r&id=carol", 503)
		w.upgrade("?refuse", nil)
		w.upgrade("?refuse", nil)
		time.Sleep(time.Second)
		w.upgrade("?refuse", nil) // and says how many have been left out
		w.must(w.server.Kick("bob"))
		w.server.Close()
	}
	var zapped, slogged []string
	inBubble(t, func(t *testing.T) {
		core, logs := observer.New(zap.DebugLevel)
		story(t, wspulse.WithLogger(zap.New(core)))
		for _, entry := range logs.All() {
			line := entry.ContextMap()
			line["level"], line["msg"] = entry.Level.CapitalString(), entry.Message
			text, err := json.Marshal(line)
			if err != nil {
				t.Fatal(err)
			}
			zapped = append(zapped, string(text))
		}
	})
	inBubble(t, func(t *testing.T) {
		var b bytes.Buffer
		options := &slog.HandlerOptions{Level: slog.LevelDebug}
		story(t, wspulse.WithSlog(slog.New(slog.NewJSONHandler(&b, options))))
		for decoder := json.NewDecoder(&b); decoder.More(); {
			var line map[string]any
			if err := decoder.Decode(&line); err != nil {
				t.Fatal(err)
			}
			delete(line, "time")
			text, err := json.Marshal(line)
			if err != nil {
				t.Fatal(err)
			}
			slogged = append(slogged, string(text))
		}
	})
	if !slices.Equal(zapped, slogged) || len(zapped) < 8 {
		t.Errorf("zap has\n%s\nslog has\n%s", strings.Join(zapped, "\n"), strings.Join(slogged, "\n"))
	}
}
