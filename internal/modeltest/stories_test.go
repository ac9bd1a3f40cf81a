package modeltest

// modelStories are inputs for FuzzModel that are worth telling.
func modelStories() (inputs [][]byte) {
	const (
		window2, window10, window60      = 1, 2, 3 // seconds
		writeWait2, writeWait15          = 1, 3
		beat3, beat60                    = 0, 2
		alice, bob, carol, dave          = 0, 1, 2, 3
		lobby, cellar                    = 0, 1
		first, second, third             = 0, 1, 2 // of the clients that are there; of the sessions, from the last
		note, echo, shout, quit          = 0, 1, 2, 3
		kickMe, panics, malformed        = 4, 5, 6
		normal, goingAway, none, private = 0, 1, 2, 3 // statuses
		tooLarge, protocol               = 0, 1
	)
	config := func(window, buffer, writeWait, beat byte) []byte { return []byte{window, buffer - 1, writeWait, beat} }
	add := func(config []byte, steps ...byte) { inputs = append(inputs, append(config, steps...)) }

	// A session is resumed with a full buffer, which has lost its oldest frames to broadcasts.
	add(config(window10, 3, writeWait2, beat60),
		doConnect, alice, lobby, doConnect, bob, lobby, doDrop, first, 0,
		doSend, alice, 0, doSendOn, second, 0, doSend, alice, broken, doBroadcast, lobby, 0, doSend, alice, 0,
		doBroadcast, lobby, 0, doBroadcast, lobby, 0, doPass, 0, 4, doConnect, alice, cellar, doSend, alice, 0,
		doSay, second, echo, doSay, second, shout)
	// Kicked while suspended, with frames in the queue; then back, as somebody new.
	add(config(window60, 4, writeWait2, beat60),
		doConnect, alice, lobby, doDrop, first, 0, doSend, alice, 0, doBroadcast, lobby, 0, doKick, alice, 0,
		doSendOn, first, 0, doKick, alice, 0, doConnect, alice, lobby, doSend, alice, 0, doSay, first, kickMe)
	// Kicked while the server is stuck in writing: that frame is all that the client reads.
	add(config(window60, 4, writeWait2, beat60),
		doConnect, alice, lobby|notReading, doSend, alice, 0, doSend, alice, 0, doBroadcast, lobby, 0, doKick, alice, 0,
		doPass, 0, 0, doReadOn, first, 0, doConnect, alice, lobby|notReading, doSend, alice, 0, doSend, alice, 0, doKick, alice, 0)
	// Replaced while the server is stuck in writing; the old client reads on in time, the second one too late.
	add(config(window10, 2, writeWait15, beat60),
		doConnect, alice, lobby|notReading, doSend, alice, 0, doSend, alice, 0, doSend, alice, 0, doSend, alice, 0,
		doConnect, alice, cellar|notReading, doSend, alice, 0, doSend, alice, 0, doPass, 0, 2, doReadOn, first, 0,
		doConnect, alice, lobby, doPass, 0, 8, doReadOn, first, 0, doSend, alice, 0)
	// The window passes, for one member after the other.
	add(config(window2, 2, writeWait2, beat60),
		doConnect, alice, lobby, doConnect, bob, lobby, doConnect, carol, lobby, doGoodbye, first, normal,
		doPass, 0, 0, doGoodbye, first, private, doBroadcast, lobby, 0, doPass, 0, 0, doDrop, first, 0,
		doConnect, bob, lobby, doPass, 0, 5, doConnect, alice, lobby)
	// The server is closed with everything going on: a reader, a stuck write, a suspended session, one just closed.
	add(config(window60, 4, writeWait2, beat60),
		doConnect, alice, lobby, doConnect, bob, lobby, doConnect, carol, lobby, doConnect, dave, cellar,
		doDrop, third, 0, doStall, second, 0, doBroadcast, lobby, 0, doBroadcast, lobby, 0, doStall, third, 0,
		doSend, dave, 0, doClose, first, 0, doBroadcast, lobby, atOnce, doSend, alice, atOnce, doBroadcast, lobby, atOnce,
		doCloseServer, 0, broken, doSend, alice, 0, doKick, alice, 0, doBroadcast, lobby, 0, doConnect, alice, lobby,
		doReadOn, second, 0, doCloseServer, 0, broken, doPass, 0, 1)
	// The same while broadcasts wait for the hub: several times, for it is left to chance which of the two the hub sees
	// first.
	for buffer := byte(3); buffer <= 8; buffer++ {
		add(config(window60, buffer, writeWait2, beat60),
			doConnect, alice, lobby, doBroadcast, lobby, atOnce|holdUp, doBroadcast, lobby, atOnce, doCloseServer, 0, broken)
	}
	// A client that does not read dies of its write, one that answers no ping of that: each is back with what is left.
	add(config(window60, 2, writeWait2, beat60),
		doConnect, alice, lobby|notReading, doConnect, bob, lobby, doSend, alice, 0, doSend, alice, 0, doPass, 0, 1,
		doReadOn, first, 0, doConnect, alice, lobby)
	add(config(window60, 2, writeWait15, beat3),
		doConnect, alice, lobby, doPass, 0, 3, doStall, first, 0, doSend, alice, 0, doPass, 0, 2, doConnect, alice, lobby,
		doStall, second, 0, doPass, 0, 1, doReadOn, second, 0, doPass, 0, 30)
	// Cut in the middle of a batch, twice.
	add(config(window10, 8, writeWait15, beat60),
		doConnect, alice, lobby, doStall, first, 0, doSend, alice, 0, doSend, alice, 0, doSend, alice, 0, doBroadcast, lobby, 0,
		doCut, first, 17, doConnect, alice, lobby|notReading, doCut, first, 36, doSend, alice, 0, doConnect, alice, lobby)
	// Calls made at once, on sessions of all kinds, and then the end of one.
	add(config(window60, 8, writeWait2, beat60),
		doConnect, alice, lobby, doConnect, bob, lobby, doConnect, carol, lobby, doDrop, third, 0, doStall, second, 0,
		doSend, bob, 0, doBroadcast, lobby, atOnce, doSend, alice, atOnce, doSendOn, first, atOnce, doBroadcast, lobby, atOnce,
		doSend, carol, atOnce, doClose, third, atOnce, doBroadcast, lobby, 0, doConnect, carol, lobby)
	// Everything that ends a transport and not the session, and what a callback may do.
	add(config(window10, 2, writeWait2, beat60),
		doConnect, alice, lobby, doFault, first, tooLarge, doConnect, alice, lobby, doFault, first, protocol,
		doConnect, alice, lobby, doSay, first, panics, doConnect, alice, lobby, doGoodbye, first, none,
		doConnect, alice, lobby, doGoodbye, first, goingAway, doConnect, alice, lobby, doSay, first, malformed,
		doSay, first, note, doSay, first, quit)
	// The same without a window.
	add(config(0, 2, writeWait2, beat60),
		doConnect, alice, lobby, doFault, first, tooLarge, doConnect, alice, lobby, doFault, first, protocol,
		doConnect, alice, lobby, doSay, first, panics, doConnect, alice, lobby, doGoodbye, first, private,
		doConnect, alice, lobby, doStall, first, 0, doSend, alice, 0, doSend, alice, 0, doDrop, first, 0)
	return inputs
}
