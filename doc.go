// Package wspulse is a WebSocket session server to mount in a Go program: an http.Handler with rooms, Send, Broadcast
// and Kick, whose sessions can survive a dropped connection.
//
//	server := wspulse.NewServer(func(r *http.Request) (roomID, connectionID string, err error) {
//		return r.URL.Query().Get("room"), "", nil
//	})
//	defer server.Close()
//	http.Handle("/ws", server)
//
// A client that offers the subprotocol wspulse.v1, such as that of package client, loses nothing as long as its session
// lives: docs/protocol.md is its specification.
//
// A [Connection] is a session: it has an ID, a room and a queue of frames for its peer, and with [WithResumeWindow] it
// outlives the WebSocket that carries it. Callbacks (see [WithOnConnect]) tell of its life, one at a time.
package wspulse
