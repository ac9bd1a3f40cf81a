package stresstest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	wspulse "github.com/wspulse/server"
)

// Compressing a message is not writing it: a peer that reads at once is not cut for the time that it takes.
func TestWriting_CompressingTakesItsTime(t *testing.T) {
	const writeWait = 20 * time.Millisecond
	w := newNetWorld(t, wspulse.WithCompression(9, 0), wspulse.WithWriteWait(writeWait))
	dialer := w.dialer()
	dialer.EnableCompression = true
	alice := w.dialWith(dialer, "r", "alice")
	session := w.session("r", "alice")
	words := make([]string, 200_000) // text that takes some time to compress
	for i := range words {
		words[i] = fmt.Sprintf("%x", rand.N(1<<20))
	}
	large, err := json.Marshal(words)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []wspulse.Frame{{Event: "large", Payload: large}, ev("behind")} {
		if err := session.Send(f); err != nil {
			t.Fatal(err)
		}
	}
	start := time.Now()
	for _, event := range []string{"large", "behind"} {
		if err := hear(alice, event); err != nil {
			t.Fatalf("after %v: %v", time.Since(start), err)
		}
	}
	if took := time.Since(start); took < 2*writeWait {
		t.Fatalf("compressing took less than %v: this tries nothing", took)
	}
}

// Peers that do not read cost no buffer each: what their sockets do not take waits in their queues, where the memory budget
// counts it. A batch would be 64 KiB.
func TestWriting_SlowPeersHoldNoBatch(t *testing.T) {
	const peers, frames, size = 100, 200, 1000
	w := newNetWorld(t, wspulse.WithHeartbeat(time.Minute, 2*time.Minute))
	w.listener.buffers.Store(4 << 10)
	for i := range peers {
		w.dial("r", fmt.Sprint(i))
	}
	eventually(t, "all are there", func() bool { return len(w.server.GetConnections("r")) == peers })
	payload, _ := json.Marshal(string(make([]byte, size/6)))
	before := heapInUse()
	for range frames {
		if err := w.server.Broadcast("r", wspulse.Frame{Payload: payload}); err != nil {
			t.Fatal(err)
		}
	}
	held, shared := 0, frames*size
	eventually(t, "a peer that does not read holds less than a batch", func() bool {
		held = (heapInUse() - before - shared) / peers
		return held <= 40<<10
	})
	t.Logf("%d bytes for each", held)
}

// heapInUse returns the bytes of the heap that are reachable, and those of stacks.
func heapInUse() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}

// A message of which a part has been written, and which is waited for, counts for the memory budget. Its session pays,
// and not those that hold less.
func TestWriting_WhatIsWaitedForIsCounted(t *testing.T) {
	needKernel(t)
	tally := &loadTally{}
	suspended := make(chan struct{})
	w := newNetWorld(t, wspulse.WithMetrics(tally), wspulse.WithMemoryBudget(1<<20), wspulse.WithResumeWindow(time.Minute),
		wspulse.WithOnTransportDrop(func(wspulse.Connection, error) { close(suspended) }))
	bob := w.dial("r", "bob")
	_ = bob.Close()
	<-suspended
	for range 10 { // wait for him
		if err := w.server.Send("bob", ev("small")); err != nil {
			t.Fatal(err)
		}
	}
	w.dial("r", "alice") // and reads nothing
	alice := w.session("r", "alice")
	for sent := int64(1); writes(tally, alice, sent, 900<<10); sent++ {
	}
	if n := tally.dropped.Load(); n > 0 {
		t.Fatalf("%d dropped before the budget is used up", n)
	}
	for n := int64(1); n <= 5; n++ {
		if err := alice.Send(sized(200 << 10)); err != nil {
			t.Fatal(err)
		}
		eventually(t, "a frame is dropped for the budget", func() bool { return tally.dropped.Load() == n })
	}
	again := w.dial("r", "bob")
	for range 10 {
		if err := hear(again, "small"); err != nil {
			t.Fatal(err)
		}
	}
}

func sized(size int) wspulse.Frame {
	return wspulse.Frame{Event: "large", Payload: []byte(`"` + strings.Repeat("x", size) + `"`)}
}

// writes sends a frame of that size, and says whether it has been written, as number sent of all, within a moment.
func writes(tally *loadTally, c wspulse.Connection, sent int64, size int) (written bool) {
	if c.Send(sized(size)) != nil {
		return false
	}
	for start := time.Now(); time.Since(start) < 500*time.Millisecond; time.Sleep(5 * time.Millisecond) {
		if tally.sent.Load() == sent {
			return true
		}
	}
	return false
}
