package router_test

import (
	"fmt"
	"testing"

	wspulse "github.com/wspulse/core"
	"github.com/wspulse/core/router"
)

func benchRouter(middleware int) *router.Router {
	r := router.New(router.WithFallback(func(*router.Context) {}))
	r.Use(repeat(func(c *router.Context) { c.Next() }, middleware)...)
	for i := range 50 {
		r.On(fmt.Sprintf("event.%d", i), func(*router.Context) {})
	}
	return r
}

func BenchmarkDispatch(b *testing.B) {
	var conn router.Connection = peer("p")
	for _, middleware := range []int{0, 5} {
		r := benchRouter(middleware)
		for _, event := range []string{"event.7", "unknown"} {
			f := wspulse.Frame{Event: event}
			b.Run(fmt.Sprintf("middleware=%d/event=%s", middleware, event), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					r.Dispatch(conn, f)
				}
			})
		}
	}
}

func BenchmarkDispatchParallel(b *testing.B) {
	var conn router.Connection = peer("p")
	r := benchRouter(5)
	f := wspulse.Frame{Event: "event.7"}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r.Dispatch(conn, f)
		}
	})
}
