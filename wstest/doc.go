// Package wstest is for the tests of programs that use wspulse: a server on a network in memory, a client, faults in
// the network between the two, and a collector of metrics that counts.
//
// It works inside a [testing/synctest] bubble, where time is free and durations can be compared with ==, and outside
// one:
//
//	synctest.Test(t, func(t *testing.T) {
//		sessions := wspulse.NewServer(connect, wspulse.WithResumeWindow(time.Minute))
//		server := wstest.NewServer(t, sessions)
//
//		alice := server.Dial("/?room=lobby&id=alice")
//		synctest.Wait() // the session opens right after the handshake
//		alice.Drop()
//		synctest.Wait()
//		_ = sessions.Send("alice", wspulse.Frame{Event: "news"})
//
//		server.Dial("/?room=lobby&id=alice").Expect("news")
//	})
//
// [Faults] are set for each direction, when a client dials or at any time later: latency, a slow line, a small window,
// a black hole, a cut or a reset after so many bytes. [Wrap] puts the same faults between a program and a real socket.
//
// Who a client is, the ConnectFunc of the program says: its tests set headers, cookies or the query. Where they are
// about something else, [FromQuery] is a ConnectFunc that takes everybody for whom the URL names, with users and rooms.
// [Request] is for the test of a ConnectFunc by itself, without a server.
//
// A client of [WithPresence] knows who is there ([Client].ExpectPresence), and any client asks and replies:
//
//	alice := server.Dial("/?room=lobby&id=1&user=alice", wstest.WithPresence())
//	alice.ExpectReply(alice.Request("join", map[string]string{"room": "news"}))
//	alice.ExpectPresence("news", "1")
//
// A [Session] is a client of wspulse.v1 that a test directs: it can lose a hello, keep acknowledgements back, and claim
// what it likes.
//
// What belongs to a bubble (a Server, a Listener, a Conn) has to be made in it. Whatever waits here waits for ten
// seconds at most; then the test fails.
package wstest

import "time"

// patience bounds every wait that has no bound of its own.
const patience = 10 * time.Second
