package router_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	wspulse "github.com/wspulse/core"
	"github.com/wspulse/core/router"
)

// peer is a Connection that has nothing but a name.
type peer string

func (p peer) ID() string             { return string(p) }
func (peer) RoomID() string           { return "" }
func (peer) Send(wspulse.Frame) error { return nil }
func (peer) Close() error             { return nil }
func (peer) Done() <-chan struct{}    { return nil }

// trace records what ran.
type trace struct{ strings.Builder }

// note returns a handler that writes word.
func (t *trace) note(word string) router.HandlerFunc {
	return func(*router.Context) { t.WriteString(word + " ") }
}

// wrap returns middleware that writes word before and after the handlers that follow.
func (t *trace) wrap(word string) router.HandlerFunc {
	return func(c *router.Context) {
		t.WriteString(word + "( ")
		c.Next()
		t.WriteString(")" + word + " ")
	}
}

// of returns what runs for each of the events in turn.
func (t *trace) of(r *router.Router, events ...string) string {
	t.Reset()
	for _, event := range events {
		r.Dispatch(nil, wspulse.Frame{Event: event})
	}
	return strings.TrimSpace(t.String())
}

func repeat(h router.HandlerFunc, n int) []router.HandlerFunc {
	hs := make([]router.HandlerFunc, n)
	for i := range hs {
		hs[i] = h
	}
	return hs
}

func TestUse_WrapsEverythingInWhicheverOrder(t *testing.T) {
	var tr trace
	steps := map[string]func(*router.Router){
		"m": func(r *router.Router) { r.Use(tr.wrap("m"), tr.wrap("n")) },
		"a": func(r *router.Router) { r.On("a", tr.note("a1"), tr.note("a2")) },
		"b": func(r *router.Router) { r.On("b", tr.note("b")) },
	}
	const want = "m( n( a1 a2 )n )m m( n( b )n )m m( n( none )n )m m( n( none )n )m"
	for _, order := range []string{"mab", "amb", "abm", "bam"} {
		r := router.New(router.WithFallback(tr.note("none")))
		for _, step := range strings.Split(order, "") {
			steps[step](r)
		}
		if got := tr.of(r, "a", "b", "A", ""); got != want {
			t.Errorf("order %s: %s\nwant %s", order, got, want)
		}
	}
}

func TestSetup_PanicLeavesTheRouterUnchanged(t *testing.T) {
	var tr trace
	h := tr.note("h")
	tests := []struct {
		name string
		call func(*router.Router)
		want string
	}{
		{"empty event", func(r *router.Router) { r.On("", h) }, "On: event is empty"},
		{"duplicate event", func(r *router.Router) { r.On("a", h) }, `On: event "a" has handlers already`},
		{"no handler", func(r *router.Router) { r.On("b") }, `On: no handler for event "b"`},
		{"nil handler", func(r *router.Router) { r.On("b", h, nil) }, "On: handler 1 is nil"},
		{"nil middleware", func(r *router.Router) { r.Use(h, nil) }, "Use: handler 1 is nil"},
		{"route too long", func(r *router.Router) { r.On("b", repeat(h, 62)...) }, "On: 63 handlers for b"},
		{"middleware too long for a route", func(r *router.Router) { r.Use(repeat(h, 60)...) }, "Use: 63 handlers for a"},
		{"middleware too long for the fallback", func(r *router.Router) { r.Use(repeat(h, 61)...) }, "Use: 63 handlers for the fallback"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := router.New(router.WithFallback(tr.note("none")))
			r.Use(tr.wrap("m"))
			r.On("a", tr.note("a1"), tr.note("a2"))
			mustPanic(t, "wspulse: router."+tt.want, func() { tt.call(r) })
			if got, want := tr.of(r, "a", "b", ""), "m( a1 a2 )m m( none )m m( none )m"; got != want {
				t.Errorf("the router has changed: %s, want %s", got, want)
			}
			r.On("b", tr.note("b"))
			r.Use(tr.wrap("n"))
			if got, want := tr.of(r, "a", "b", ""), "m( n( a1 a2 )n )m m( n( b )n )m m( n( none )n )m"; got != want {
				t.Errorf("set-up goes on wrongly: %s, want %s", got, want)
			}
		})
	}
	mustPanic(t, "wspulse: router.WithFallback: handler is nil", func() { router.WithFallback(nil) })
}

func mustPanic(t *testing.T, prefix string, call func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if text := fmt.Sprint(recover()); !strings.HasPrefix(text, prefix) {
			t.Errorf("panic: %s, want %s", text, prefix)
		}
	}()
	call()
}

func TestSetup_62HandlersRun(t *testing.T) {
	var tr trace
	r := router.New(router.WithFallback(tr.note("x")))
	r.On("a", repeat(tr.note("x"), 62)...)
	r.Use()
	if got := strings.Count(tr.of(r, "a"), "x"); got != 62 {
		t.Errorf("%d handlers ran, want 62", got)
	}

	r = router.New(router.WithFallback(tr.note("x")))
	r.Use(repeat(tr.note("x"), 61)...)
	if got := strings.Count(tr.of(r, "a"), "x"); got != 62 {
		t.Errorf("%d handlers ran for the fallback, want 62", got)
	}
}

