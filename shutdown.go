package wspulse

import (
	"context"
	"errors"
	"reflect"
	"runtime"
)

// ErrInCallback is returned by [Server].Shutdown that is called from a callback, of whatever server: it can't wait for
// that. The server is closed then, as by Close. Call it from another goroutine.
var ErrInCallback = errors.New("wspulse: Shutdown was called from a callback: the server is closed, " +
	"and callbacks may still run")

// Shutdown implements Server.
func (s *server) Shutdown(ctx context.Context) error {
	if inCallback() {
		s.Close()
		return ErrInCallback
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		s.Close()
		s.hub.callbacks.Wait()
	}()
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// containName is what the runtime calls the method that all callbacks but OnMessage run in, and callName that of
// OnMessage.
var (
	containName = nameOf((*hub).contain)
	callName    = nameOf((*link).call)
)

func nameOf(fn any) string { return runtime.FuncForPC(reflect.ValueOf(fn).Pointer()).Name() }

// inCallback says whether the caller runs in a callback of a server.
func inCallback() bool {
	pcs := make([]uintptr, 4096)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for {
		frame, more := frames.Next()
		if frame.Function == containName || frame.Function == callName {
			return true
		}
		if !more {
			return false
		}
	}
}
