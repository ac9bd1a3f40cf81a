package stresstest

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/internal/rawpeer"
)

// echo sends back what comes.
func echo(c wspulse.Connection, f wspulse.Frame) { _ = c.Send(f) }

// talk has a peer say words, and wants each of them back.
func talk(ws *websocket.Conn, name string, words int) error {
	for i := range words {
		word := fmt.Sprint(name, " ", i)
		if err := say(ws, word); err != nil {
			return err
		}
		if err := hear(ws, word); err != nil {
			return err
		}
	}
	return nil
}

// warmUp has callbacks of a link return quickly, after which one goroutine runs them in turn with those of other links.
func warmUp(t *testing.T, ws *websocket.Conn) {
	t.Helper()
	if err := talk(ws, "quick", 3); err != nil {
		t.Fatal(err)
	}
}

// openRaw opens a WebSocket in the room "r" by a peer that puts any bytes on the wire.
func openRaw(t *testing.T, w *netWorld, id string) *rawpeer.Peer {
	t.Helper()
	p := connectRaw(t, w)
	p.Write([]byte(strings.Replace(rawpeer.Opening, "mallory", id, 1)))
	if status := p.Status(); status != 101 {
		t.Fatalf("upgrade of %s: status %d", id, status)
	}
	return p
}

// A peer that sends 10,000 messages ahead gets all the replies, in order, where the callback waits for room.
func TestEngine_Pipelining(t *testing.T) {
	const messages = 10_000
	w := newNetWorld(t, wspulse.WithOnMessage(func(c wspulse.Connection, f wspulse.Frame) {
		for c.Send(f) != nil {
			time.Sleep(50 * time.Microsecond)
		}
	}))
	p := dialRaw(t, w)
	var ahead []byte
	for i := range messages {
		ahead = append(ahead, masked(finText, fmt.Sprintf(`{"event":"%d"}`, i))...)
	}
	go p.Write(ahead)
	for i := range messages {
		p.Expect(finText, fmt.Sprintf(`{"event":"%d"}`, i))
		if t.Failed() {
			break
		}
	}
}

// Peers that stop inside a frame keep nobody from being served. One that goes on is heard, one that does not is ended
// when its message has taken too long.
func TestEngine_StopsInsideAFrame(t *testing.T) {
	const peers, timeout = 10, time.Second
	ended := make(chan error, 2*peers)
	w := newNetWorld(t, wspulse.WithMessageTimeout(timeout), wspulse.WithOnMessage(echo),
		wspulse.WithOnDisconnect(func(_ wspulse.Connection, err error) { ended <- err }))
	frame := masked(finText, `{"event":"in two parts"}`)
	alice := w.dial("r", "alice")
	var stopped []*rawpeer.Peer
	start := time.Now()
	for i := range peers {
		p := openRaw(t, w, fmt.Sprint("p", i))
		p.Write(frame[:1+i*2]) // inside the header or the payload
		stopped = append(stopped, p)
		if err := talk(alice, "alice", 10); err != nil {
			t.Fatalf("beside %d that have stopped: %v", i+1, err)
		}
	}
	if took := time.Since(start); took < timeout {
		for i, p := range stopped[:peers/2] {
			p.Write(frame[1+i*2:])
			p.Expect(finText, `{"event":"in two parts"}`)
			p.Write(frame) // and it waits without a message again
			p.Expect(finText, `{"event":"in two parts"}`)
		}
	} else {
		t.Skipf("the machine is too busy: %v", took)
	}
	for _, p := range stopped[peers/2:] {
		p.ExpectClose(websocket.ClosePolicyViolation)
		_ = p.Conn.Close()
	}
	if took := time.Since(start); took < timeout {
		t.Errorf("ended after %v", took)
	}
	for range peers - peers/2 {
		var limit *wspulse.LimitError
		if err := <-ended; !errors.As(err, &limit) || limit.Limit != wspulse.LimitMessageTime {
			t.Errorf("ended by %v", err)
		}
	}
	if err := talk(alice, "alice", 10); err != nil {
		t.Error(err)
	}
}

// Callbacks that block cost other links nothing.
func TestEngine_CallbacksBlock(t *testing.T) {
	const blocked, served, words = 20, 10, 100
	release, entered := make(chan struct{}), make(chan struct{}, blocked)
	w := newNetWorld(t, wspulse.WithOnMessage(func(c wspulse.Connection, f wspulse.Frame) {
		if f.Event == "block" {
			entered <- struct{}{}
			<-release
		}
		_ = c.Send(f)
	}))
	var peers []*websocket.Conn
	for i := range blocked {
		peer := w.dial("r", fmt.Sprint("blocked", i))
		peers = append(peers, peer)
		warmUp(t, peer)
		if err := say(peer, "block"); err != nil {
			t.Fatal(err)
		}
		<-entered
	}
	if err := forEach(served, func(i int) error {
		return talk(w.dial("r", fmt.Sprint("served", i)), "served", words)
	}); err != nil {
		t.Error(err)
	}
	close(release)
	for _, peer := range peers {
		if err := hear(peer, "block"); err != nil {
			t.Error(err)
		}
		if err := talk(peer, "freed", 3); err != nil {
			t.Error(err)
		}
	}
}