// Callers may use the slices that they pass for something else.
func TestSetup_KeepsCopiesOfHandlers(t *testing.T) {
	var tr trace
	handlers, middleware := []router.HandlerFunc{tr.note("h")}, []router.HandlerFunc{tr.note("m")}
	r := router.New()
	r.On("a", handlers...)
	r.Use(middleware...)
	handlers[0], middleware[0] = tr.note("wrong"), tr.note("wrong")
	r.Use(tr.note("n"))
	if got, want := tr.of(r, "a"), "m n h"; got != want {
		t.Errorf("ran %s, want %s", got, want)
	}
}

func TestDispatch_GivesConnectionAndFrame(t *testing.T) {
	var got []string
	see := func(c *router.Context) {
		got = append(got, fmt.Sprint(c.Connection, " ", c.Frame.ID, " ", c.Frame.Event, " ", string(c.Frame.Payload)))
	}
	r := router.New(router.WithFallback(see))
	r.On("a", see)
	r.Dispatch(peer("ada"), wspulse.Frame{ID: "1", Event: "a", Payload: []byte("x")})
	r.Dispatch(nil, wspulse.Frame{ID: "2", Event: "b", Payload: []byte("y")})
	if got, want := strings.Join(got, "; "), "ada 1 a x; <nil> 2 b y"; got != want {
		t.Errorf("handlers saw %s, want %s", got, want)
	}
}

// A handler may dispatch another frame, and has its own Context back after that.
func TestDispatch_Nests(t *testing.T) {
	var tr trace
	r := router.New()
	r.Use(tr.wrap("m"))
	r.On("inner", func(c *router.Context) {
		c.Set("k", "inner")
		tr.note(c.Frame.Event)(c)
	})
	r.On("outer", func(c *router.Context) {
		c.Set("k", "outer")
		r.Dispatch(nil, wspulse.Frame{Event: "inner"})
		tr.note(c.Frame.Event + "/" + c.GetString("k"))(c)
	}, tr.note("last"))
	if got, want := tr.of(r, "inner", "outer"), "m( inner )m m( m( inner )m outer/outer last )m"; got != want {
		t.Errorf("ran %s, want %s", got, want)
	}
}

func TestDispatch_FromManyGoroutines(t *testing.T) {
	r := router.New()
	r.Use(func(c *router.Context) {
		if _, exists := c.Get("id"); exists {
			t.Error("a value of another frame is there")
		}
		c.Set("id", c.Frame.ID)
		c.Next()
	})
	r.On("a", func(c *router.Context) {
		if got := c.GetString("id"); got != c.Frame.ID || c.Connection.ID() != c.Frame.ID {
			t.Errorf("frame %s has the values of %s and the connection %s", c.Frame.ID, got, c.Connection.ID())
		}
	})
	var wg sync.WaitGroup
	for g := range 8 {
		id := fmt.Sprint(g)
		wg.Go(func() {
			for range 500 {
				r.Dispatch(peer(id), wspulse.Frame{ID: id, Event: "a"})
			}
		})
	}
	wg.Wait()
}

// After a frame, handled or ended by a panic, its Context serves other frames and keeps
// nothing of this one reachable.
func TestDispatch_ReleasesTheContext(t *testing.T) {
	for name, fail := range map[string]bool{"return": false, "panic": true} {
		t.Run(name, func(t *testing.T) {
			seen := make(map[*router.Context]bool)
			r := router.New()
			r.On("a", func(c *router.Context) {
				if _, exists := c.Get("k"); exists || c.IsAborted() {
					t.Fatal("something is left of the frame before")
				}
				c.Set("k", "v")
				c.Abort()
				seen[c] = true
				if fail {
					panic("oops")
				}
			})
			const frames = 200
			for range frames {
				func() {
					defer func() {
						if v := recover(); fail != (v == "oops") {
							t.Fatalf("Dispatch panics with %v", v)
						}
					}()
					r.Dispatch(peer("p"), wspulse.Frame{ID: "1", Event: "a", Payload: []byte("x")})
				}()
			}
			if len(seen) > frames/2 { // the race detector makes sync.Pool forget some
				t.Errorf("%d frames took %d Contexts", frames, len(seen))
			}
			for c := range seen {
				_, exists := c.Get("k")
				if exists || c.Connection != nil || c.Frame.ID != "" || c.Frame.Event != "" || c.Frame.Payload != nil {
					t.Errorf("a released Context still holds %v, %v", c.Connection, c.Frame)
				}
			}
		})
	}
}

func TestDispatch_DoesNotAllocate(t *testing.T) {
	r := router.New(router.WithFallback(func(*router.Context) {}))
	r.Use(func(c *router.Context) { c.Set("k", "v"); c.Next() }, func(c *router.Context) { c.MustGet("k") })
	r.On("a", func(c *router.Context) { c.GetString("k") })
	var conn router.Connection = peer("p")
	for _, event := range []string{"a", "unknown"} {
		f := wspulse.Frame{Event: event, Payload: []byte("x")}
		if n := testing.AllocsPerRun(500, func() { r.Dispatch(conn, f) }); n != 0 {
			t.Errorf("Dispatch of %s allocates %v times, want 0", event, n)
		}
	}
}
