package stresstest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/internal/rawpeer"
)

// An abuseWorld is a server with one healthy peer, "neighbour", which must not notice anything.
type abuseWorld struct {
	*netWorld
	logs   *observer.ObservedLogs
	left   chan error   // what OnDisconnect got for "mallory"
	heard  atomic.Int64 // messages from "mallory"
	echoes atomic.Int64 // that the neighbour has read
}

func newAbuseWorld(t *testing.T, options ...wspulse.ServerOption) *abuseWorld {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	w := &abuseWorld{logs: logs, left: make(chan error, 1)}
	w.netWorld = newNetWorld(t, append([]wspulse.ServerOption{
		wspulse.WithLogger(zap.New(core)),
		wspulse.WithCheckOrigin(func(*http.Request) bool { return true }), // the default, without its warning
		wspulse.WithMalformedLimit(0),
		wspulse.WithOnMessage(func(c wspulse.Connection, f wspulse.Frame) {
			if c.ID() == "mallory" {
				w.heard.Add(1)
			}
			_ = c.Send(f)
		}),
		wspulse.WithOnDisconnect(func(c wspulse.Connection, err error) {
			if c.ID() == "mallory" {
				w.left <- err
			}
		})}, options...)...)
	neighbour := w.dial("r", "neighbour")
	failed := make(chan error, 1)
	go func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for ; ; <-tick.C {
			word := fmt.Sprint(w.echoes.Load())
			err := say(neighbour, word)
			if err == nil {
				err = hear(neighbour, word)
			}
			if err != nil {
				failed <- err
				return
			}
			w.echoes.Add(1)
		}
	}()
	t.Cleanup(func() {
		w.neighbourIsWell()
		start := time.Now()
		w.server.Close()
		if took := time.Since(start); took > patience/2 {
			t.Errorf("Close took %v", took)
		}
		if err := <-failed; !websocket.IsCloseError(err, websocket.CloseGoingAway) {
			t.Errorf("the neighbour read %v", err)
		}
	})
	w.neighbourIsWell()
	return w
}

// neighbourIsWell waits until the neighbour has been answered something that it said just now.
func (w *abuseWorld) neighbourIsWell() {
	w.t.Helper()
	before := w.echoes.Load()
	eventually(w.t, "the neighbour is answered", func() bool { return w.echoes.Load() >= before+2 })
}

// expectLog waits for a line with that level, message and text in its fields, and that says whom it is about.
func (w *abuseWorld) expectLog(level zapcore.Level, message, about string) {
	w.t.Helper()
	ok := poll(func() bool {
		for _, entry := range w.logs.FilterMessage(message).All() {
			fields := fmt.Sprint(entry.ContextMap())
			if entry.Level == level && strings.Contains(fields, about) &&
				(strings.Contains(fields, "mallory") || strings.Contains(fields, "remoteAddr:127.0.0.1:")) {
				return true
			}
		}
		return false
	})
	if !ok {
		w.t.Errorf("no log line %q at %v about %q in %v", message, level, about, w.logs.FilterMessage(message).All())
	}
}

// warnings counts the lines that an operator sees.
func (w *abuseWorld) warnings() int {
	return w.logs.Filter(func(e observer.LoggedEntry) bool { return e.Level >= zapcore.WarnLevel }).Len()
}

// Broken framing ends the connection with the close code of the contract.
func TestAbuse_CloseCode(t *testing.T) {
	frames := func(frames ...[]byte) (all []byte) {
		for _, f := range frames {
			all = append(all, f...)
		}
		return all
	}
	for name, tc := range map[string]struct {
		sends []byte
		code  int
	}{
		"oversized message": {masked(finText, strings.Repeat("x", 513)), 1009},
		"oversized by fragments": {
			frames(masked(fragText, strings.Repeat("x", 300)), masked(0x80, strings.Repeat("x", 300))), 1009,
		},
		"oversized, 2^62 bytes":         {[]byte{finBinary, 0x80 | 127, 0x40, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}, 1009},
		"reserved bit":                  {masked(finText|reservedBit, "{}"), 1002},
		"reserved opcode":               {masked(0x83, "{}"), 1002},
		"reserved control opcode":       {masked(0x8B, ""), 1002},
		"unmasked":                      {unmasked(finText, "{}"), 1002},
		"unmasked ping":                 {unmasked(finPing, ""), 1002},
		"fragmented ping":               {masked(fragPing, ""), 1002},
		"long ping":                     {masked(finPing, strings.Repeat("x", 126)), 1002},
		"continuation of nothing":       {masked(0x80, "{}"), 1002},
		"message within a message":      {frames(masked(fragText, "{"), masked(finText, "{}")), 1002},
		"close frame with code 1005":    {masked(finClose, "\x03\xed"), 1002},
		"close reason that is no UTF-8": {masked(finClose, "\x03\xe8\xff"), 1007},
		"text that is no UTF-8":         {masked(finText, "{\"event\":\"\xff\"}"), 1007},
	} {
		t.Run(name, func(t *testing.T) {
			w := newAbuseWorld(t)
			mallory := dialRaw(t, w.netWorld)
			mallory.Write(tc.sends)
			mallory.ExpectClose(tc.code)
			if err := <-w.left; err == nil {
				t.Error("OnDisconnect got no error")
			}
			if tc.code == 1009 {
				w.expectLog(zapcore.WarnLevel, "wspulse: limit reached: max_message_size", "")
			} else {
				w.expectLog(zapcore.WarnLevel, "wspulse: peer broke the protocol", "error:")
			}
			if n := w.warnings(); n != 1 {
				t.Errorf("%d warnings", n)
			}
		})
	}
}

