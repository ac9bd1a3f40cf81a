package modeltest

// v1Stories are inputs for FuzzLossless that are worth telling.
func v1Stories() (inputs [][]byte) {
	const (
		alice, bob, carol                       = 0, 1, 2
		none, short, middle, long               = 0, 1, 2, 3 // windows, of 0, 5, 30 and 120 s
		frames1, frames2, frames5, frames1024   = 0, 1, 3, 5
		bytesAny, bytes700, bytes40             = 0, 2, 3
		pings3, pings10, ackTimeout5            = 0, 1, 2
		replace, resume, reject                 = 0, 1, 2
		newest, confirmed, before, beforeThat   = 0, 9, 11, 12 // tokens
		madeUp, others, anothers                = 13, 14, 15
		right, acknowledged, middling           = 0, 3, 4 // counts
		tooLarge, tooSmall                      = 5, 6
		note, echo, block, panics               = 0, 2, 3, 4
		malformed, large, quit                  = 5, 6, 7
		once, twice, seventy                    = 0, 3, 7
		all, one, again, unsent, backwards      = 0, 3, 5, 6, 7 // to acknowledge
		second1, seconds5, seconds10, seconds31 = 0, 3, 4, 5
		theWindow, minutes5                     = 6, 7
		readsOn, isReplaced, isCut              = 0, 1, 2
		tiny, some, two, four, eight            = 0, 2, 4, 12, 28 // sizes; messages
	)
	config := func(window, buffer, frames, bytes, beat, policy byte) []byte {
		return []byte{window, buffer - 1, frames, bytes, beat, policy}
	}
	of := func(id, more byte) byte { return id + 3*more }
	add := func(config []byte, steps ...byte) { inputs = append(inputs, append(config, steps...)) }

	// Sent, dropped, sent while away, resumed; the acknowledgement of some of it was lost, and a hello, and another.
	add(config(middle, 8, frames1024, bytesAny, pings10, replace),
		v1Open, alice, 0, v1Acks, alice, all, v1Send, alice, four, v1Acks, alice, one, v1Say, of(alice, twice), note,
		v1Drop, alice, 0, v1Send, alice, two, v1Claims, of(alice, newest), right, v1Drop, alice, 0,
		v1Claims, of(alice, confirmed), acknowledged, v1Drop, alice, 0, v1Claims, of(alice, confirmed), middling|8,
		v1Acks, alice, all, v1Pass, 0, second1, v1Claims, of(alice, newest), right)
	// Nothing is said but claims: each confirms its token, and any number of hellos may be lost.
	add(config(middle, 8, frames1024, bytesAny, pings10, replace),
		v1Open, alice, 0, v1Claims, of(alice, newest), right, v1Claims, of(alice, newest), right, v1Send, alice, two,
		v1Claims, of(alice, confirmed), acknowledged, v1Drop, alice, 0, v1Claims, of(alice, confirmed), acknowledged,
		v1Pass, 0, seconds10, v1Claims, of(alice, confirmed), right, v1Claims, of(alice, before), right)
	// An old token, one before that, one that is made up, bob's, and bob with alice's.
	for _, which := range []byte{before, beforeThat, madeUp, others, anothers} {
		add(config(middle, 8, frames1024, bytesAny, pings10, replace),
			v1Open, alice, 0, v1Open, bob, 0, v1Acks, alice, all, v1Claims, of(alice, newest), right, v1Acks, alice, all,
			v1Claims, of(alice, newest), right, v1Acks, alice, all, v1Send, alice, two, v1Claims, of(alice, which), right,
			v1Drop, alice, 0, v1Claims, of(alice, which), right)
	}
	// Counts that cannot be, of claims and of acknowledgements.
	for _, count := range []byte{tooLarge, tooSmall} {
		add(config(middle, 8, frames1024, bytesAny, pings10, replace),
			v1Open, alice, 0, v1Send, alice, four, v1Acks, alice, one, v1Say, of(alice, twice), note,
			v1Claims, of(alice, newest), count, v1Claims, of(alice, before), right)
	}
	for _, count := range []byte{unsent, again, backwards} {
		add(config(middle, 8, frames1024, bytesAny, pings10, replace),
			v1Open, alice, 0, v1Send, alice, four, v1Acks, alice, one, v1Acks, alice, count, v1Claims, of(alice, newest), right)
	}
	// A full window, a full queue behind it, and gaps; a claim and an acknowledgement that end within one.
	for _, within := range []byte{v1Claims, v1Acks} {
		add(config(long, 2, frames2, bytesAny, pings10, replace),
			v1Open, alice, 0, v1Broadcast, 0, eight, v1Acks, alice, all, within, of(alice, newest), middling|8,
			v1Claims, of(alice, newest), right)
	}
	add(config(long, 2, frames2, bytesAny, pings10, replace),
		v1Open, alice, 0, v1Broadcast, 0, eight, v1Send, alice, four, v1Acks, alice, all, v1Drop, alice, 0,
		v1Claims, of(alice, newest), acknowledged, v1Broadcast, 0, eight, v1Acks, alice, all, v1Broadcast, 0, two,
		v1Drop, alice, 0, v1Broadcast, 0, eight, v1Claims, of(alice, newest), right, v1Acks, alice, all,
		v1Claims, of(alice, newest), middling|8)
	add(config(long, 3, frames1024, bytes700, pings10, replace),
		v1Open, alice, 0, v1Broadcast, 0, eight|some, v1Acks, alice, one, v1Broadcast, 0, eight|some, v1Acks, alice, all)
	// Takeovers by turns, with a callback that blocks, messages that wait behind it, and one that panics.
	add(config(middle, 8, frames1024, bytesAny, pings3, replace),
		v1Open, alice, 0, v1Say, of(alice, once), block, v1Say, of(alice, twice), note, v1Say, of(alice, once), panics,
		v1Claims, of(alice, newest), right, v1Claims, of(alice, newest), right, v1Say, of(alice, once), note,
		v1Claims, of(alice, newest), right, v1Pass, 0, seconds5, v1Say, of(alice, once), panics,
		v1Claims, of(alice, newest), right, v1Pass, 0, seconds31, v1Claims, of(alice, newest), right)
	// What is told of sessions that are over: kicked with messages that wait, expired, closed, and too late.
	add(config(short, 8, frames1024, bytesAny, pings3, replace),
		v1Open, alice, 0, v1Say, of(alice, once), block, v1Say, of(alice, twice), note, v1Kick, alice, 0,
		v1Claims, of(alice, newest), right, v1Say, of(alice, once), block, v1Say, of(alice, twice), note, v1Drop, alice, 0,
		v1Kick, alice, 0,
		v1Claims, of(alice, newest), right, v1Pass, 0, seconds5, v1Claims, of(alice, before), right,
		v1Say, of(alice, once), quit, v1Claims, of(alice, newest), right, v1Say, of(alice, once), note, v1Drop, alice, 0,
		v1Pass, 0, seconds10, v1Claims, of(alice, newest), right, v1SayBye, alice, 0, v1Claims, of(alice, newest), right,
		v1Close, 0, 0, v1Pass, 0, minutes5, v1Claims, of(alice, newest), right)
	// The window passes while messages wait behind a callback: they are not processed any more.
	add(config(short, 8, frames1024, bytesAny, pings3, replace),
		v1Open, alice, 0, v1Say, of(alice, twice), block, v1Say, of(alice, once), malformed, v1Say, of(alice, once), block,
		v1Say, of(alice, twice), note, v1Drop, alice, 0, v1Pass, 0, seconds10, v1Claims, of(alice, newest), right)
	// Nothing acknowledged for too long; and in time.
	add(config(middle, 8, frames1024, bytesAny, pings3|ackTimeout5, replace),
		v1Open, alice, 0, v1Pass, 0, seconds10, v1Send, alice, two, v1Pass, 0, seconds5, v1Acks, alice, one,
		v1Pass, 0, seconds5, v1Pass, 0, seconds10, v1Claims, of(alice, newest), right, v1Pass, 0, seconds31)
	// All that ends a transport and not the session, and what ends that.
	for i := range byte(19) {
		add(config(middle, 8, frames1024, bytesAny, pings10, replace),
			v1Open, alice, 0, v1Say, of(alice, once), note, v1Garbage, alice, i, v1Claims, of(alice, newest), right,
			v1Say, of(alice, once), []byte{malformed, large}[i%2], v1Claims, of(alice, newest), right, v1HangUp, alice, i,
			v1Claims, of(alice, newest), right, v1Lies, of(alice, i), i, v1Claims, of(alice, newest), right)
	}
	// Acknowledged after 64, after a second, and anew by a transport.
	add(config(middle, 8, frames1024, bytesAny, pings10, replace),
		v1Open, alice, 0, v1Say, of(alice, seventy), note, v1Pass, 0, second1, v1Say, of(alice, twice), echo,
		v1Drop, alice, 3, v1Claims, of(alice, newest), right, v1Pass, 0, second1, v1Say, of(alice, seventy), malformed)
	// Too much that is malformed in too short a time; after some time; and with a message between that is in order.
	add(config(middle, 8, frames1024, bytesAny, pings10, replace),
		v1Open, alice, 0, v1Say, of(alice, seventy), malformed, v1Pass, 0, seconds31, v1Say, of(alice, seventy), malformed,
		v1Say, of(alice, once), note, v1Say, of(alice, seventy), malformed, v1Say, of(alice, seventy), malformed,
		v1Claims, of(alice, newest), right, v1Say, of(alice, seventy), malformed)
	// In the middle of writes.
	for _, then := range []byte{readsOn, isReplaced, isCut} {
		for _, bytes := range []byte{0, 2, 9, 13, 18, 27} {
			add(config(middle, 8, frames5, bytesAny, pings10, replace),
				v1Open, alice, 0, v1Cut, of(alice, 3), bytes*4|then, v1Claims, of(alice, newest), acknowledged,
				v1Acks, alice, all, v1Cut, of(alice, 3), bytes*4|then, v1Claims, of(alice, newest), right)
		}
	}
	// Others of the same ID, kept out, or not; and all of it without a window.
	for _, policy := range []byte{replace, resume, reject} {
		for _, window := range []byte{none, long} {
			add(config(window, 2, frames1, bytes40, pings10, policy),
				v1Open, alice, 0, v1Open, alice, 0, v1Send, alice, four, v1Acks, alice, all, v1Open, carol, 0,
				v1Claims, of(alice, madeUp), right, v1Say, of(alice, once), block, v1Ping, alice, 0, v1Cut, alice, isCut,
				v1Open, alice, 0, v1Claims, of(alice, newest), right, v1Broadcast, 0, four, v1SayBye, alice, 0,
				v1Drop, carol, 2, v1Pass, 0, theWindow, v1Claims, of(carol, newest), right, v1Claims, of(bob, anothers), right)
		}
	}
	return inputs
}
