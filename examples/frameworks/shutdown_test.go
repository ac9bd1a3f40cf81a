package main

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/zap"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/wstest"
)

// An end is what has come of what was under way when a server was stopped: a request that takes a second to make news
// for a room, a member of that, and a callback that takes 100 ms to save what the member had.
type end struct {
	answer int    // of the request
	heard  string // by the member: events, and the close code
	saved  bool   // when the program would have exited
}

// endBy stops a server half a second after the request has come.
func endBy(t *testing.T, stop func(web *http.Server, sessions wspulse.Server)) (e end) {
	synctest.Test(t, func(t *testing.T) {
		var saved atomic.Bool
		a := newApp(zap.NewNop(), wspulse.WithOnDisconnect(func(wspulse.Connection, error) {
			time.Sleep(100 * time.Millisecond)
			saved.Store(true)
		}))
		a.slow = time.Second
		var web *http.Server
		server := wstest.NewServer(t, newServeMux(a), func(s *http.Server) { web = s })
		t.Cleanup(func() { _ = a.sessions.Shutdown(context.Background()) })
		member := server.Dial("/rooms/kitchen/ws")
		synctest.Wait()
		answers := make(chan int, 1)
		go func() { answers <- post(t, server, "http://wstest/rooms/kitchen/news") }()
		time.Sleep(500 * time.Millisecond)

		stop(web, a.sessions)
		e.saved = saved.Load()

		e.answer = <-answers
		synctest.Wait()
		for _, f := range member.Received() {
			e.heard += f.Event + " "
		}
		if closed, ok := member.Err().(*websocket.CloseError); ok {
			e.heard += closed.Error()
		}
	})
	return e
}

// post returns the status of the answer, and 0 when there is none.
func post(t *testing.T, server *wstest.Server, url string) int {
	c := http.Client{Transport: &http.Transport{DialContext: server.Listener.DialContext, DisableKeepAlives: true}}
	response, err := c.Post(url, "", nil)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

// The order that loses nothing, and the others, which lose what the comments say.
func TestShutdown_Orders(t *testing.T) {
	const goneAway = "websocket: close 1001 (going away): server shutting down"
	ctx := context.Background()
	for name, c := range map[string]struct {
		stop func(web *http.Server, sessions wspulse.Server)
		want end
	}{
		"requests, then sessions": {func(web *http.Server, sessions wspulse.Server) {
			_, _ = web.Shutdown(ctx), sessions.Shutdown(ctx)
		}, end{204, "news " + goneAway, true}},

		// What requests broadcast meanwhile.
		"sessions, then requests": {func(web *http.Server, sessions wspulse.Server) {
			_, _ = sessions.Shutdown(ctx), web.Shutdown(ctx)
		}, end{503, goneAway, true}},

		// The same, and whatever takes longer than the requests: nobody waits for what is registered.
		"RegisterOnShutdown": {func(web *http.Server, sessions wspulse.Server) {
			web.RegisterOnShutdown(func() { _ = sessions.Shutdown(ctx) })
			short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
			defer cancel()
			_ = web.Shutdown(short)
		}, end{503, goneAway, false}},

		// The sessions: nobody tells them anything.
		"requests alone": {func(web *http.Server, _ wspulse.Server) {
			_ = web.Shutdown(ctx)
		}, end{204, "news ", false}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := endBy(t, c.stop); got != c.want {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

// What main does, with a request under way, and one that never ends.
func TestServe_GivesEachPartItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		saved := false
		a := newApp(zap.NewNop(), wspulse.WithOnDisconnect(func(wspulse.Connection, error) {
			time.Sleep(time.Second)
			saved = true
		}))
		a.slow = time.Minute
		listener := wstest.Listen()
		server := &wstest.Server{Listener: listener}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		web := &http.Server{Handler: newServeMux(a), ReadHeaderTimeout: time.Second}
		go func() { ended <- serve(ctx, listener, web, a.sessions) }()
		dialer := websocket.Dialer{NetDialContext: listener.DialContext}
		member, response, err := dialer.DialContext(t.Context(), "ws://wstest/rooms/kitchen/ws", nil)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		defer member.Close()
		answers := make(chan int, 1)
		go func() { answers <- post(t, server, "http://wstest/rooms/kitchen/news") }()
		synctest.Wait()

		stop()
		_, _, err = member.ReadMessage()
		if !websocket.IsCloseError(err, websocket.CloseGoingAway) {
			t.Errorf("the member got %v", err)
		}
		if err := <-ended; err == nil || err.Error() != "requests have not ended: context deadline exceeded" {
			t.Errorf("it ended with %v", err)
		}
		if !saved {
			t.Error("nothing is saved: the request has taken the sessions' time")
		}
		<-answers
	})
}
