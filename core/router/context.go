package router

import (
	"fmt"

	wspulse "github.com/wspulse/core"
)

// Context is one frame on its way through the handlers.
//
// It belongs to the goroutine that called Dispatch and is used again for another
// frame as soon as Dispatch returns: a handler that leaves work to another
// goroutine passes it the Connection and the Frame, never the Context.
type Context struct {
	// Connection is what the frame came from, nil if Dispatch was given none.
	Connection Connection

	// Frame is the frame that was received. What a handler changes in it, the
	// handlers after it see; the choice of handlers stays.
	Frame wspulse.Frame

	chain   HandlersChain
	next    int // index in chain of the handler to run next
	aborted bool
	values  map[string]any // made by the first Set
}

// Next runs the handlers that have not begun yet and returns when they have.
// Middleware calls it to do something after them; without that call they run when
// the middleware returns. When none is left, or after Abort, it does nothing.
func (c *Context) Next() {
	for c.next < len(c.chain) && !c.aborted {
		h := c.chain[c.next]
		c.next++
		h(c)
	}
}

// Abort keeps the handlers that have not begun from running. Those that have,
// the caller among them, run to their end.
func (c *Context) Abort() { c.aborted = true }

// IsAborted reports whether Abort was called for this frame.
func (c *Context) IsAborted() bool { return c.aborted }

// Set stores a value under key, in place of any other, for the handlers of this frame.
func (c *Context) Set(key string, value any) {
	if c.values == nil {
		c.values = make(map[string]any)
	}
	c.values[key] = value
}

// Get returns the value that was stored under key, and whether there was one.
func (c *Context) Get(key string) (value any, exists bool) {
	value, exists = c.values[key]
	return value, exists
}

// MustGet returns the value that was stored under key. It panics when there is none.
func (c *Context) MustGet(key string) any {
	value, exists := c.values[key]
	if !exists {
		panic(fmt.Sprintf("wspulse: router.Context.MustGet: no value for key %q", key))
	}
	return value
}

// GetString returns the string that was stored under key, or "" when there is no
// value or it is not a string.
func (c *Context) GetString(key string) string {
	s, _ := c.values[key].(string)
	return s
}
