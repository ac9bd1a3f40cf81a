package losslesstest

import (
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wspulse/server/internal/lossless"
	"github.com/wspulse/server/wstest"
)

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
		down = lossless.HelloFaults()
		a.proof.faults.Note(lossless.HelloLost)
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
func (a *account) suffer(kind lossless.Fault) {
	pause := *flagLength * (sessions + plain) / time.Duration(*flagFaults) * 2 / 3
	for {
		select {
		case <-time.After(time.Duration(rand.Int64N(int64(2*pause)) + 1)):
			a.strike(kind)
			kind = lossless.Fault(rand.IntN(int(lossless.Kinds)))
		case <-a.proof.quit:
			return
		}
	}
}

func (a *account) strike(kind lossless.Fault) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if kind == lossless.BlackHole {
		a.end.gone.Store(true)
	}
	if kind == lossless.HelloLost {
		a.lose += 1 + rand.IntN(4) // they are counted where they happen
	} else {
		a.proof.faults.Note(kind)
	}
	kind.Strike(a.conn)
}

// heal takes the faults away.
func (a *account) heal() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lose = 0
	a.conn.Upstream(wstest.Faults{})
	a.conn.Downstream(wstest.Faults{})
}
