package control

import "time"

// ServerSetup starts a peer. It is the argument of the server's first request, "setup".
type ServerSetup struct {
	Peer        string
	Rooms       int
	Size        int           // of the largest message, in bytes
	Queue       int           // messages that each connection may queue
	Ping, Pong  time.Duration // heartbeat
	Receive     string        // what to do with messages: "", "echo" or "count"
	Sleep, Spin time.Duration // what each callback does before it answers
	Resume      time.Duration // how long sessions outlive their connection
	Idle        bool          // connections will do nothing
	SendBuffer  int           // of each socket in the kernel, in bytes; 0 is the system's choice
	CPUProfile  string        // file to write, if any
	HeapProfile string        // the same, whenever memory is measured
}

// ServerReady says where the server listens.
type ServerReady struct {
	Addr string // for WebSockets, at /ws
	Acks string // for progress reports
}

// Publish broadcasts to all rooms: "publish".
type Publish struct {
	Size     int
	Unicast  bool // to each member by itself, in turn
	Duration time.Duration
	Rate     float64 // of messages a second and room; 0 is closed loop
	Window   uint32  // closed loop: messages of a room that may be unacknowledged
	Count    int     // if positive, so many for each room instead of Duration: at once, or as Window allows
}

// Published says what was broadcast.
type Published struct {
	Counts  []int // by room
	Start   int64 // package clock
	Stalled bool  // closed loop: no progress was reported for too long
}

// Wait waits until the peer has so many connections ("joined") or has lost so many ("left") or has received so many
// messages ("received").
type Wait struct {
	What  string
	Count int
}

// Stats is what "stats" measures. A server without goroutines leaves them out, and what only Go's runtime knows.
type Stats struct {
	CPU      time.Duration // of the process, user and system
	Received int64         // messages
	Writes   int64         // write system calls of the process; 0 if that is not known
	RSS      int64         // bytes

	// With Settle true only. Garbage is collected, and its memory given back, before these and RSS are taken.
	Heap       int64 // bytes, in use
	Stacks     int64 // bytes, in use
	Goroutines int
}

// Settle is the argument of "stats".
type Settle struct{ Settle bool }

// LoadSetup is the argument of the load generator's first request, "setup".
type LoadSetup struct {
	Peer        string
	Server      ServerReady
	Conns       int
	Rooms       int
	Mute        int    // so many connections, the last ones, never read
	Milestone   uint32 // messages of a room between two reports of progress
	ConnectRate int    // connects under way at once; 0 is all
	Resumable   bool   // the connections will come back
	Lossy       bool   // the server may drop messages and end connections; what they miss is lost
	RequestSize int    // of what echo and send write, in bytes
	Sample      uint32 // one message in so many is timed; a power of two
	Workers     int
}

// Connected says how the connections came up.
type Connected struct {
	Start    int64 // package clock
	Elapsed  time.Duration
	P50, P99 time.Duration // of one connect, to the end of its handshake
}

// Reset begins what Delivered counts anew: "reset".
type Reset struct {
	Deadline int64 // package clock
}

// Await waits for deliveries, or until no more come: "await".
type Await struct{ Deliveries int64 }

// Delivered says what has arrived since the last "reset".
type Delivered struct {
	Deliveries, Lost, Misordered int64
	InTime                       int64 // deliveries before the deadline of the "reset"
	Last                         int64 // when the last one arrived, package clock
	P50, P99, P999, Max          time.Duration
}

// Heartbeats is the argument of "heartbeats", which waits for so many since the last "reset", and its result.
type Heartbeats struct{ Count int64 }

// Drive is the argument of "echo" and "send".
type Drive struct {
	Duration time.Duration
	Rate     float64 // "send": messages a second over all connections; 0 is as fast as the server reports progress
	Window   int     // "send": messages of a connection that may be unreported
}

// Driven says what was sent.
type Driven struct {
	Sent    int64
	Elapsed time.Duration
}
