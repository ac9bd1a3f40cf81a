package router

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
)

// Recovery returns middleware that contains panics of the handlers after it: the
// value and the stack go to log/slog at level Error, the handlers that have not
// begun are aborted, and the middleware before it goes on as if Next had returned.
//
// Add it first, so that it stands in front of everything. The payload of the frame
// is not logged; what the handler panicked with is.
func Recovery() HandlerFunc {
	return func(c *Context) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			c.Abort()
			attrs := append(c.attrs(),
				slog.String("panic", fmt.Sprint(v)),
				slog.String("stack", string(debug.Stack())))
			slog.LogAttrs(context.Background(), slog.LevelError, "wspulse: handler panicked", attrs...)
		}()
		c.Next()
	}
}
