package wspulse

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// newGatedLog returns the configuration of a server that logs to a sink that takes nothing until the gate is closed.
func newGatedLog(level zapcore.LevelEnabler) (cfg *serverConfig, logs *observer.ObservedLogs, gate chan struct{}) {
	core, logs := observer.New(level)
	gate = make(chan struct{})
	cfg = defaultConfig(func(*http.Request) (string, string, error) { return "", "", nil })
	cfg.setLogger(zap.New(zapcore.RegisterHooks(core, func(zapcore.Entry) error {
		<-gate
		return nil
	})))
	return cfg, logs, gate
}

// messages returns what was logged since the last time, with spaces between.
func messages(logs *observer.ObservedLogs) string {
	var words []string
	for _, entry := range logs.TakeAll() {
		word := entry.Message
		if n, ok := entry.ContextMap()["count"]; ok {
			word = fmt.Sprintf("lost(%v)", n)
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

// numbers returns the numbers from first to last, with spaces between.
func lineNumbers(first, last int) string {
	var words []string
	for i := first; i <= last; i++ {
		words = append(words, fmt.Sprint(i))
	}
	return strings.Join(words, " ")
}

// Lines keep their order, and those that the queue has no room for are counted, with the next line or by themselves.
func TestLogQueue_SaysWhatIsLost(t *testing.T) {
	for name, tc := range map[string]struct {
		lines, lost int
		after       bool // there is room again, a line comes
		want        string
	}{
		"full":                  {maxLogLines, 0, false, lineNumbers(1, maxLogLines)},
		"one too many":          {maxLogLines + 1, 1, false, lineNumbers(1, maxLogLines) + " lost(1)"},
		"many, and a line":      {maxLogLines + 99, 99, true, lineNumbers(1, maxLogLines) + " lost(99) after"},
		"nothing before a line": {1, 0, true, "1 after"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg, logs, gate := newGatedLog(zap.DebugLevel)
				for i := range tc.lines {
					cfg.logger.Debug(fmt.Sprint(i + 1))
				}
				synctest.Wait() // the sink holds the first
				if tc.after {
					gate <- struct{}{}
					synctest.Wait()
					cfg.logger.Debug("after")
				}
				close(gate)
				synctest.Wait()
				if got := messages(logs); got != tc.want {
					t.Errorf("logged %s", got)
				}
				cfg.logger.Debug("again")
				synctest.Wait()
				if got := messages(logs); got != "again" {
					t.Errorf("then logged %s", got)
				}
			})
		})
	}
}

// Waiting for the log ends when what was there is written, or in time.
func TestLogQueue_WaitIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, logs, gate := newGatedLog(zap.InfoLevel)
		wait := func(want time.Duration) {
			t.Helper()
			start := time.Now()
			cfg.logs.wait(time.Second)
			if took := time.Since(start); took != want {
				t.Errorf("waited %v, want %v", took, want)
			}
		}
		wait(0)
		cfg.logger.Debug("below the level")
		wait(0)
		cfg.logger.Info("1")
		wait(time.Second)
		time.AfterFunc(time.Second/2, func() { close(gate) })
		wait(time.Second / 2)
		if got := messages(logs); got != "1" {
			t.Errorf("logged %q", got)
		}
	})
}

// A line is what it was when it was logged, and each core below decides for itself what it takes.
func TestLogQueue_LinesAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, allLogs := observer.New(zap.DebugLevel)
		errors, errorLogs := observer.New(zap.ErrorLevel)
		cfg := defaultConfig(func(*http.Request) (string, string, error) { return "", "", nil })
		cfg.setLogger(zap.New(zapcore.NewTee(all, errors)).Named("chat").With(zap.Int("node", 7)))
		fields := []zap.Field{zap.String("name", "alice")}
		cfg.logger.With(zap.Int("shard", 8)).Warn("hello", fields...)
		fields[0] = zap.String("name", "bob")
		cfg.logs.wait(time.Second)
		if allLogs.Len() != 1 || errorLogs.Len() != 0 {
			t.Fatalf("%d and %d lines, want 1 and none", allLogs.Len(), errorLogs.Len())
		}
		entry := allLogs.All()[0]
		if got := fmt.Sprint(entry.LoggerName, entry.ContextMap()); got != "chatmap[name:alice node:7 shard:8]" {
			t.Errorf("logged %s", got)
		}
	})
}
