// Package client is a client for the servers of package wspulse. It speaks wspulse.v1 and reconnects by itself: as long
// as its session lives, no message is lost and none comes twice, in either direction, however often the connection
// breaks. What could not be kept it says: messages that the server had to drop, and a session that is gone.
//
//	c, err := client.Dial(ctx, "wss://example.com/ws",
//		client.WithOnMessage(func(c client.Client, f client.Frame) { … }))
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//	err = c.Send(client.Frame{Event: "hello"})
//
// # Callbacks
//
// Callbacks run one at a time, in the order in which things happened:
//
//	OnMessage, OnGap… → (OnTransportDrop → OnSessionLost? → OnTransportRestore → OnMessage, OnGap…)… → OnDisconnect
//
// OnPresence has its turn among OnMessage and OnGap. OnDisconnect is the last, and runs exactly once. Done is
// closed after it. Close returns when the connection is closed, which may be before callbacks that still wait have run;
// so it may be called in a callback.
//
// A callback may block, and call any method of the Client. A panic in it is logged, and the client goes on; the message
// counts as processed. So does one whose goroutine a callback ends (runtime.Goexit).
//
// # What is acknowledged
//
// A message of the server is acknowledged when it waits for its callback: it is the client's then, and outlives drops.
// When 1,024 messages or 4 MiB wait, the client acknowledges no more until half of that is worked off. It goes on
// reading, so that it answers pings and hears what the server acknowledges, while the server's acknowledgement window
// fills and its queue takes over. At 4,096 messages or 16 MiB the client stops reading: only a server that keeps no
// sessions gets it there, or a callback that blocks for minutes.
//
// What Send has taken is kept until the server has acknowledged it, which says that its application is through with it.
//
// # Rooms
//
// Join and Leave ask the server for rooms, and Request for anything else. WithOnPresence tells who is in the rooms that
// the client is in, and [Client].Presence knows it at any time. What a drop does to that is said there.
package client
