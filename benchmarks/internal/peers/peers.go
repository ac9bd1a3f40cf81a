// Package peers holds the servers that are compared, each behind the same small interface and used as its own
// documentation recommends.
package peers

import (
	"fmt"
	"net/http"
	"slices"
	"time"
)

// Config is what every server is told.
type Config struct {
	Rooms      []string
	Size       int           // of the largest message, in bytes
	Queue      int           // messages that each connection may queue
	Ping, Pong time.Duration // heartbeat
	Echo       bool          // decode each message, and send it back encoded anew
	Work       func()        // to call for each decoded message, before it is echoed; it may block
	Count      func()        // to call for each decoded message, if not nil
	Joined     func()        // to call when a connection is in its room
	Left       func()        // to call when a session has lost its connection; resumable servers only
	Resume     time.Duration // how long sessions outlive their connection
	Idle       bool          // connections will do nothing
}

// A Peer is a running server. Connections name their room and themselves in the query: /ws?room=R&id=ID.
type Peer interface {
	http.Handler

	// Speaker returns a function that broadcasts a message to a room. It is for one goroutine at a time.
	Speaker(room string, size int) Speaker

	// Unicaster returns a function that sends a message to each member that the room has now, one after the other. It
	// is for one goroutine, outside of callbacks.
	Unicaster(room string, size int) Speaker
}

// A Speaker sends a message with that stamp.
type Speaker func(seq uint32, now int64) error

// A Dialect is how clients talk to a peer.
type Dialect struct {
	Hello    string // the first message of a client, if any; the connection is up when it is answered
	Rejoin   string // the same for a session that comes back; %s is the epoch in the first answer
	Echo     Form   // of messages to be echoed
	Count    Form   // of messages to be counted
	Joined   bool   // several messages may share a frame
	TextPing bool   // the server pings with "{}" and wants that back
	Protocol string // the subprotocol that clients offer: wspulse.v1, or none
}

// Offer returns the header that offers the subprotocol.
func (d Dialect) Offer() string {
	if d.Protocol == "" {
		return ""
	}
	return "Sec-WebSocket-Protocol: " + d.Protocol + "\r\n"
}

// An Entry is a kind of server.
type Entry struct {
	Name    string
	Module  string // whose version counts
	About   string // how it is used, and what it sends
	Dialect Dialect
	Cannot  map[string]string          // scenarios, and why not
	Notes   map[string]string          // scenarios, and what it does otherwise than the others
	New     func(Config) (Peer, error) // nil if its server is another program
}

// Names returns the names of all peers, in the order of the tables.
func Names() []string {
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name
	}
	return names
}

// Find returns the peer of that name.
func Find(name string) (Entry, error) {
	if i := slices.IndexFunc(entries, func(e Entry) bool { return e.Name == name }); i >= 0 {
		return entries[i], nil
	}
	return Entry{}, fmt.Errorf("there is no peer %q; there are %v", name, Names())
}

// BufferSize is the size in bytes of the read and write buffers of a connection, where a library has such.
const BufferSize = 1024

// RoomName returns the name of the i-th room. Names are short, for the protocols that repeat them in each message.
func RoomName(i int) string { return fmt.Sprintf("r%d", i) }

var entries = []Entry{wspulseEntry, wspulseV1Entry, chatEntry, gwsEntry, melodyEntry, centrifugeEntry, coderEntry, uwsEntry, floorEntry, batchFloorEntry}

// Why some peers cannot run some scenarios.
const (
	noSessions  = "its sessions end with their connection"
	noPings     = "it sends no pings"
	noCallbacks = "it has no callbacks"
)
