package main

import (
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
)

// newChi mounts the server in chi. Its wrappers of the ResponseWriter hand the connection over, Compress's too; Timeout
// ends the request's context, which a session does not depend on.
func newChi(a *app) http.Handler {
	r := chi.NewRouter()
	r.Use(middleware.Logger, middleware.Recoverer, middleware.Compress(5), middleware.Timeout(time.Minute), welcome)
	r.Get("/rooms/{room}/ws", func(w http.ResponseWriter, r *http.Request) {
		a.sessions.ServeHTTP(w, inRoom(r, chi.URLParam(r, "room")))
	})
	r.Post("/rooms/{room}/news", func(w http.ResponseWriter, r *http.Request) { a.news(w, r, chi.URLParam(r, "room")) })
	return r
}
