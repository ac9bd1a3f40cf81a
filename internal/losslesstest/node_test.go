package losslesstest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/internal/lossless"
)

// clientjs is where the JavaScript client is.
var clientjs = filepath.Join("..", "..", "clientjs")

// TestNode is the proof with the JavaScript client in Node, on each of the two libraries that have WebSockets for it. Its
// size is a tenth of that of TestLossless, or 1,000 messages and 20 faults in 3 s.
func TestNode(t *testing.T) {
	for _, library := range []string{"ws", "undici"} {
		t.Run(library, func(t *testing.T) {
			t.Parallel() // most of it is waiting
			node := findNode(t, library)
			p := lossless.New(t, clientjs, wspulse.WithHeartbeat(pingPeriod, pongWait))
			const clients = 4
			messages, faults := max(*flagMessages/10, 1000)/clients, max(*flagFaults/10, 20)
			length := max(*flagLength/10, 3*time.Second)
			quit := make(chan struct{})
			var faulty sync.WaitGroup
			var urls []string
			for i := range clients {
				network := p.NewNetwork()
				urls = append(urls, fmt.Sprintf("%s?id=%s-%d&down=%d&length=%d", network.URL(), library, i, messages, length.Milliseconds()))
				kind := lossless.Fault(i) + lossless.BlackHole
				faulty.Go(func() { network.Suffer(kind%lossless.Kinds, length*clients/time.Duration(faults)/2, quit) })
			}
			var talks []lossless.Talk
			node("node.mjs", map[string]any{"urls": urls, "up": messages, "down": messages, "length": length.Milliseconds()}, &talks)
			close(quit)
			faulty.Wait()
			for _, talk := range talks {
				p.Judge(talk, messages, messages)
			}
			p.JudgeMetrics(faults)
			t.Logf("%d messages each way; %s", clients*messages, p.Summary())
		})
	}
}

// At a server that does not know wspulse.v1 the JavaScript client says at once what to do, and does without it if told so.
func TestNodeOldServer(t *testing.T) {
	for _, library := range []string{"ws", "undici"} {
		t.Run(library, func(t *testing.T) {
			t.Parallel()
			var visit lossless.Visit
			findNode(t, library)("old.mjs", map[string]any{"url": lossless.NewOld(t)}, &visit)
			visit.Check(t)
		})
	}
}

// findNode returns what runs a program in the directory outsider, and reads what it prints. Without Node the test is
// skipped.
func findNode(t *testing.T, library string) func(program string, plan map[string]any, result any) {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("needs Node: ", err)
	}
	if _, err := os.Stat(filepath.Join(clientjs, "node_modules", library, "package.json")); err != nil {
		t.Fatalf("the JavaScript client's packages are missing: run npm ci --prefix clientjs (%v)", err)
	}
	path, err := filepath.Abs(clientjs)
	if err != nil {
		t.Fatal(err)
	}
	return func(program string, plan map[string]any, result any) {
		t.Helper()
		plan["library"], plan["clientjs"] = library, path
		given, err := json.Marshal(plan)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		cmd := exec.CommandContext(ctx, node, filepath.Join("outsider", program), string(given))
		cmd.Stderr = os.Stderr
		output, err := cmd.Output()
		if err == nil {
			err = json.Unmarshal(output, result)
		}
		if err != nil {
			t.Fatalf("%v: Node printed %.2000q", err, output)
		}
	}
}
