package wstest

import (
	"fmt"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/internal/ask"
)

// WithReplyEvents sets the events of replies, as wspulse.WithReplyEvents does for the server, and like that panics
// where one is empty, or both are the same. Default "ack" and "error".
func WithReplyEvents(reply, failure string) DialOption {
	if reply == "" || failure == "" || reply == failure {
		panic(fmt.Sprintf("wstest: WithReplyEvents: %q and %q must not be empty, nor the same", reply, failure))
	}
	return func(c *dialConfig) { c.replyEvent, c.failureEvent = reply, failure }
}

// Request sends a request: a frame with an ID that no other request to this Server has, and with the JSON of v as its
// payload, or none where v is nil. It fails the test when that is not possible. It returns the frame and does not wait:
// see ExpectReply.
func (c *Client) Request(event string, v any) wspulse.Frame {
	c.t.Helper()
	f, err := ask.NewFrame(event, v)
	if err != nil {
		c.t.Fatalf("wstest: client requests %q: %v", event, err)
	}
	f.ID = c.requestIDs.Next()
	c.Send(f)
	return f
}

// ExpectReply waits for the reply to a request of the client's, and returns it: its payload is for wspulse.Bind. It
// fails the test when the reply says that the request has failed, or there is none within ten seconds or before the
// connection ends. Other frames that come meanwhile are there for Receive.
func (c *Client) ExpectReply(request wspulse.Frame) wspulse.Frame {
	c.t.Helper()
	f := c.awaitReply(request)
	if f.Event == c.failureEvent {
		code, message := ask.ParseFailure(f)
		c.t.Fatalf("wstest: client's request %q has failed: %s: %s", request.Event, code, message)
	}
	return f
}

// ExpectFailure waits for the reply to a request of the client's, as ExpectReply does, and returns its text. It fails
// the test unless the reply says that the request has failed, with that code.
func (c *Client) ExpectFailure(request wspulse.Frame, code string) (message string) {
	c.t.Helper()
	f := c.awaitReply(request)
	if f.Event != c.failureEvent {
		c.t.Fatalf("wstest: client's request %q has the reply %q %s, want the failure %q",
			request.Event, f.Event, f.Payload, code)
	}
	got, message := ask.ParseFailure(f)
	if got != code {
		c.t.Errorf("wstest: client's request %q has failed with %q, want %q: %s", request.Event, got, code, message)
	}
	return message
}

func (c *Client) awaitReply(request wspulse.Frame) wspulse.Frame {
	c.t.Helper()
	f, err := c.receive(func(f wspulse.Frame) bool {
		return f.ID == request.ID && (f.Event == c.replyEvent || f.Event == c.failureEvent)
	})
	if err != nil {
		c.t.Fatalf("wstest: client expects the reply to %q: %v", request.Event, err)
	}
	return f
}

// Reply replies to a request of the server's, which Receive has returned, with the JSON of v, or no payload where v is
// nil. It fails the test when that is not possible, or the request has no ID, and so nobody waits for a reply.
func (c *Client) Reply(request wspulse.Frame, v any) {
	c.t.Helper()
	f, err := ask.NewFrame(c.replyEvent, v)
	if err != nil {
		c.t.Fatalf("wstest: client replies to %q: %v", request.Event, err)
	}
	c.reply(request, f)
}

// Fail replies to a request of the server's that it has failed: with a *wspulse.ReplyError of that code and text. See
// Reply.
func (c *Client) Fail(request wspulse.Frame, code, message string) {
	c.t.Helper()
	c.reply(request, ask.NewFailure("", c.failureEvent, code, message))
}

func (c *Client) reply(request, f wspulse.Frame) {
	c.t.Helper()
	if request.ID == "" {
		c.t.Fatalf("wstest: client replies to %q, which has no ID", request.Event)
	}
	f.ID = request.ID
	c.Send(f)
}
