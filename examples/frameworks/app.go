package main

import (
	"context"
	"log"
	"net/http"
	"time"

	"go.uber.org/zap"

	wspulse "github.com/wspulse/server"
)

// roomKey is the key of the context under which a framework's handler leaves the room that the path names.
type roomKey struct{}

// inRoom returns a request that has the room in its context.
func inRoom(r *http.Request, room string) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), roomKey{}, room))
}

// connect takes the room from the context, and the user from the cookie that welcome has seen to.
func connect(r *http.Request) (roomID, connectionID string, err error) {
	room, ok := r.Context().Value(roomKey{}).(string)
	if !ok {
		return "", "", &wspulse.Refusal{Status: http.StatusNotFound, Text: "no room in the path"}
	}
	visitor, err := r.Cookie("visitor")
	if err != nil {
		return room, "", nil // the first time
	}
	wspulse.Attach(r, wspulse.Details{UserID: visitor.Value})
	return room, "", nil
}

// welcome is middleware of any framework that takes net/http's: it gives a cookie, which goes out with the 101.
func welcome(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := r.Cookie("visitor"); err != nil {
			http.SetCookie(w, &http.Cookie{Name: "visitor", Value: "v1", Path: "/", HttpOnly: true})
		}
		next.ServeHTTP(w, r)
	})
}

// logged is middleware that wraps the ResponseWriter. Unwrap lets the server take the connection over, which it can't
// do where a wrapper hides it: such a request is refused with the wrapper's type, and what it lacks.
func logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		wrapped := &statusWriter{ResponseWriter: w, status: http.StatusSwitchingProtocols} // which nobody writes by it
		next.ServeHTTP(wrapped, r)
		log.Printf("%s %s: %d", r.Method, r.URL.Path, wrapped.status)
	})
}

// A statusWriter keeps the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// An app is what is the same with all frameworks: rooms that relay what their members say, and news for a room by HTTP.
type app struct {
	sessions wspulse.Server
	slow     time.Duration // that it takes to make news
}

func newApp(logger *zap.Logger, options ...wspulse.ServerOption) *app {
	a := &app{}
	a.sessions = wspulse.NewServer(connect, append([]wspulse.ServerOption{
		wspulse.WithLogger(logger),
		wspulse.WithOnMessage(func(c wspulse.Connection, f wspulse.Frame) { _ = a.sessions.Broadcast(c.RoomID(), f) }),
	}, options...)...)
	return a
}

// news tells a room something.
func (a *app) news(w http.ResponseWriter, _ *http.Request, room string) {
	time.Sleep(a.slow)
	if err := a.sessions.Broadcast(room, wspulse.Frame{Event: "news"}); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
