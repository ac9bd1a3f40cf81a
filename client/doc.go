// Package client is a client for the servers of package wspulse. It speaks wspulse.v1: what it sends and what it gets
// is lost neither with a dropped connection nor doubled, as long as its session lives, and what could not be kept it says
// plainly. It reconnects by itself.
//
//	c, err := client.Dial(ctx, "wss://example.com/ws",
//		client.WithOnMessage(func(c client.Client, f client.Frame) { … }))
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//	err = c.Send(client.Frame{Event: "hello"})
//
// Callbacks run one at a time, in this order, and the last exactly once:
//
//	OnMessage, OnGap… → (OnTransportDrop → OnSessionLost? → OnTransportRestore → OnMessage, OnGap…)… → OnDisconnect
//
// They may block, and call any method of the Client. While one blocks, messages wait, and the server is not told that they
// have been received: it keeps what it sends within its acknowledgement window.
package client