// A frame that stops in the middle is a lost peer.
func TestAbuse_Truncated(t *testing.T) {
	whole := masked(finText, `{"event":"hello","payload":"`+strings.Repeat("x", 200)+`"}`)
	for cut, n := range map[string]int{"in the header": 1, "in the length": 3, "in the mask": 6, "in the payload": 50} {
		for name, tc := range map[string]struct {
			then  func(c *net.TCPConn)
			about string // the error that is logged
		}{
			"silence": {func(*net.TCPConn) {}, "no pong within"},
			"FIN":     {func(c *net.TCPConn) { _ = c.CloseWrite() }, "EOF"},
			"RST": {func(c *net.TCPConn) {
				_ = c.SetLinger(0)
				_ = c.Close()
			}, "reset by peer"},
		} {
			t.Run(cut+", then "+name, func(t *testing.T) {
				w := newAbuseWorld(t, wspulse.WithHeartbeat(100*time.Millisecond, 400*time.Millisecond))
				mallory := dialRaw(t, w.netWorld)
				mallory.Write(whole[:n])
				tc.then(mallory.Conn.(*net.TCPConn))
				select {
				case err := <-w.left:
					if err == nil {
						t.Error("OnDisconnect got no error")
					}
				case <-time.After(patience):
					t.Fatal("the session lives")
				}
				w.expectLog(zapcore.DebugLevel, "wspulse: session ended", tc.about)
				if w.heard.Load() > 0 {
					t.Error("OnMessage got a part of a message")
				}
				if name != "RST" {
					var err error
					for err == nil {
						_, err = mallory.Next()
					}
					if !errors.Is(err, io.EOF) {
						t.Errorf("peer read %v", err)
					}
				}
			})
		}
	}
}

// Messages that the codec refuses are dropped, and the connection lives. A thousand of them are a few log lines.
func TestAbuse_MalformedMessages(t *testing.T) {
	w := newAbuseWorld(t)
	mallory := dialRaw(t, w.netWorld)
	bad := []string{"", "hello", "null", "[]", `"text"`, "{", `{"event":1}`, `{"payload":}`, `{"event":"a"}{`,
		"secret-payload"}
	start := time.Now()
	for range 100 {
		for _, text := range bad {
			mallory.Write(masked(finText, text))
			mallory.Write(masked(finBinary, text+"\xff"))
		}
	}
	mallory.Write(masked(finText, `{"event":"good"}`))
	mallory.Expect(finText, `{"event":"good"}`)
	w.expectLog(zapcore.WarnLevel, "wspulse: malformed message dropped", "error:")
	if n, most := w.warnings(), 2+int(time.Since(start)/time.Second); n > most {
		t.Errorf("%d log lines, want %d at the most", n, most)
	}
	for _, entry := range w.logs.All() {
		if line := fmt.Sprint(entry.Message, entry.ContextMap()); strings.Contains(line, "secret") {
			t.Errorf("a payload in the log: %s", line)
		}
	}
	if w.heard.Load() != 1 {
		t.Errorf("OnMessage got %d messages", w.heard.Load())
	}
}

// A request that is no upgrade answers 400.
func TestAbuse_BrokenUpgrade(t *testing.T) {
	replace := func(old, by string) string { return strings.Replace(rawpeer.Opening, old, by, 1) }
	for name, tc := range map[string]struct {
		request string
		logged  bool // net/http answers the others
	}{
		"plain GET":             {"GET / HTTP/1.1\r\nHost: server\r\n\r\n", true},
		"plain POST":            {"POST / HTTP/1.1\r\nHost: server\r\nContent-Length: 2\r\n\r\n{}", true},
		"POST":                  {replace("GET", "POST"), true},
		"no Connection":         {replace("Connection: Upgrade\r\n", ""), true},
		"other Connection":      {replace("Connection: Upgrade", "Connection: keep-alive"), true},
		"no Upgrade":            {replace("Upgrade: websocket\r\n", ""), true},
		"other Upgrade":         {replace("Upgrade: websocket", "Upgrade: h2c"), true},
		"no version":            {replace("Sec-WebSocket-Version: 13\r\n", ""), true},
		"old version":           {replace("Version: 13", "Version: 8"), true},
		"no key":                {replace("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n", ""), true},
		"empty key":             {replace("AAAAAAAAAAAAAAAAAAAAAA==", ""), true},
		"short key":             {replace("AAAAAAAAAAAAAAAAAAAAAA==", "AAAA"), true},
		"key that is no base64": {replace("AAAAAAAAAAAAAAAAAAAAAA==", "!!!!!!!!!!!!!!!!!!!!!!=="), true},
		"no Host":               {replace("Host: server\r\n", ""), false},
		"header without colon":  {replace("Host: server", "Host: server\r\nnonsense"), false},
		"NUL in a header":       {replace("Host: server", "Host: server\r\nX: \x00"), false},
		"no HTTP":               {"hello\r\n\r\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newAbuseWorld(t)
			p := connectRaw(t, w.netWorld)
			p.Write([]byte(tc.request))
			if status := p.Status(); status != http.StatusBadRequest {
				t.Errorf("status %d", status)
			}
			if tc.logged {
				w.expectLog(zapcore.WarnLevel, "wspulse: upgrade refused", "status:400")
			}
			if n := len(w.server.GetConnections("r")); n != 1 {
				t.Errorf("%d members beside the neighbour", n-1)
			}
		})
	}
}

