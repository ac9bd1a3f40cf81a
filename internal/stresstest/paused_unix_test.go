//go:build unix

package stresstest

import (
	"fmt"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"

	wspulse "github.com/wspulse/server"
)

// A process that stands still for longer than pongWait, as one that is stopped or whose machine is moved, cuts nobody: all have
// answered, or are asked once more.
func TestPaused_NobodyIsCut(t *testing.T) {
	const peers = 50
	var cut atomic.Int64
	w := newNetWorld(t, wspulse.WithHeartbeat(100*time.Millisecond, 300*time.Millisecond),
		wspulse.WithOnDisconnect(func(wspulse.Connection, error) { cut.Add(1) }))
	for i := range peers {
		peer := w.dial("r", fmt.Sprint(i))
		go func() {
			for {
				if _, _, err := peer.ReadMessage(); err != nil {
					_ = peer.Close()
					return
				}
			}
		}()
	}
	eventually(t, "all are there", func() bool { return len(w.server.GetConnections("r")) == peers })
	for range 3 {
		pause := exec.Command("sh", "-c", fmt.Sprintf("kill -STOP %d; sleep 0.7; kill -CONT %[1]d", os.Getpid()))
		if err := pause.Run(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(500 * time.Millisecond)
	}
	if n := cut.Load(); n > 0 {
		t.Errorf("%d of %d were cut", n, peers)
	}
}
