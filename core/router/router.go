// Package router sends each frame to the handlers registered for its event, with
// middleware around them, in the manner of gin.
//
// Set a Router up first, with [Router.Use] and [Router.On], then call
// [Router.Dispatch] for every frame received:
//
//	r := router.New()
//	r.Use(router.Recovery())
//	r.On("chat.post", post)
//
//	wspulse.WithOnMessage(func(c wspulse.Connection, f wspulse.Frame) { r.Dispatch(c, f) })
package router

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	wspulse "github.com/wspulse/core"
)

// maxChain is the most handlers that one frame may pass, middleware included.
const maxChain = 62

// Connection is what a frame came from, as handlers see it. The connections of
// wspulse servers and clients satisfy it.
type Connection interface {
	// ID returns the name of the connection.
	ID() string

	// RoomID returns the name of the room that the connection is in.
	RoomID() string

	// Send queues a frame for the peer.
	Send(f wspulse.Frame) error

	// Close ends the connection.
	Close() error

	// Done returns a channel that is closed when the connection has ended.
	Done() <-chan struct{}
}

// HandlerFunc handles a frame, or stands in front of the handlers that do.
type HandlerFunc func(*Context)

// HandlersChain is a list of handlers in the order in which they run.
type HandlersChain []HandlerFunc

// Option configures a Router in [New].
type Option func(*Router)

// WithFallback sets the handler for frames whose event has no handler, those
// without an event included. Default: a log entry of level Warn through log/slog
// with the event and the connection's ID, for every such frame; with peers that
// you do not trust, set one that limits it. It panics when h is nil.
func WithFallback(h HandlerFunc) Option {
	if h == nil {
		panic("wspulse: router.WithFallback: handler is nil")
	}
	return func(r *Router) { r.setFallback(h) }
}

// Router dispatches frames by event. Make one with [New].
//
// Use and On are for set-up: none of them may run at the same time as any other
// method. After that Dispatch may be called from any number of goroutines.
type Router struct {
	// Set by New, Use and On, then read-only.
	middleware HandlersChain
	routes     map[string]route
	fallback   route

	contexts sync.Pool // of *Context, all of them reset
}

// route is the handlers for one event.
type route struct {
	own  HandlersChain // as registered
	full HandlersChain // the middleware, then own
}

// New returns a Router without routes.
func New(options ...Option) *Router {
	r := &Router{routes: make(map[string]route)}
	r.contexts.New = func() any { return new(Context) }
	r.setFallback(logUnhandled)
	for _, option := range options {
		option(r)
	}
	return r
}

func (r *Router) setFallback(h HandlerFunc) {
	own := HandlersChain{h}
	r.fallback = route{own: own, full: slices.Concat(r.middleware, own)}
}

// Use adds middleware behind the middleware there is. It wraps the handlers of
// every event, those that are registered already included, and the fallback.
//
// It panics, and changes nothing, when one is nil or a chain of handlers would be
// longer than 62.
func (r *Router) Use(middleware ...HandlerFunc) {
	mustNotBeNil("Use", middleware)
	total := len(r.middleware) + len(middleware)
	mustFit("Use", "the fallback", total+len(r.fallback.own))
	for event, rt := range r.routes {
		mustFit("Use", event, total+len(rt.own))
	}

	r.middleware = slices.Concat(r.middleware, middleware)
	r.fallback.full = slices.Concat(r.middleware, r.fallback.own)
	for event, rt := range r.routes {
		rt.full = slices.Concat(r.middleware, rt.own)
		r.routes[event] = rt
	}
}

// On registers the handlers for an event. They run in the order given, after the
// middleware, whether that was added before or is added later. Events are
// compared byte for byte.
//
// It panics, and changes nothing, when the event is empty or has handlers already,
// when there is no handler or one is nil, or when the chain of middleware and
// handlers would be longer than 62.
func (r *Router) On(event string, handlers ...HandlerFunc) {
	if event == "" {
		panic("wspulse: router.On: event is empty")
	}
	if _, ok := r.routes[event]; ok {
		panic(fmt.Sprintf("wspulse: router.On: event %q has handlers already", event))
	}
	if len(handlers) == 0 {
		panic(fmt.Sprintf("wspulse: router.On: no handler for event %q", event))
	}
	mustNotBeNil("On", handlers)
	mustFit("On", event, len(r.middleware)+len(handlers))

	r.routes[event] = route{
		own:  slices.Clone(handlers),
		full: slices.Concat(r.middleware, handlers),
	}
}

// Dispatch runs the handlers for f.Event, or the fallback, on the calling goroutine
// and returns when they have. c may be nil: then so is Context.Connection.
//
// A panic in a handler passes through Dispatch, unless [Recovery] contains it.
// Dispatch itself allocates nothing once it has run a few times.
func (r *Router) Dispatch(c Connection, f wspulse.Frame) {
	rt, ok := r.routes[f.Event]
	if !ok {
		rt = r.fallback
	}
	ctx := r.contexts.Get().(*Context)
	defer r.release(ctx)
	ctx.Connection = c
	ctx.Frame = f
	ctx.chain = rt.full
	ctx.Next()
}

// release makes ctx ready for another frame, with no reference to the last one.
func (r *Router) release(ctx *Context) {
	clear(ctx.values)
	*ctx = Context{values: ctx.values}
	r.contexts.Put(ctx)
}

func mustNotBeNil(method string, handlers []HandlerFunc) {
	for i, h := range handlers {
		if h == nil {
			panic(fmt.Sprintf("wspulse: router.%s: handler %d is nil", method, i))
		}
	}
}

func mustFit(method, event string, n int) {
	if n > maxChain {
		panic(fmt.Sprintf("wspulse: router.%s: %d handlers for %s, at most %d are possible", method, n, event, maxChain))
	}
}

// logUnhandled is the default fallback.
func logUnhandled(c *Context) {
	slog.LogAttrs(context.Background(), slog.LevelWarn, "wspulse: no handler for event", c.attrs()...)
}

// maxLoggedEvent is how many bytes of an event go into the log: a peer chooses it.
const maxLoggedEvent = 128

// attrs returns what the log may tell about the frame, which is not its payload.
func (c *Context) attrs() []slog.Attr {
	event := c.Frame.Event
	if len(event) > maxLoggedEvent {
		event = strings.ToValidUTF8(event[:maxLoggedEvent], "") + "…"
	}
	attrs := []slog.Attr{slog.String("event", event)}
	if c.Connection != nil {
		attrs = append(attrs, slog.String("connection", c.Connection.ID()))
	}
	return attrs
}
