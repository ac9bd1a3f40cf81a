package router_test

import (
	"fmt"
	"strings"
	"testing"

	wspulse "github.com/wspulse/core"
	"github.com/wspulse/core/router"
)

// step is one handler as the model knows it: what it does, and a letter for the trace.
type step struct {
	kind byte // one of the kinds below
	name byte
}

const kinds = "hwaxpr"

// handler returns the handler that does what s says and records it.
func (s step) handler(tr *trace) router.HandlerFunc {
	return func(c *router.Context) {
		tr.WriteByte(s.name)
		switch s.kind {
		case 'h': // handle
		case 'w': // wrap
			c.Next()
			fmt.Fprintf(tr, "%c%t", s.name, c.IsAborted())
		case 'a': // abort, and try to go on
			c.Abort()
			c.Next()
		case 'x': // go on, then abort
			c.Next()
			c.Abort()
		case 'p':
			panic(s)
		case 'r': // recover
			router.Recovery()(c)
		}
	}
}

// expect returns what a chain of steps records, whether it ends aborted and whether it
// ends in a panic.
func expect(chain []step) (text string, aborted, panics bool) {
	if len(chain) == 0 {
		return "", false, false
	}
	s := chain[0]
	rest, aborted, panics := expect(chain[1:])
	name := string(s.name)
	switch s.kind {
	case 'w':
		if panics {
			return name + rest, aborted, true
		}
		return fmt.Sprintf("%c%s%c%t", s.name, rest, s.name, aborted), aborted, false
	case 'a':
		return name, true, false
	case 'x':
		return name + rest, true, panics
	case 'p':
		return name, false, true
	case 'r':
		return name + rest, aborted || panics, false
	}
	return name + rest, aborted, panics
}

// A router does what a list of middleware and a map of lists would, after any sequence of
// calls, those that it refuses included.
func FuzzRouter(f *testing.F) {
	f.Add([]byte("oahh.uw.dadb"))
	f.Add([]byte("uwrx.oap.obwah.dadbdc"))
	f.Add([]byte("oah.oah.o.oc.dadauhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh.da"))
	f.Add([]byte("uwp.dauh.ua.obxr.db"))
	f.Fuzz(func(t *testing.T, program []byte) {
		captureLog(t)
		var (
			tr         trace
			fallback   = step{'h', '?'}
			middleware []step
			routes     = map[string][]step{}
			r          = router.New(router.WithFallback(fallback.handler(&tr)))
		)
		next := func() byte {
			if len(program) == 0 {
				return '.'
			}
			b := program[0]
			program = program[1:]
			return b
		}
		steps := func() (list []step, handlers []router.HandlerFunc) {
			for b := next(); strings.IndexByte(kinds, b) >= 0; b = next() {
				s := step{b, byte('A' + len(program)%26)}
				list = append(list, s)
				handlers = append(handlers, s.handler(&tr))
			}
			return list, handlers
		}
		event := func() string { return strings.Trim(string(next()), ".") }

		for range 64 {
			switch next() {
			case 'o': // On
				name := event()
				list, handlers := steps()
				ok := name != "" && routes[name] == nil && len(list) > 0 && len(middleware)+len(list) <= 62
				if refused := panics(func() { r.On(name, handlers...) }); refused == ok {
					t.Fatalf("On(%q, %v) refused = %t", name, list, refused)
				}
				if ok {
					routes[name] = list
				}
			case 'u': // Use
				list, handlers := steps()
				longest := 1
				for _, route := range routes {
					longest = max(longest, len(route))
				}
				ok := len(middleware)+len(list)+longest <= 62
				if refused := panics(func() { r.Use(handlers...) }); refused == ok {
					t.Fatalf("Use(%v) refused = %t", list, refused)
				}
				if ok {
					middleware = append(middleware, list...)
				}
			case 'd': // Dispatch
				name := event()
				own := routes[name]
				if own == nil {
					own = []step{fallback}
				}
				want, _, wantPanic := expect(append(middleware[:len(middleware):len(middleware)], own...))
				tr.Reset()
				failed := panics(func() { r.Dispatch(nil, wspulse.Frame{Event: name}) })
				if tr.String() != want || failed != wantPanic {
					t.Fatalf("Dispatch(%q) through %v, %v ran %s, panics = %t; want %s, %t",
						name, middleware, own, tr.String(), failed, want, wantPanic)
				}
			}
		}
	})
}

func panics(call func()) (yes bool) {
	defer func() { yes = recover() != nil }()
	call()
	return false
}
