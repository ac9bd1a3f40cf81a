package wspulse

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// tried returns a line for each that was written: its message, and what it says was suppressed.
func tried(logs *observer.ObservedLogs) string {
	var words []string
	for _, entry := range logs.TakeAll() {
		word := entry.Message
		if n, ok := entry.ContextMap()["suppressed"]; ok {
			word += fmt.Sprintf("+%v", n)
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func TestLimitedLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.InfoLevel)
		l := newLimitedLog(zap.New(core))
		log := func(n int, kind string, details ...string) {
			for range n {
				if details == nil {
					l.Warn(kind)
				}
				for _, detail := range details {
					if entry := l.checkCause(zap.WarnLevel, kind+detail, kind, detail); entry != nil {
						entry.Write()
					}
				}
			}
		}
		expect := func(want string) {
			t.Helper()
			if got := tried(logs); got != want {
				t.Errorf("logged %q, want %q", got, want)
			}
		}
		log(100, "a")
		log(1, "b")
		expect("a b")
		time.Sleep(logEvery - 1)
		log(100, "a")
		expect("")
		time.Sleep(1 * time.Nanosecond)
		log(2, "a")
		log(2, "b")
		expect("a+199 b")

		log(10, "c", "1", "2", "3") // three causes are three lines
		expect("c1 c2 c3")
		log(10, "c", "3", "4", "5", "6") // the last two are one of many
		expect("c4 c5")
		log(1, "d", "1")
		expect("d1")
		time.Sleep(logEvery)
		log(1, "c", "4")
		expect("c4+28")  // its own, and those of 5 and 6
		log(1, "c", "7") // in the place of 1, 2 and 3, of which 37 lines were left out
		expect("c7+37")

		for _, message := range []string{"below", "the level"} {
			if l.Check(zap.DebugLevel, message) != nil {
				t.Error("a line below the level")
			}
		}
		if len(l.kinds) != 4 {
			t.Errorf("%d kinds are kept", len(l.kinds))
		}
	})
}

// Who connects cannot make the log keep what it has seen.
func TestLimitedLog_IsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.InfoLevel)
		l := newLimitedLog(zap.New(core))
		written, told := 0, 0
		for i := range 10_000 {
			if entry := l.checkCause(zap.WarnLevel, "m", "m", fmt.Sprint(i)); entry != nil {
				entry.Write()
			}
			time.Sleep(time.Millisecond)
		}
		for _, entry := range logs.All() {
			written++
			n, _ := entry.ContextMap()["suppressed"].(int64)
			told += int(n)
		}
		if most := (maxDetails + 1) * 11; written > most || written < 10 || len(l.kinds["m"].details) > maxDetails {
			t.Errorf("%d lines, want %d at the most; %d details are kept", written, most, len(l.kinds["m"].details))
		}
		if written+told+l.kinds["m"].own.suppressed != 10_000 {
			t.Errorf("%d lines were written and %d told of", written, told)
		}
	})
}
