package losslesstest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wspulse/server/wstest"
)

// A fault is what can happen to a connection.
type fault int

const (
	reset      fault = iota // at once
	inUpload                // a reset after some bytes of what the client sends
	inDownload              // the same of what the server sends
	bothAtOnce              // both
	blackHole               // the client notices, and the server does not hear of it
	helloLost               // a reset within the answer to the next dials, and within the hello
	slowLine                // for a while
	kinds
)

var faultNames = [kinds]string{"reset", "cut inside what the client sends", "cut inside what the server sends",
	"both ends at once", "black hole", "hello lost, or cut", "slow line"}

// faults counts them.
type faults struct {
	mu    sync.Mutex
	count [kinds]int
	marks []mark
}

// A mark is a fault at a time.
type mark struct {
	kind fault
	at   time.Time
}

func (f *faults) note(kind fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count[kind]++
	f.marks = append(f.marks, mark{kind, time.Now()})
}

func (f *faults) total() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.count {
		n += c
	}
	return n
}

// A network is what is between a client and the server.
type network struct {
	mu   sync.Mutex
	conn *wstest.Conn
	end  *end // of conn
	lose int  // answers to dials that are lost
}

// dial is the client's dialer.
func (a *account) dial(ctx context.Context, netw, addr string) (net.Conn, error) {
	tcp, err := (&net.Dialer{}).DialContext(ctx, netw, addr)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	var down wstest.Faults
	if a.lose > 0 {
		a.lose--
		down.ResetAfter = 1 + rand.Int64N(460) // of the handshake, the hello, and what follows it
		a.proof.faults.note(helloLost)
	}
	a.conn = wstest.Wrap(tcp, wstest.Faults{}, down)
	a.end = &end{Conn: a.conn, proof: a.proof}
	return a.end, nil
}

// An end is the client's, of a connection. One whose network is gone can be closed without a word to the server.
type end struct {
	*wstest.Conn
	proof *proof
	gone  atomic.Bool
}

// Close implements net.Conn.
func (e *end) Close() error {
	if !e.gone.Load() {
		return e.Conn.Close()
	}
	context.AfterFunc(e.proof.t.Context(), func() { e.Conn.Close() })
	return e.Conn.SetDeadline(time.Now())
}

// suffer lets faults happen until there are enough: of that kind first, so that all are tried.
func (a *account) suffer(kind fault) {
	pause := *flagLength * (sessions + plain) / time.Duration(*flagFaults) * 2 / 3
	for {
		select {
		case <-time.After(time.Duration(rand.Int64N(int64(2*pause)) + 1)):
			a.strike(kind)
			kind = fault(rand.IntN(int(kinds)))
		case <-a.proof.quit:
			return
		}
	}
}

func (a *account) strike(kind fault) {
	a.mu.Lock()
	conn, end := a.conn, a.end
	a.mu.Unlock()
	bytes := 1 + rand.Int64N(3000)
	switch kind {
	case reset:
		conn.Reset()
	case inUpload:
		conn.Upstream(wstest.Faults{ResetAfter: bytes})
	case inDownload:
		conn.Downstream(wstest.Faults{ResetAfter: bytes})
	case bothAtOnce:
		conn.Upstream(wstest.Faults{ResetAfter: bytes})
		conn.Downstream(wstest.Faults{ResetAfter: bytes})
	case blackHole:
		end.gone.Store(true)
		conn.Upstream(wstest.Faults{BlackHole: true})
		conn.Downstream(wstest.Faults{BlackHole: true})
	case helloLost:
		a.mu.Lock()
		a.lose += 1 + rand.IntN(4)
		a.mu.Unlock()
		conn.Reset()
		return // it is counted where it happens
	case slowLine:
		slow := wstest.Faults{Throttle: wstest.Rate{Bytes: 400, Every: 20 * time.Millisecond}, Latency: 20 * time.Millisecond}
		conn.Upstream(slow)
		conn.Downstream(slow)
	default:
		panic(fmt.Sprint("no such fault: ", kind))
	}
	a.proof.faults.note(kind)
}

// heal takes the faults away.
func (a *account) heal() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lose = 0
	a.conn.Upstream(wstest.Faults{})
	a.conn.Downstream(wstest.Faults{})
}
