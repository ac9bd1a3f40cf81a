package client

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/wspulse/server/internal/ask"
)

// NewFrame returns a frame with that event and the JSON of v as its payload, or without a payload where v is nil. The
// error names the event, and wraps that of encoding/json.
func NewFrame(event string, v any) (Frame, error) { return ask.NewFrame(event, v) }

// Bind decodes the JSON of a frame's payload into what v points to, by the rules of encoding/json. A frame without a
// payload counts as null, which leaves structs, numbers and strings as they are. The error names the event, and wraps
// that of encoding/json.
func Bind(f Frame, v any) error { return ask.Bind(f, v) }

// A ReplyError is the error of [Client].Request where the server has replied with an error. A handler of
// WithRequestHandler returns one to choose what the server is told.
type ReplyError struct {
	Code    string // for programs; empty where the payload is not {"code","message"}
	Message string // for people, and the server's own words; there it is the whole payload
}

// Error says what the reply is.
func (e *ReplyError) Error() string {
	if e.Code == "" {
		return "wspulse: client: the reply is an error: " + e.Message
	}
	return fmt.Sprintf("wspulse: client: the reply is an error: %s: %s", e.Code, e.Message)
}

// A SessionLostError is the error of a Request whose session did not survive a drop: its reply will not come.
type SessionLostError struct {
	// Reason says why the session is gone, as Lost does.
	Reason string
	// Unprocessed says that the request is among Lost.Unprocessed. The server's application has not processed it then,
	// as far as is known, and it may be made again; otherwise it was processed, and its reply is lost.
	Unprocessed bool
}

// Error says why the session is gone, and what has become of the request.
func (e *SessionLostError) Error() string {
	if e.Unprocessed {
		return fmt.Sprintf("wspulse: client: the session was lost (%s) before the request was processed", e.Reason)
	}
	return fmt.Sprintf("wspulse: client: the session was lost (%s), and with it the reply to the request", e.Reason)
}

// An answer is what a request gets: a reply, or an error where there will be none.
type answer struct {
	reply Frame
	err   error
}

// A waiter is a request that is under way.
type waiter struct {
	message *message
	answer  chan answer // of capacity 1; never closed
	then    func()      // runs when a reply has come that is no failure, also when that is not waited for any more; or nil
}

// Request implements Client.
func (c *client) Request(ctx context.Context, f Frame) (Frame, error) { return c.request(ctx, f, nil) }

// request is Request. then may be nil; see waiter.
func (c *client) request(ctx context.Context, f Frame, then func()) (Frame, error) {
	id := c.requestIDs.Next() // also where it is not used: from now on there may be replies
	if f.ID == "" {
		f.ID = id
	}
	if ctx.Err() != nil {
		return Frame{}, context.Cause(ctx)
	}
	data, err := c.encode(f)
	if err != nil {
		return Frame{}, err
	}
	w := &waiter{&message{data}, make(chan answer, 1), then}
	t, err := c.queueRequest(f.ID, w)
	if err != nil {
		return Frame{}, err
	}
	t.wakeUp()
	select {
	case a := <-w.answer:
		return c.take(a)
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-c.closed:
		err = ErrConnectionClosed
	}
	if c.giveUp(f.ID, w) {
		return Frame{}, err
	}
	return c.take(<-w.answer)
}

// take says what an answer means.
func (c *client) take(a answer) (Frame, error) {
	if a.err == nil && a.reply.Event == c.cfg.failureEvent {
		code, text := ask.ParseFailure(a.reply)
		a.err = &ReplyError{code, text}
	}
	return a.reply, a.err
}

// queueRequest has a request wait for its reply, and its message wait to be sent. It returns the transport, if there is
// one, which is to be woken up.
func (c *client) queueRequest(id string, w *waiter) (*transport, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.requests[id] != nil {
		return nil, fmt.Errorf("wspulse: client: a request with the ID %.40q is under way", id)
	}
	t, err := c.push(w.message)
	if err != nil {
		return nil, err
	}
	if c.requests == nil {
		c.requests = make(map[string]*waiter)
	}
	c.requests[id] = w
	return t, nil
}

