package rpc

import (
	"errors"
	"fmt"

	"github.com/wspulse/core/router"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/internal/ask"
)

// The codes of this package. Handlers have others of their own.
const (
	CodeInvalid     = ask.CodeInvalid     // the payload is not what the handler takes; the text says why
	CodeInternal    = ask.CodeInternal    // the handler has failed, which is not the peer's business
	CodeForbidden   = ask.CodeForbidden   // of Rooms: allow has said no
	CodeUnsupported = ask.CodeUnsupported // of Rooms: the connection can't do that
)

// An Error is an error of a handler that the peer is told of, as it is.
type Error struct {
	Code    string // for programs: a short word
	Message string // for people
}

// Error returns the code and the text.
func (e *Error) Error() string { return fmt.Sprintf("wspulse: rpc: %s: %s", e.Code, e.Message) }

// Reply replies to the request f, which has come by c, with the JSON of v; nil stands for no payload. It does nothing
// for a frame without an ID. Errors: that of wspulse.NewFrame, or of Send.
func Reply(c router.Connection, f wspulse.Frame, v any) error {
	if f.ID == "" {
		return nil
	}
	event, _ := replyEvents(c)
	reply, err := wspulse.NewFrame(event, v)
	if err != nil {
		return err
	}
	reply.ID = f.ID
	return c.Send(reply)
}

// Fail replies to the request f, which has come by c, that it has failed. It does nothing for a frame without an ID.
// The error is that of Send.
func Fail(c router.Connection, f wspulse.Frame, code, text string) error {
	if f.ID == "" {
		return nil
	}
	_, event := replyEvents(c)
	return c.Send(ask.NewFailure(f.ID, event, code, text))
}

// replyEvents returns those of the server whose connection c is.
func replyEvents(c router.Connection) (reply, failure string) {
	if c, ok := c.(interface {
		ReplyEvents() (reply, failure string)
	}); ok {
		return c.ReplyEvents()
	}
	return ask.Reply, ask.Failure
}

// ErrorKey is the key of router.Context under which a handler of this package leaves its error, for middleware:
//
//	ctx.Next()
//	if err, ok := ctx.Get(rpc.ErrorKey); ok { … }
//
// It is there for each error that a peer is told of too.
const ErrorKey = "wspulse.rpc.error"

// An Option changes what Handle and Rooms do.
type Option func(*config)

type config struct {
	onError func(ctx *router.Context, err error)
}

// OnError sets what gets the errors that no peer is told of: those of handlers that are no [*Error], and those that
// have kept a reply from being sent, such as wspulse.ErrSendBufferFull. It runs on the goroutine of the handler, after
// the reply.
//
// Default none: they are found under [ErrorKey] only. Must not be nil.
func OnError(fn func(ctx *router.Context, err error)) Option {
	if fn == nil {
		panic("wspulse: rpc: OnError: fn must not be nil")
	}
	return func(c *config) { c.onError = fn }
}

func newConfig(options []Option) *config {
	c := &config{onError: func(*router.Context, error) {}}
	for _, option := range options {
		option(c)
	}
	return c
}

// fail replies with the failure that err is, and tells of it who ought to know.
func (c *config) fail(ctx *router.Context, err error) {
	ctx.Set(ErrorKey, err)
	told := known(err)
	if told == nil {
		c.onError(ctx, err)
		told = &Error{CodeInternal, ask.Internal}
	}
	unsent := Fail(ctx.Connection, ctx.Frame, told.Code, told.Message)
	if unsent != nil && known(err) != nil {
		c.onError(ctx, unsent)
	}
}

// known returns the Error that err is or wraps, or nil.
func known(err error) (e *Error) {
	errors.As(err, &e)
	return e
}
