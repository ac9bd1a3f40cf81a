package wspulse

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/wspulse/server/internal/ask"
)

// A ReplyError is the error of [Connection].Request where the peer has replied with an error.
type ReplyError struct {
	Code    string // for programs; empty where the payload is not {"code","message"}
	Message string // for people, and the peer's own words; there it is the whole payload
}

// Error says what the peer has replied.
func (e *ReplyError) Error() string {
	if e.Code == "" {
		return "wspulse: the peer has replied with an error: " + e.Message
	}
	return fmt.Sprintf("wspulse: the peer has replied with an error: %s: %s", e.Code, e.Message)
}

// Requests are those of a session that are under way.
type requests struct {
	mu      sync.Mutex            // guards waiting; a leaf
	waiting map[string]chan Frame // by ID, of capacity 1 and never closed: for the reply; nil while there are none
}

// add has a request wait for its reply. It returns nil where one with that ID waits already.
func (r *requests) add(id string) <-chan Frame {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting[id] != nil {
		return nil
	}
	if r.waiting == nil {
		r.waiting = make(map[string]chan Frame)
	}
	reply := make(chan Frame, 1)
	r.waiting[id] = reply
	return reply
}

// remove takes out a request, and returns what it waits with; nil: it does not wait any more.
func (r *requests) remove(id string) chan<- Frame {
	r.mu.Lock()
	defer r.mu.Unlock()
	reply := r.waiting[id]
	if delete(r.waiting, id); len(r.waiting) == 0 {
		r.waiting = nil
	}
	return reply
}

// forget takes out a request that is given up, and says whether it was there: its ID may be another one's by now.
func (r *requests) forget(id string, reply <-chan Frame) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if waiting := r.waiting[id]; waiting == nil || waiting != reply {
		return false
	}
	if delete(r.waiting, id); len(r.waiting) == 0 {
		r.waiting = nil
	}
	return true
}

// any says that there are some. A nil table has none.
func (r *requests) any() bool {
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.waiting) > 0
}

// Request implements Connection.
func (s *session) Request(ctx context.Context, f Frame) (Frame, error) {
	start := time.Now()
	reply, result, err := s.request(ctx, f)
	s.hub.cfg.requests.RequestDone(s.RoomID(), s.id, result, time.Since(start))
	return reply, err
}

// request is Request, and says how it ended.
func (s *session) request(ctx context.Context, f Frame) (reply Frame, result string, err error) {
	id := s.hub.requestIDs.Next() // also where it is not used: from now on there may be replies
	if f.ID == "" {
		f.ID = id
	}
	if ctx.Err() != nil {
		return Frame{}, canceled(ctx), context.Cause(ctx)
	}
	r := s.openRequests()
	replied := r.add(f.ID)
	if replied == nil {
		return Frame{}, "unsent", fmt.Errorf("wspulse: a request with the ID %.40q is under way", f.ID)
	}
	if err := s.Send(f); err != nil {
		r.forget(f.ID, replied)
		if errors.Is(err, ErrConnectionClosed) {
			return Frame{}, "closed", err
		}
		return Frame{}, "unsent", err
	}
	s.outbox.attached().passReadingOn()
	select {
	case reply = <-replied:
		return s.take(reply)
	case <-ctx.Done():
		result, err = canceled(ctx), context.Cause(ctx)
	case <-s.done.C():
		result, err = "closed", ErrConnectionClosed
	}
	if !r.forget(f.ID, replied) { // the reply was there first
		return s.take(<-replied)
	}
	return Frame{}, result, err
}

// take says what a reply means.
func (s *session) take(reply Frame) (_ Frame, result string, err error) {
	if reply.Event == s.hub.cfg.failureEvent {
		code, text := ask.ParseFailure(reply)
		return reply, "error", &ReplyError{code, text}
	}
	return reply, "reply", nil
}

// canceled is how a request ended whose ctx is done.
func canceled(ctx context.Context) (result string) {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return "timeout"
	}
	return "canceled"
}

// openRequests returns those that are under way, which most sessions never have.
func (s *session) openRequests() *requests {
	if s.requests.Load() == nil {
		s.requests.CompareAndSwap(nil, &requests{})
	}
	return s.requests.Load()
}

// takeReply gives a reply to the request that waits for it, and says whether f is one. Read pump.
func (s *session) takeReply(f Frame) bool {
	reply, failure := s.ReplyEvents()
	if f.ID == "" || f.Event != reply && f.Event != failure || !s.hub.requestIDs.Begun() {
		return false
	}
	if r := s.requests.Load(); r != nil {
		if waiting := r.remove(f.ID); waiting != nil {
			waiting <- f
			return true
		}
	}
	s.hub.cfg.requests.ReplyIgnored(s.RoomID(), s.id)
	return true
}

// ReplyEvents returns the events that WithReplyEvents has set. Package rpc asks for them.
func (s *session) ReplyEvents() (reply, failure string) {
	return s.hub.cfg.replyEvent, s.hub.cfg.failureEvent
}
