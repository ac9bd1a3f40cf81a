package wspulse

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
	"unsafe"
)

// A session that has never asked pays one pointer, and one that does not ask any more keeps no map.
func TestRequests_IdleSessions(t *testing.T) {
	if size := unsafe.Sizeof((&session{}).requests); size != unsafe.Sizeof(uintptr(0)) {
		t.Errorf("%d bytes", size)
	}
	_, sessions := newQuietHub(1, 4, NoopCollector{})
	s := sessions[0]
	_ = s.Send(Frame{Event: "hello"})
	if s.takeReply(Frame{ID: "1", Event: "ack"}) || s.requests.Load() != nil {
		t.Error("without a request")
	}
	for _, id := range []string{"a", "b"} {
		if s.openRequests().add(id) == nil || s.openRequests().add(id) != nil {
			t.Error("add")
		}
	}
	if !s.requests.Load().any() || s.requests.Load().remove("a") == nil || s.requests.Load().remove("a") != nil {
		t.Error("remove")
	}
	s.requests.Load().remove("b")
	if r := s.requests.Load(); r.any() || r.waiting != nil {
		t.Errorf("%v", r.waiting)
	}
}

// ignoredReplies counts the replies that nobody waited for.
type ignoredReplies struct {
	NoopCollector
	n atomic.Int64
}

func (m *ignoredReplies) ReplyIgnored(_, _ string) { m.n.Add(1) }

// A reply comes at the moment at which the session ends, or the context does: either the request gets it, or it is
// counted as ignored.
func TestRequests_ReplyRacesTheEnd(t *testing.T) {
	for range 500 {
		h, sessions := newQuietHub(1, 4, NoopCollector{})
		m := &ignoredReplies{}
		h.cfg.requests = m
		s := sessions[0]
		ctx, cancel := context.WithCancel(t.Context())
		replied := make(chan error)
		go func() {
			_, err := s.Request(ctx, Frame{ID: "1", Event: "ask"})
			replied <- err
		}()
		for !s.requests.Load().any() || s.outbox.queued() == 0 { // it may be refused until it is queued
			runtime.Gosched()
		}
		if rand.IntN(2) == 0 {
			go cancel()
		} else {
			go s.done.close()
		}
		s.takeReply(Frame{ID: "1", Event: "ack"})
		if err := <-replied; (err == nil) != (m.n.Load() == 0) {
			t.Fatalf("%v, and %d replies ignored", err, m.n.Load())
		}
		cancel()
	}
}
