package router_test

import (
	"bytes"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"strings"
	"testing"

	wspulse "github.com/wspulse/core"
	"github.com/wspulse/core/router"
)

func TestContext_NextAndAbort(t *testing.T) {
	var tr trace
	abort := func(c *router.Context) { tr.WriteString("abort "); c.Abort() }
	abortNext := func(c *router.Context) { c.Abort(); c.Next(); tr.WriteString("abort ") }
	nextAbort := func(c *router.Context) { c.Next(); c.Abort(); tr.WriteString("abort ") }
	nextOften := func(c *router.Context) {
		for range 200 {
			c.Next()
		}
	}
	state := func(c *router.Context) { c.Next(); fmt.Fprintf(&tr, "aborted=%t ", c.IsAborted()) }
	a, b := tr.note("a"), tr.note("b")

	tests := []struct {
		name  string
		chain []router.HandlerFunc
		want  string
	}{
		{"without Next the rest runs afterwards", []router.HandlerFunc{state, a, b}, "a b aborted=false"},
		{"Next runs the rest first", []router.HandlerFunc{state, tr.wrap("m"), a, b}, "m( a b )m aborted=false"},
		{"Next a second time does nothing", []router.HandlerFunc{state, nextOften, a, b}, "a b aborted=false"},
		{"Next in the last handler does nothing", []router.HandlerFunc{a, tr.wrap("b")}, "a b( )b"},
		{"Abort stops the rest", []router.HandlerFunc{state, a, abort, b}, "a abort aborted=true"},
		{"Abort lets the middleware before it finish", []router.HandlerFunc{state, tr.wrap("m"), abort, b}, "m( abort )m aborted=true"},
		{"Next after Abort does nothing", []router.HandlerFunc{state, abortNext, a}, "abort aborted=true"},
		{"Abort after Next is too late", []router.HandlerFunc{state, nextAbort, a}, "a abort aborted=true"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := router.New()
			r.On("a", tt.chain...)
			if got := tr.of(r, "a"); got != tt.want {
				t.Errorf("ran %s, want %s", got, tt.want)
			}
		})
	}
}

func TestContext_Values(t *testing.T) {
	router.New(router.WithFallback(func(c *router.Context) {
		if v, exists := c.Get("s"); v != nil || exists || c.GetString("s") != "" {
			t.Errorf("before Set, Get gives %v, %t", v, exists)
		}
		mustPanic(t, `wspulse: router.Context.MustGet: no value for key "s"`, func() { c.MustGet("s") })

		c.Set("s", "old")
		c.Set("s", "new")
		c.Set("n", 7)
		c.Set("nil", nil)
		if v, exists := c.Get("s"); v != "new" || !exists || c.GetString("s") != "new" || c.MustGet("s") != "new" {
			t.Errorf("after Set, Get gives %v, %t", v, exists)
		}
		if c.MustGet("n") != 7 || c.GetString("n") != "" {
			t.Errorf("a number: MustGet %v, GetString %q", c.MustGet("n"), c.GetString("n"))
		}
		if v, exists := c.Get("nil"); v != nil || !exists || c.MustGet("nil") != nil {
			t.Errorf("a nil: Get %v, %t", v, exists)
		}
	})).Dispatch(nil, wspulse.Frame{})
}

// captureLog returns what log/slog writes from now until the end of the test.
func captureLog(t *testing.T) *bytes.Buffer {
	var buf bytes.Buffer
	logger, writer, flags := slog.Default(), log.Writer(), log.Flags()
	t.Cleanup(func() {
		slog.SetDefault(logger)
		log.SetOutput(writer)
		log.SetFlags(flags)
	})
	slog.SetDefault(slog.New(slog.NewTextHandler(&buf, nil)))
	return &buf
}

func TestFallback_DefaultLogsAWarning(t *testing.T) {
	tests := []struct {
		name  string
		conn  router.Connection
		event string
		want  string
	}{
		{"connection", peer("ada"), "chat", "event=chat connection=ada"},
		{"no connection", nil, "chat", "event=chat"},
		{"no event", peer("ada"), "", `event="" connection=ada`},
		{"long event", nil, strings.Repeat("é", 500), "event=" + strings.Repeat("é", 64) + "…"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			buf := captureLog(t)
			router.New().Dispatch(tt.conn, wspulse.Frame{Event: tt.event, Payload: []byte("secret")})
			_, got, _ := strings.Cut(buf.String(), " ") // after the time
			if want := `level=WARN msg="wspulse: no handler for event" ` + tt.want + "\n"; got != want {
				t.Errorf("logged %s, want %s", got, want)
			}
		})
	}
}

func TestRecovery_ContainsThePanic(t *testing.T) {
	buf := captureLog(t)
	var tr trace
	r := router.New()
	r.Use(tr.wrap("m"), router.Recovery(), tr.wrap("n"))
	r.On("a", blowUp, tr.note("never"))
	r.On("b", tr.note("b"))
	r.Use(func(c *router.Context) { c.Set("k", "v") })

	r.Dispatch(peer("ada"), wspulse.Frame{Event: "a", Payload: []byte("secret")})
	if got, want := strings.TrimSpace(tr.String()), "m( n( )m"; got != want {
		t.Errorf("ran %s, want %s", got, want)
	}
	for _, want := range []string{"level=ERROR", "event=a", "connection=ada", "panic=boom", "router_test.blowUp"} {
		if !strings.Contains(buf.String(), want) {
			t.Errorf("the log lacks %s: %s", want, buf)
		}
	}
	if strings.Contains(buf.String(), "secret") {
		t.Errorf("the payload is in the log: %s", buf)
	}

	buf.Reset()
	if got, want := tr.of(r, "b"), "m( n( b )n )m"; got != want || buf.Len() > 0 {
		t.Errorf("after that ran %s, logged %s; want %s", got, buf, want)
	}
}

func blowUp(*router.Context) { panic(errors.New("boom")) }

func TestRecovery_Aborts(t *testing.T) {
	captureLog(t)
	var aborted bool
	r := router.New()
	r.Use(func(c *router.Context) { c.Next(); aborted = c.IsAborted() }, router.Recovery())
	r.On("a", blowUp)
	r.Dispatch(nil, wspulse.Frame{Event: "a"})
	if !aborted {
		t.Error("the middleware before Recovery cannot tell that the handlers did not finish")
	}
}
