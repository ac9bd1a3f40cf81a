package peers

// The server of uws is a program of its own: uws/server.mjs.

// UWSModule is the package that it imports, from npm.
const UWSModule = "uwebsockets (npm)"

const raw = "raw, which is without JSON"

var uwsEntry = Entry{
	Name:    "uws",
	Module:  UWSModule,
	About:   "uWebSockets, C++, in Node: one thread, rooms are its topics, App.publish of a Buffer; pings by its idleTimeout. Its queues are bounded in bytes: 256 messages. Raw bytes; echo and count without JSON.",
	Dialect: jsonDialect,
	Cannot:  map[string]string{"resume": noSessions, "slow": "the kernel's buffers of its sockets cannot be set"},
	Notes: map[string]string{
		"echo": raw, "fanin": raw,
		"callbacks": raw + "; it sleeps by setTimeout, since all callbacks share one thread",
		"unicast":   "by WebSocket.send from a timer, on the one thread",
	},
}
