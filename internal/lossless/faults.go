package lossless

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/wspulse/server/wstest"
)

// A Fault is what can happen to a connection.
type Fault int

// The faults.
const (
	Reset      Fault = iota // at once
	InUpload                // a reset after some bytes of what the client sends
	InDownload              // the same of what the server sends
	BothAtOnce              // both
	BlackHole               // the client notices, and the server does not hear of it
	HelloLost               // a reset within the answer to the next dials, and within the hello
	SlowLine                // for a while
	Kinds
)

// FaultNames says what they are.
var FaultNames = [Kinds]string{"reset", "cut inside what the client sends", "cut inside what the server sends",
	"both ends at once", "black hole", "hello lost, or cut", "slow line"}

// Strike has the fault happen to a connection. A black hole also needs an end that is closed without a word to the
// server, and for a hello that is lost the next dials need HelloFaults.
func (f Fault) Strike(conn *wstest.Conn) {
	bytes := 1 + rand.Int64N(3000)
	switch f {
	case Reset, HelloLost:
		conn.Reset()
	case InUpload:
		conn.Upstream(wstest.Faults{ResetAfter: bytes})
	case InDownload:
		conn.Downstream(wstest.Faults{ResetAfter: bytes})
	case BothAtOnce:
		conn.Upstream(wstest.Faults{ResetAfter: bytes})
		conn.Downstream(wstest.Faults{ResetAfter: bytes})
	case BlackHole:
		conn.Upstream(wstest.Faults{BlackHole: true})
		conn.Downstream(wstest.Faults{BlackHole: true})
	case SlowLine:
		slow := wstest.Faults{Throttle: wstest.Rate{Bytes: 400, Every: 20 * time.Millisecond}, Latency: 20 * time.Millisecond}
		conn.Upstream(slow)
		conn.Downstream(slow)
	default:
		panic("no such fault")
	}
}

// HelloFaults cut what the server says first: the answer to the handshake, the hello, or what follows it.
func HelloFaults() wstest.Faults { return wstest.Faults{ResetAfter: 1 + rand.Int64N(460)} }

// Faults counts them.
type Faults struct {
	mu    sync.Mutex
	count [Kinds]int
	marks []Mark
}

// A Mark is a fault at a time.
type Mark struct {
	Kind Fault
	At   time.Time
}

// Note counts one that happens now.
func (f *Faults) Note(kind Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count[kind]++
	f.marks = append(f.marks, Mark{kind, time.Now()})
}

// Count returns how many of each kind have happened.
func (f *Faults) Count() [Kinds]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count
}

// Marks returns all, in the order of time.
func (f *Faults) Marks() []Mark {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.marks[:len(f.marks):len(f.marks)]
}

// Total returns how many have happened.
func (f *Faults) Total() (n int) {
	for _, c := range f.Count() {
		n += c
	}
	return n
}
