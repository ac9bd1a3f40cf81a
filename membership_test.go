package wspulse

import (
	"fmt"
	"runtime"
	"testing"
	"unsafe"
)

// A membership costs 64 bytes at the most beside that at home: 100,000 of 10,000 sessions in 1,000 rooms.
func TestMembership_Memory(t *testing.T) {
	const sessions, rooms, each = 10_000, 1000, 10
	h, _ := newQuietHub(0, 16, NoopCollector{})
	all := make([]*session, sessions)
	for i := range all {
		all[i] = newSession(h, fmt.Sprint(i), "")
		h.insert(all[i], "home")
	}
	ids := make([]string, rooms)
	for i := range ids {
		ids[i] = fmt.Sprint("room ", i)
		h.enter(&newSession(h, "first", "").home, ids[i]) // a room has costs of its own
	}
	before := reachable()
	for i, s := range all {
		for n := range each {
			if joined, err := h.join(s, ids[(i*7+n*101)%rooms]); !joined || err != nil {
				t.Fatal(joined, err)
			}
		}
	}
	cost := float64(reachable()-before) / (sessions * each)
	t.Logf("%.1f bytes for a membership", cost)
	if cost > 64 {
		t.Errorf("%.1f bytes for a membership", cost)
	}
	for _, s := range all {
		for _, id := range s.Rooms()[1:] {
			if !h.leave(s, id) {
				t.Fatal("not there")
			}
		}
	}
	runtime.KeepAlive(all)
}

func reachable() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// What a delivery touches of a session is in two cache lines.
func TestSession_Layout(t *testing.T) {
	var s session
	if at := unsafe.Offsetof(s.outbox); unsafe.Sizeof(uintptr(0)) == 8 && at != 64 {
		t.Errorf("the outbox is at %d", at)
	}
}

// What it costs to join a room and to leave it again.
func BenchmarkJoin(b *testing.B) {
	for _, members := range []int{10, 1000, 100_000} {
		b.Run(fmt.Sprint("room=", members), func(b *testing.B) {
			h, _ := newQuietHub(0, 16, NoopCollector{})
			for i := range members {
				h.insert(newSession(h, fmt.Sprint(i), ""), "r")
			}
			s := newSession(h, "alice", "")
			h.insert(s, "home")
			for b.Loop() {
				if joined, _ := h.join(s, "r"); !joined || !h.leave(s, "r") {
					b.Fatal("not joined, or not left")
				}
			}
		})
	}
}
