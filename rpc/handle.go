package rpc

import (
	"errors"
	"reflect"

	"github.com/wspulse/core/router"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/internal/ask"
)

// Handle returns a handler for requests whose payload is the JSON of an In. It decodes that, calls fn, and replies with
// the JSON of what fn returns, an Out. A frame without an ID is handled too, and gets no reply.
//
// Where the payload is no In, or In or *In has a method Validate() error and that returns one, fn is not called: the
// reply is "invalid", and says what is wrong. An absent payload counts as null, which makes a zero In for Validate to
// judge; where In is a pointer, it is invalid.
//
// The peer is told of an [*Error] as it is, wrapped or not, and of any other error that it is "internal". That goes to
// [OnError]. A panic of fn, of Validate or of a method of In or Out goes on, to router.Recovery or to the server, after
// the reply "internal". The server ends the connection for a panic, with 1011: a reply that has not been written by
// then waits for a resume, as anything that is queued does.
//
// fn runs where the router does: on the goroutine of OnMessage, whose next message waits for it. It must not be nil.
func Handle[In, Out any](fn func(ctx *router.Context, in In) (Out, error), options ...Option) router.HandlerFunc {
	if fn == nil {
		panic("wspulse: rpc: Handle: fn must not be nil")
	}
	c := newConfig(options)
	return func(ctx *router.Context) {
		returned := false
		defer func() {
			if !returned {
				_ = Fail(ctx.Connection, ctx.Frame, CodeInternal, ask.Internal)
			}
		}()
		out, err := call(ctx, fn)
		if err == nil {
			err = Reply(ctx.Connection, ctx.Frame, out)
		}
		if returned = true; err != nil {
			c.fail(ctx, err)
		}
	}
}

// call decodes and validates what fn takes, and calls it.
func call[In, Out any](ctx *router.Context, fn func(*router.Context, In) (Out, error)) (out Out, err error) {
	var in In
	if err := wspulse.Bind(ctx.Frame, &in); err != nil {
		return out, invalid(errors.Unwrap(err))
	}
	if v := reflect.ValueOf(&in).Elem(); v.Kind() == reflect.Pointer && v.IsNil() {
		return out, &Error{CodeInvalid, "there is no payload"}
	}
	if err := validate(&in); err != nil {
		return out, invalid(err)
	}
	return fn(ctx, in)
}

// validate calls the method of In or *In, if there is one.
func validate[In any](in *In) error {
	v, ok := any(in).(interface{ Validate() error })
	if !ok {
		v, ok = any(*in).(interface{ Validate() error })
	}
	if !ok {
		return nil
	}
	return v.Validate()
}

// invalid tells the peer of an error of its own.
func invalid(err error) error {
	if known(err) != nil {
		return err
	}
	return &Error{CodeInvalid, err.Error()}
}
