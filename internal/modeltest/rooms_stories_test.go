package modeltest

// roomsStories are inputs for FuzzRooms that are worth telling.
func roomsStories() (inputs [][]byte) {
	const (
		window60, window10, window2, without = 0, 1, 2, 3
		buffer2, buffer4, buffer8, buffer40  = 0, 1, 2, 3
		keep, follow, anew                   = 0, 1, 2
		any128, three, two                   = 0, 1, 2 // rooms for each
		alice, bob, carol, dave              = 0, 1, 2, 3
		ann, ben, unattached                 = 1 << 2, 2 << 2, 3 << 2 // users of those who connect
		soon, later                          = 2 << 4, 3 << 4         // their ends
		user1, user2                         = 1, 2                   // ann and ben, of SendUser and Kick
		lobby, cellar, attic, den, long      = 0, 1, 2, 3, 4
		alsoLobby, alsoCellar, alsoAttic     = 4, 8, 16
		alsoDen                              = 32
		first, second, third                 = 0, 1, 2 // of the clients that are there; of the sessions, from the last
		now, held                            = atOnce, atOnce | heldUp
		note, echo, shout, all, joins        = 0, 1, 2, 3, 4
		leaves, moves, kicks, quits, expires = 5, 6, 7, 8, 9
		kick, kickUser, kickBadly, kickWith  = 0, 1, 2, 3
		closes, closesWith, badly, past      = 0, 1, 2, 3
	)
	add := func(config []byte, steps ...byte) { inputs = append(inputs, append(config, steps...)) }
	of := func(room byte) byte { return room << 4 } // of what a client says

	// A member of three rooms reads all of them in the order of the calls, and of one that is left what came before.
	add([]byte{window60, buffer40, keep, any128},
		roomsConnect, alice, lobby|alsoCellar|alsoAttic, roomsConnect, bob, cellar|alsoLobby,
		roomsConnect, carol, attic, roomsBroadcast, attic, held, roomsBroadcast, lobby, now, roomsAll, 0, now,
		roomsBroadcast, cellar, now, roomsSendOn, third, now, roomsBroadcast, cellar, now,
		roomsLeave, third, held|cellar, roomsBroadcast, cellar, now, roomsJoin, first, now|cellar,
		roomsBroadcast, cellar, now, roomsAll, 0, 0)
	// What was broadcast before a session is closed is flushed, from all of its rooms.
	add([]byte{window60, buffer8, keep, any128},
		roomsConnect, alice, lobby|alsoCellar|alsoAttic, roomsConnect, bob, cellar|alsoLobby,
		roomsBroadcast, attic, held, roomsBroadcast, lobby, now, roomsBroadcast, cellar, now,
		roomsEnd, second, now|closesWith, roomsAll, 0, now, roomsEnd, first, now|past, roomsAll, 0, 0)
	// A member of three rooms is suspended, whose queue is short.
	add([]byte{window60, buffer2, keep, any128},
		roomsConnect, alice, lobby|alsoCellar|alsoAttic, roomsConnect, bob, cellar|alsoLobby, roomsDrop, first, 0,
		roomsBroadcast, attic, held, roomsAll, 0, now, roomsBroadcast, cellar, held, roomsSend, alice, 0,
		roomsLeave, second, cellar, roomsAll, 0, held, roomsExcept, lobby, now|1<<bob, roomsJoin, second, now|cellar,
		roomsBroadcast, cellar, 0, roomsConnect, alice, lobby)
	// Everybody but some, once and for all.
	add([]byte{window60, buffer8, keep, any128},
		roomsConnect, alice|ann, lobby|alsoCellar, roomsConnect, bob|ann, lobby,
		roomsConnect, carol|ben, cellar|alsoLobby, roomsBroadcast, cellar, held,
		roomsExcept, lobby, now|1<<alice|1<<carol, roomsBroadcast, cellar, now,
		roomsExcept, lobby, now|1<<alice|1<<dave, roomsAll, 0, 0, roomsSendUser, user1, now,
		roomsKick, user1, kickUser, roomsSendUser, user1, 0, roomsSendUser, 0, 0, roomsSendUser, user2, broken,
		roomsSay, first, kicks|of(user2))
	// Another room at a resume: kept, followed (to one that it is in, and to one that it isn't), and a new session.
	for _, policy := range []byte{keep, follow, anew} {
		add([]byte{window60, buffer8, policy, three},
			roomsConnect, alice, lobby|alsoCellar, roomsConnect, bob, cellar, roomsDrop, first, 0,
			roomsBroadcast, lobby, held, roomsBroadcast, cellar, 0, roomsConnect, alice, cellar|alsoDen,
			roomsAll, 0, 0, roomsDrop, second, 1, roomsConnect, alice, den, roomsJoin, first, lobby,
			roomsBroadcast, cellar, 0, roomsConnect, dave, lobby|alsoAttic, roomsDrop, second, 0,
			roomsConnect, dave, cellar)
	}
	// Another user does not resume what waits; nor does one who is nobody in particular.
	add([]byte{window60, buffer8, keep, any128},
		roomsConnect, alice|ann, lobby|alsoDen, roomsDrop, first, 0, roomsSend, alice, 0,
		roomsConnect, alice|ben, lobby, roomsDrop, first, 0, roomsSend, alice, 0,
		roomsConnect, alice|unattached, lobby, roomsDrop, first, 0, roomsConnect, alice, lobby)
	// A callback takes long: who joins and leaves meanwhile is told before the next message.
	add([]byte{window60, buffer8, keep, three},
		roomsConnect, alice, lobby|alsoDen, roomsBusy, first, 0, roomsJoin, first, now|cellar, roomsLeave, first, den,
		roomsPass, 0, 0, roomsSay, first, joins|of(den), roomsSay, first, moves|of(cellar), roomsJoin, first, attic,
		roomsFree, first, 0, roomsBusy, first, 1, roomsSay, first, note, roomsJoin, first, cellar,
		roomsDrop, first, 0, roomsLeave, first, cellar, roomsConnect, alice, attic, roomsPass, 0, 0,
		roomsSay, first, echo, roomsJoin, first, cellar, roomsFree, first, 0)
	// It takes so long that the session is over.
	for _, how := range []byte{closes, closesWith, badly, past} {
		add([]byte{without, buffer8, keep, any128},
			roomsConnect, alice, lobby|alsoDen, roomsBusy, first, 1, roomsSay, first, note, roomsJoin, first, cellar,
			roomsEnd, first, how, roomsJoin, first, attic, roomsDrop, first, 0, roomsFree, first, 0)
	}
	// Times to end: of a session that is suspended, whose callback runs, that is resumed meanwhile, or put off.
	add([]byte{window60, buffer8, keep, any128},
		roomsConnect, alice|soon, lobby, roomsConnect, bob|soon, cellar|alsoLobby, roomsConnect, carol|soon, attic,
		roomsConnect, dave|later, lobby, roomsDrop, first, 0, roomsBusy, first, 1, roomsDrop, third, 0,
		roomsConnect, dave, lobby, roomsExpires, second, 0, roomsPass, 0, 7, roomsFree, first, 0, roomsPass, 0, 7,
		roomsPass, 0, 7, roomsPass, 0, 7, roomsExpires, second, 1, roomsPass, 0, 7, roomsConnect, alice, lobby,
		roomsSay, first, expires)
	// Errors.
	add([]byte{window2, buffer8, keep, two},
		roomsConnect, alice, lobby|alsoCellar|alsoAttic, roomsConnect, alice, lobby|alsoLobby|alsoCellar|atOnce,
		roomsConnect, alice|3<<6, lobby|0x40, roomsJoin, first, attic, roomsJoin, first, cellar,
		roomsJoin, first, long, roomsLeave, first, lobby, roomsLeave, first, den, roomsLeave, first, long,
		roomsEnd, first, badly, roomsKick, alice, kickBadly, roomsKick, bob, kickWith, roomsAll, 0, broken,
		roomsExcept, lobby, broken, roomsKick, alice, kickWith, roomsJoin, first, attic, roomsLeave, first, cellar)
	// All that a message may ask for.
	add([]byte{window10, buffer8, keep, any128},
		roomsConnect, alice|ann, lobby, roomsConnect, bob|ann, cellar|alsoLobby, roomsSay, second, shout|of(lobby),
		roomsSay, second, all, roomsSay, first, leaves|of(cellar), roomsSay, second, leaves|of(lobby),
		roomsSay, first, moves|of(lobby), roomsSay, first, quits, roomsConnect, bob|ann, cellar,
		roomsSay, first, kicks|of(user1), roomsPass, 0, 7)
	// The server is closed behind broadcasts, and with a callback that runs.
	add([]byte{window60, buffer40, keep, any128},
		roomsConnect, alice, lobby|alsoCellar|alsoAttic, roomsConnect, bob, cellar|alsoLobby,
		roomsConnect, carol, attic, roomsDrop, first, 0, roomsBusy, first, 1, roomsAll, 0, held,
		roomsBroadcast, cellar, now, roomsJoin, first, now|den, roomsBroadcast, den, now,
		roomsCloseServer, 0, now|broken, roomsAll, 0, now, roomsSendUser, 1, now, roomsJoin, first, 0,
		roomsKick, alice, kick)
	return inputs
}
