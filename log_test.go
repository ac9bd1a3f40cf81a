package wspulse_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	wspulse "github.com/wspulse/server"
)

// slowLog returns a logger whose sink takes a while for each line.
func slowLog(delay time.Duration) (*zap.Logger, *observer.ObservedLogs) {
	core, logs := observer.New(zap.DebugLevel)
	return zap.New(zapcore.RegisterHooks(core, func(zapcore.Entry) error {
		time.Sleep(delay)
		return nil
	})), logs
}

// A sink that blocks for a second with each line costs nobody any time: not the hub, not a callback, not a sender.
func TestLog_NobodyWaitsForTheSink(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		logger, logs := slowLog(time.Second)
		w := newWorld(t, wspulse.WithLogger(logger), wspulse.WithResumeWindow(time.Minute),
			wspulse.WithSendBufferBytes(100))
		start := time.Now()
		alice, bob := w.dial("r", "alice"), w.dial("r", "bob")
		bob.drop()
		w.broadcast("r", "hello")
		alice.expect("hello")
		w.server.Send("bob", ev(strings.Repeat("x", 100))) // over a limit, and so a line
		alice.send("hi")
		synctest.Wait()
		w.must(w.server.Kick("alice"))
		synctest.Wait()
		w.dial("r", "bob").expect("hello")
		w.must(w.connection("r", "bob").Close())
		w.expect("alice:connect bob:connect bob:drop(1006) alice:message(hi) alice:disconnect(nil) bob:restore " +
			"bob:disconnect(nil)")
		w.took(start, 0)
		time.Sleep(time.Minute)
		var said []string
		for _, entry := range logs.All() {
			said = append(said, strings.TrimPrefix(entry.Message, "wspulse: "))
		}
		if got, want := strings.Join(said, ", "), "server started, session opened, session opened, session suspended, "+
			"limit reached: send_buffer_bytes, session ended, session resumed, session ended"; got != want {
			t.Errorf("logged %s", got)
		}
	})
}

// A program that ends right after Close has its log, unless the sink takes too long.
func TestServerClose_TheLogIsWritten(t *testing.T) {
	for delay, want := range map[time.Duration]time.Duration{
		0: 0, 100 * time.Millisecond: 200 * time.Millisecond, time.Minute: time.Second,
	} {
		inBubble(t, func(t *testing.T) {
			logger, logs := slowLog(delay)
			w := newWorld(t, wspulse.WithLogger(logger))
			if delay < time.Second && logs.Len() != 1 {
				t.Errorf("%v: %d lines at the start", delay, logs.Len())
			}
			w.dial("r", "alice")
			time.Sleep(time.Hour)
			start := time.Now()
			w.server.Close()
			w.took(start, want)
			if delay == time.Minute {
				time.Sleep(time.Hour)
			}
			got := logs.All()
			if len(got) != 4 || got[0].Message != "wspulse: server started" || got[3].Message != "wspulse: server closed" {
				t.Errorf("%v: logged %v", delay, got)
			}
		})
	}
}

// A goroutine writes the log only while there is something to write.
func TestLog_NoGoroutineStays(t *testing.T) {
	inBubble(t, func(t *testing.T) { // which fails if one does
		w, logs := newLoggedWorld(t, zap.DebugLevel)
		w.dial("r", "alice")
		synctest.Wait()
		if logs.Len() != 2 {
			t.Errorf("logged %v", logs.All())
		}
	})
}