// Callbacks that wait do so side by side: for a moment or for long, and also where each link has quick ones between.
func TestEngine_CallbacksWaitSideBySide(t *testing.T) {
	const peers = 100
	for name, test := range map[string]struct {
		wait  time.Duration
		words []string
	}{
		"a moment": {5 * time.Millisecond, slices.Repeat([]string{"wait"}, 50)},
		"long":     {50 * time.Millisecond, slices.Repeat([]string{"wait"}, 20)},
		"by turns": {10 * time.Millisecond, slices.Repeat([]string{"wait", "do not"}, 50)},
	} {
		t.Run(name, func(t *testing.T) {
			w := newNetWorld(t, wspulse.WithOnMessage(func(c wspulse.Connection, f wspulse.Frame) {
				if f.Event == "wait" {
					time.Sleep(test.wait)
				}
				_ = c.Send(f)
			}))
			conns := make([]*websocket.Conn, peers)
			for i := range conns {
				conns[i] = w.dial("r", fmt.Sprint(i))
			}
			waits := 0
			for _, word := range test.words {
				if word == "wait" {
					waits++
				}
			}
			start := time.Now()
			if err := forEach(peers, func(i int) error {
				for _, word := range test.words {
					if err := say(conns[i], word); err != nil {
						return err
					}
					if err := hear(conns[i], word); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
			const busy = 3 * time.Second // that the machine may be with other things; one after the other takes longer
			least := time.Duration(waits) * test.wait
			if took := time.Since(start); took > least+busy {
				t.Errorf("took %v; side by side they take %v, one by one %v", took, least, peers*least)
			}
		})
	}
}

// A callback that ends its goroutine ends its session, and nobody else's.
func TestEngine_Goexit(t *testing.T) {
	ended := make(chan string, 64)
	w := newNetWorld(t, wspulse.WithOnMessage(func(c wspulse.Connection, f wspulse.Frame) {
		_ = c.Send(f)
		if f.Event == "exit" {
			runtime.Goexit()
		}
	}), wspulse.WithOnDisconnect(func(c wspulse.Connection, _ error) { ended <- c.ID() }))
	alice := w.dial("r", "alice")
	for i := range 30 {
		id := fmt.Sprint("p", i)
		peer := w.dial("r", id)
		warmUp(t, peer)
		if err := errors.Join(say(peer, "exit"), say(peer, "never heard")); err != nil {
			t.Fatal(err)
		}
		if err := talk(alice, "alice", 3); err != nil {
			t.Fatalf("after %d: %v", i+1, err)
		}
		if got := <-ended; got != id {
			t.Errorf("%s ended, want %s", got, id)
		}
		_ = peer.Close()
	}
}

// Server.Close and Connection.Close inside a callback write what that has sent, and then the close frame.
func TestEngine_CloseInCallback(t *testing.T) {
	const frames = 200
	for name, tc := range map[string]struct {
		end  func(w *netWorld, c wspulse.Connection)
		code int
	}{
		"Connection.Close": {func(_ *netWorld, c wspulse.Connection) { _ = c.Close() }, 1000},
		"Server.Close":     {func(w *netWorld, _ wspulse.Connection) { w.server.Close() }, 1001},
	} {
		for _, n := range []int{1, frames} {
			t.Run(fmt.Sprintf("%s after %d frames", name, n), func(t *testing.T) {
				var w *netWorld
				took := make(chan time.Duration, 1)
				w = newNetWorld(t, wspulse.WithOnMessage(func(c wspulse.Connection, f wspulse.Frame) {
					if f.Event != "end" {
						_ = c.Send(f)
						return
					}
					start := time.Now()
					for i := range n {
						if err := c.Send(ev(fmt.Sprint(i))); err != nil {
							t.Error(err)
						}
					}
					tc.end(w, c)
					took <- time.Since(start)
				}))
				p := dialRaw(t, w)
				for range 3 {
					p.Write(masked(finText, `{"event":"quick"}`))
					p.Expect(finText, `{"event":"quick"}`)
				}
				p.Write(masked(finText, `{"event":"end"}`))
				for i := range n {
					p.Expect(finText, fmt.Sprintf(`{"event":"%d"}`, i))
				}
				got, err := p.Next()
				if err != nil || got.Code() != tc.code {
					t.Fatalf("peer read %v (%v), want close %d", got, err, tc.code)
				}
				p.Write(masked(finClose, got.Payload))
				p.ExpectEnd()
				_ = p.Conn.Close()
				if took := <-took; took > time.Second {
					t.Errorf("returned after %v", took)
				}
			})
		}
	}
}

// A peer whose last message comes with its end is heard.
func TestEngine_LastWordWithEnd(t *testing.T) {
	const peers = 200
	heard := make(chan string, peers)
	w := newNetWorld(t, wspulse.WithOnMessage(func(_ wspulse.Connection, f wspulse.Frame) { heard <- f.Event }))
	for i := range peers {
		word := fmt.Sprint("last of ", i)
		p := openRaw(t, w, fmt.Sprint("p", i))
		p.Write(masked(finText, fmt.Sprintf(`{"event":%q}`, word)))
		_ = p.Conn.(interface{ CloseWrite() error }).CloseWrite()
		if got := <-heard; got != word {
			t.Fatalf("heard %q, want %q", got, word)
		}
		_, _ = io.Copy(io.Discard, p.In)
		_ = p.Conn.Close()
	}
}