// A frame that does not wait for the answer to the handshake is the session's first.
func TestAbuse_FrameBeforeHandshakeEnds(t *testing.T) {
	w := newAbuseWorld(t)
	mallory := connectRaw(t, w.netWorld)
	mallory.Write([]byte(rawpeer.Opening + string(masked(finText, `{"event":"early"}`))))
	if status := mallory.Status(); status != http.StatusSwitchingProtocols {
		t.Fatalf("status %d", status)
	}
	mallory.Expect(finText, `{"event":"early"}`)
}

// A thousand refused upgrades are a few log lines.
func TestAbuse_FloodOfBrokenUpgrades(t *testing.T) {
	w := newAbuseWorld(t)
	start := time.Now()
	p := connectRaw(t, w.netWorld)
	for range 1000 {
		p.Write([]byte("GET / HTTP/1.1\r\nHost: server\r\n\r\n"))
		if status := p.Status(); status != http.StatusBadRequest {
			t.Fatalf("status %d", status)
		}
	}
	if n, most := w.warnings(), 2+int(time.Since(start)/time.Second); n == 0 || n > most {
		t.Errorf("%d log lines, want 1 to %d", n, most)
	}
}

// A handshake may come a byte at a time. One that never ends keeps nobody waiting, not even Close.
func TestAbuse_SlowHandshake(t *testing.T) {
	w := newAbuseWorld(t)
	slow, stuck := connectRaw(t, w.netWorld), connectRaw(t, w.netWorld)
	stuck.Write([]byte(rawpeer.Opening[:len(rawpeer.Opening)/2]))
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for i := range len(rawpeer.Opening) {
		<-tick.C
		slow.Write([]byte(rawpeer.Opening[i : i+1]))
	}
	if status := slow.Status(); status != http.StatusSwitchingProtocols {
		t.Fatalf("status %d", status)
	}
	slow.Write(masked(finText, `{"event":"at last"}`))
	slow.Expect(finText, `{"event":"at last"}`)
	slow.Write(masked(finClose, ""))
	answer, err := slow.Next()
	if answer != rawpeer.Close(rawpeer.NoStatus, "") || err != nil {
		t.Errorf("answer to a close without status: %v %v", answer, err)
	}
}

// A peer that floods with pings, and reads none of the answers, keeps the memory of a few. The latest is answered.
func TestAbuse_FloodOfPings(t *testing.T) {
	const flood, size = 120_000, 100
	w := newAbuseWorld(t, wspulse.WithWriteWait(30*time.Second))
	mallory := dialRaw(t, w.netWorld)
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	ping := func(n int) string { return fmt.Sprintf("%0*d", size, n) }
	before := heap()
	var chunk []byte
	for n := range flood {
		chunk = append(chunk, masked(finPing, ping(n))...)
		if len(chunk) > 60<<10 || n == flood-1 {
			mallory.Write(chunk)
			chunk = chunk[:0]
		}
	}
	mallory.Write(masked(finText, `{"event":"over"}`))
	eventually(t, "all has been read", func() bool { return w.heard.Load() == 1 })
	if after := heap(); after > before+2<<20 {
		t.Errorf("%d KiB kept for %d KiB of pings", (after-before)>>10, flood*size>>10)
	}
	w.neighbourIsWell()
	pongs, last, over := 0, "", false
	for last != ping(flood-1) || !over {
		got, err := mallory.Next()
		if err != nil {
			t.Fatalf("%d pongs, the last %q, then %v", pongs, strings.TrimLeft(last, "0"), err)
		}
		over = over || got.First == finText && got.Payload == `{"event":"over"}`
		if got.First == finPong {
			if got.Payload <= last {
				t.Fatalf("pong %q after %q", got.Payload, last)
			}
			pongs, last = pongs+1, got.Payload
		}
	}
	t.Logf("%d of %d pings answered", pongs, flood)
	mallory.Write(masked(finText, `{"event":"still here"}`))
	mallory.Expect(finText, `{"event":"still here"}`)
	if n := w.warnings(); n > 0 {
		t.Errorf("%d warnings about a peer that broke no rule", n)
	}
}
