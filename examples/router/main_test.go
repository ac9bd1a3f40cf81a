package main

import (
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wspulse/server/examples/internal/memnet"
)

func TestRouter_AnswersByEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer()
		network := memnet.Serve(t, &http.Server{Handler: server, ReadHeaderTimeout: time.Second}, server.Close)
		peer := network.Dial("/")
		for _, message := range []string{
			`{"id":"1","event":"echo","payload":"hello"}`,
			`{"id":"2","event":"shout","payload":"hello"}`,
			`{"id":"3","event":"crash"}`,
			`{"id":"4","event":"shout","payload":7}`,
			`{"id":"5","event":"sing"}`,
		} {
			peer.Write(message)
		}
		want := []string{
			`{"id":"1","event":"echo","payload":"hello"}`,
			`{"id":"2","event":"shout","payload":"HELLO"}`,
			`{"id":"4","event":"error","payload":"the payload must be a string that is not empty"}`,
			`{"id":"5","event":"error","payload":"no such event"}`,
		}
		if got := peer.Received(); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}
