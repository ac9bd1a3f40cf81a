// Package attachment lets a function say more of a request than it returns. The server's Attach writes it down, and the
// server, or a test of that function, reads it.
package attachment

import (
	"context"
	"net/http"
)

// A Holder is what a request holds. The goroutine that handles that owns it.
type Holder[D any] struct{ Details *D } // nil: nothing has been attached

type key struct{}

// With returns a request that holds what is attached to it, and to those made of it by WithContext.
func With[D any](r *http.Request) (*http.Request, *Holder[D]) {
	held := &Holder[D]{}
	return r.WithContext(context.WithValue(r.Context(), key{}, held)), held
}

// Of returns the Holder of a request; nil: it has none.
func Of[D any](r *http.Request) *Holder[D] {
	held, _ := r.Context().Value(key{}).(*Holder[D])
	return held
}