// removeRequest takes out a request; nil: it does not wait any more.
func (c *client) removeRequest(id string) *waiter {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.requests[id]
	delete(c.requests, id)
	return w
}

// giveUp has a request wait no more; false: its answer was there first. One that does something then stays, for that.
func (c *client) giveUp(id string, w *waiter) bool {
	if w.then == nil {
		return c.removeRequest(id) != nil
	}
	return len(w.answer) == 0
}

// takeReply gives a reply to the request that waits for it, and says whether f is one.
func (c *client) takeReply(f Frame) bool {
	if f.ID == "" || f.Event != c.cfg.replyEvent && f.Event != c.cfg.failureEvent || !c.requestIDs.Begun() {
		return false
	}
	if w := c.removeRequest(f.ID); w != nil {
		if w.then != nil && f.Event == c.cfg.replyEvent {
			w.then()
		}
		w.answer <- answer{reply: f}
	}
	return true
}

// loseRequests takes out the requests that were sent in a session that is lost, and returns the errors that each of
// them is to get. It runs with mu held.
func (c *client) loseRequests(l *loss) map[*waiter]error {
	if len(c.requests) == 0 {
		return nil
	}
	unprocessed, waiting := map[*message]bool{}, map[*message]bool{}
	for _, m := range l.unprocessed {
		unprocessed[m] = true
	}
	for _, m := range c.ledger.window.Next() {
		waiting[m] = true // for the new session
	}
	lost := map[*waiter]error{}
	for id, w := range c.requests {
		if !waiting[w.message] {
			delete(c.requests, id)
			lost[w] = &SessionLostError{l.reason, unprocessed[w.message]}
		}
	}
	return lost
}

// handle gives a frame to the handler of its event, or to OnMessage.
func (c *client) handle(f Frame) {
	if handler := c.cfg.handlers[f.Event]; handler != nil {
		c.reply(f, handler)
	} else if c.cfg.onMessage != nil {
		c.cfg.onMessage(c, f)
	}
}

// reply runs the handler of a request, and replies with what that returns. Where it panics, or ends its goroutine, it
// has failed.
func (c *client) reply(f Frame, handler func(Client, Frame) (any, error)) {
	told := &ReplyError{ask.CodeInternal, ask.Internal}
	returned := false
	defer func() {
		if !returned {
			c.sendReply(ask.NewFailure(f.ID, c.cfg.failureEvent, told.Code, told.Message))
		}
	}()
	v, err := handler(c, f)
	var reply Frame
	if err == nil {
		reply, err = ask.NewFrame(c.cfg.replyEvent, v)
		reply.ID = f.ID
	}
	returned = true
	if err != nil {
		if said := (*ReplyError)(nil); errors.As(err, &said) && said != nil {
			told = said
		} else {
			c.cfg.logger.Warn("wspulse: client: request handler failed", zap.String("event", f.Event), zap.Error(err))
		}
		reply = ask.NewFailure(f.ID, c.cfg.failureEvent, told.Code, told.Message)
	}
	c.sendReply(reply)
}

// sendReply sends a reply, if one is expected: a request without an ID expects none.
func (c *client) sendReply(reply Frame) {
	if reply.ID == "" {
		return
	}
	if err := c.Send(reply); err != nil {
		c.cfg.logger.Warn("wspulse: client: reply lost", zap.String("id", reply.ID), zap.Error(err))
	}
}

// Join implements Client.
func (c *client) Join(ctx context.Context, roomID string) error {
	return c.askForRoom(ctx, ask.Join, roomID, nil)
}

// Leave implements Client.
func (c *client) Leave(ctx context.Context, roomID string) error {
	var then func()
	if c.cfg.onPresence != nil {
		then = func() { c.leaveRoom(roomID) }
	}
	return c.askForRoom(ctx, ask.Leave, roomID, then)
}

func (c *client) askForRoom(ctx context.Context, event, roomID string, then func()) error {
	f, err := ask.NewFrame(event, ask.Room{Room: roomID})
	if err == nil {
		_, err = c.request(ctx, f, then)
	}
	return err
}
