package stresstest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	wspulse "github.com/wspulse/server"
	enginepoll "github.com/wspulse/server/internal/poll"
	"github.com/wspulse/server/wstest"
)

// Where no descriptor is left for the engine, connections are served, and closed, as elsewhere.
func TestEngine_DescriptorLimit(t *testing.T) {
	w := newNetWorld(t, wspulse.WithOnMessage(echo))
	before := w.dial("r", "before")
	restore := leaveFiles(t, 2) // both ends of one connection
	limited, err := w.tryDial(w.dialer(), "r", "limited")
	if err != nil {
		restore()
		t.Fatal(err)
	}
	defer limited.Close()
	err = talk(limited, "limited", 10)
	null, openErr := os.Open(os.DevNull)
	restore()
	if err != nil {
		t.Error(err)
	}
	if openErr == nil {
		_ = null.Close()
		t.Error("there was a descriptor left")
	}
	after := w.dial("r", "after")
	for name, ws := range map[string]*websocket.Conn{"before": before, "limited": limited, "after": after} {
		if err := talk(ws, name, 10); err != nil {
			t.Errorf("connected %s: %v", name, err)
		}
	}
	for _, id := range []string{"before", "limited", "after"} {
		if err := w.server.Kick(id); err != nil {
			t.Error(err)
		}
	}
	hearClose(t, before, 1000, "kicked")
	hearClose(t, limited, 1000, "kicked")
	hearClose(t, after, 1000, "kicked")
}

// leaveFiles lets the process open n files more until restore is called.
func leaveFiles(t *testing.T, n int) (restore func()) {
	t.Helper()
	var before, few syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	var free []int
	for range n {
		fd, err := syscall.Dup(0)
		if err != nil {
			t.Fatal(err)
		}
		free = append(free, fd)
	}
	few.Cur, few.Max = uint64(free[n-1]+1), before.Max
	err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few)
	for _, fd := range free {
		_ = syscall.Close(fd)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
			t.Error(err)
		}
	}
}

// A program that is started while connections are open does not keep them open.
func TestEngine_ForkAndExec(t *testing.T) {
	const peers = 20
	w := newNetWorld(t, wspulse.WithOnMessage(echo))
	var conns []*websocket.Conn
	for i := range peers {
		conns = append(conns, w.dial("r", fmt.Sprint(i)))
		if err := exec.Command("true").Run(); err != nil {
			t.Fatal(err)
		}
	}
	sleeper := exec.Command("sleep", fmt.Sprint(int(2*patience/time.Second)))
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = sleeper.Process.Kill()
		_ = sleeper.Wait()
	}()
	for i, ws := range conns {
		if err := talk(ws, fmt.Sprint(i), 3); err != nil {
			t.Fatal(err)
		}
	}
	go w.server.Close()
	for _, ws := range conns {
		hearClose(t, ws, 1001, "server shutting down")
		_ = ws.NetConn().SetReadDeadline(time.Now().Add(patience))
		if n, err := ws.NetConn().Read(make([]byte, 1)); n > 0 || isNetTimeout(err) {
			t.Errorf("%d bytes, %v, after the close frame", n, err)
		}
	}
}

// Many thousands of connections, that end in any way, leave no descriptor.
func TestEngine_NoDescriptorLeaks(t *testing.T) {
	peers := 10_000
	if *stressFor >= time.Minute {
		peers = 100_000
	}
	needFiles(t, 2000)
	w := newNetWorld(t, wspulse.WithOnMessage(echo))
	if err := talk(w.dial("r", "first"), "first", 1); err != nil {
		t.Fatal(err)
	}
	before := openFiles(t)
	if err := forEach(peers, func(i int) error {
		ws, err := w.tryDial(w.dialer(), fmt.Sprint("r", i%50), fmt.Sprint("p", i))
		if err != nil {
			return err
		}
		defer ws.Close()
		if err := talk(ws, fmt.Sprint(i), i%3); err != nil {
			return err
		}
		switch i % 4 {
		case 0:
			return ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""), time.Time{})
		case 1:
			return ws.NetConn().(*net.TCPConn).SetLinger(0)
		case 2:
			w.session(fmt.Sprint("r", i%50), fmt.Sprint("p", i))
			if err := w.server.Kick(fmt.Sprint("p", i)); err != nil {
				return err
			}
			if _, _, err := ws.ReadMessage(); !websocket.IsCloseError(err, 1000) {
				return fmt.Errorf("kicked: %w", err)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if !poll(func() bool { return openFiles(t) <= before }) {
		t.Errorf("%d descriptors are open, %d before", openFiles(t), before)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// A server that sees no plain TCP starts no poller; one that does starts one.
func TestEngine_NoPollerWithoutTCP(t *testing.T) {
	eventually(t, "those of other tests have ended", func() bool { return pollerGoroutines("") == 0 })
	t.Run("bubble", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			server := wspulse.NewServer(fromQuery, wspulse.WithOnMessage(echo))
			web := wstest.NewServer(t, server)
			t.Cleanup(server.Close)
			client := web.Dial("/?room=r&id=alice")
			client.Send(ev("hello"))
			client.Expect("hello")
			synctest.Wait()
			noPoller(t)
		})
	})
	t.Run("TLS", func(t *testing.T) {
		w := newTLSWorld(t, wspulse.WithOnMessage(echo))
		if err := talk(w.dial("r", "alice"), "alice", 3); err != nil {
			t.Fatal(err)
		}
		noPoller(t)
	})
	t.Run("TCP", func(t *testing.T) {
		if p, err := enginepoll.New(); err != nil {
			t.Skipf("no poller here: %v", err)
		} else {
			p.Close()
		}
		w := newNetWorld(t, wspulse.WithOnMessage(echo))
		alice := w.dial("r", "alice")
		if err := talk(alice, "alice", 3); err != nil {
			t.Fatal(err)
		}
		eventually(t, "one goroutine leads", func() bool { return pollerGoroutines("Worker") == 1 })
		_ = alice.Close()
		w.server.Close()
		eventually(t, "nobody leads", func() bool { return pollerGoroutines("") == 0 })
	})
}

func noPoller(t *testing.T) {
	t.Helper()
	if n := pollerGoroutines(""); n > 0 {
		t.Errorf("%d goroutines of a poller", n)
	}
}

// pollerGoroutines returns how many goroutines run a method of that type of package poll.
func pollerGoroutines(of string) (n int) {
	stacks := make([]byte, 4<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for stack := range strings.SplitSeq(string(stacks), "\n\n") {
		stack, _, _ = strings.Cut(stack, "\ncreated by ")
		if strings.Contains(stack, "wspulse/server/internal/poll.(*"+of) {
			n++
		}
	}
	return n
}
