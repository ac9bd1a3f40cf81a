package main

import "net/http"

// newServeMux mounts the server under a pattern of net/http. ConnectFunc could take r.PathValue("room") as well.
func newServeMux(a *app) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /rooms/{room}/ws", func(w http.ResponseWriter, r *http.Request) {
		a.sessions.ServeHTTP(w, inRoom(r, r.PathValue("room")))
	})
	mux.HandleFunc("POST /rooms/{room}/news", func(w http.ResponseWriter, r *http.Request) {
		a.news(w, r, r.PathValue("room"))
	})
	return logged(welcome(mux))
}
