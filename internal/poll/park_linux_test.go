//go:build !nopoll && !386 && !s390x

package poll_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/wspulse/server/internal/poll"
)

// Each peer waits for its answer before it sends more: were one event lost, all would stand still.
func TestPark_NoEventIsLost(t *testing.T) {
	const conns, words = 64, 300
	w := newWorld(t)
	var peers sync.WaitGroup
	for i := range conns {
		e := w.echo()
		peers.Go(func() {
			for j := range words {
				if err := e.try(fmt.Sprintf("word %d of %d.", j, i)); err != nil {
					t.Errorf("connection %d, word %d: %v", i, j, err)
					return
				}
			}
		})
	}
	peers.Wait()
}

// What comes between the last read and Park has Park say so, and is there to be read.
func TestPark_SomethingHasCome(t *testing.T) {
	w := newWorld(t)
	other := w.echo()
	c, peer := w.connect()
	w.handle(c, nil)
	p := make([]byte, 16)
	for i := range 50 {
		if n, err := c.TryRead(p); n != 0 || err != nil {
			t.Fatalf("read %d bytes (%v) before anything has come", n, err)
		}
		word := fmt.Sprint("word ", i)
		send(t, peer, word)
		other.sync()
		if c.Park() {
			t.Fatal("parked, though something has come")
		}
		if n, err := c.TryRead(p); string(p[:n]) != word || err != nil {
			t.Fatalf("read %q (%v), want %q", p[:n], err, word)
		}
	}
}

// The same for Read, also where it is the first one.
func TestPark_ReadInstead(t *testing.T) {
	w := newWorld(t)
	other := w.echo()
	for i := range 20 {
		c, peer := w.connect()
		for range 3 {
			if n, err := c.TryRead(make([]byte, 16)); n != 0 || err != nil {
				t.Fatalf("read %d bytes (%v) before anything has come", n, err)
			}
			word := fmt.Sprint("word ", i)
			send(t, peer, word)
			other.sync()
			_ = c.SetReadDeadline(time.Now().Add(patience))
			hear(t, c, word)
		}
	}
}

// Where nothing has come the Handler is told of what comes next, by one goroutine.
func TestPark_HandlerIsTold(t *testing.T) {
	w := newWorld(t)
	c, peer := w.connect()
	heard := make(chan string, 1)
	w.read(c, func(worker *poll.Worker, p []byte) {
		if worker == nil {
			t.Error("no worker, though something has come")
		}
		heard <- string(p)
	})
	for _, word := range []string{"one", "two", "three"} {
		send(t, peer, word)
		if got := receive(t, word, heard); got != word {
			t.Errorf("heard %q, want %q", got, word)
		}
	}
}

// The last bytes of a peer and its end may be one event.
func TestPark_DataWithEnd(t *testing.T) {
	w := newWorld(t)
	other := w.echo()
	for range 50 {
		c, peer := w.connect()
		var heard []byte
		r := w.handle(c, func(_ *poll.Worker, p []byte) { heard = append(heard, p...) })
		send(t, peer, "last")
		_ = peer.CloseWrite()
		other.sync() // both have been told of
		r.Ready(nil)
		if err := r.end(); !errors.Is(err, io.EOF) || string(heard) != "last" {
			t.Fatalf("heard %q, then %v", heard, err)
		}
	}
}

// The same while the connection is parked, so that the two come in any way.
func TestPark_DataThenEnd(t *testing.T) {
	w := newWorld(t)
	for range 200 {
		c, peer := w.connect()
		var heard []byte
		r := w.read(c, func(_ *poll.Worker, p []byte) { heard = append(heard, p...) })
		send(t, peer, "last")
		_ = peer.CloseWrite()
		if err := r.end(); !errors.Is(err, io.EOF) || string(heard) != "last" {
			t.Fatalf("heard %q, then %v", heard, err)
		}
		_ = c.Close()
	}
}

func TestPark_Reset(t *testing.T) {
	w := newWorld(t)
	for range 50 {
		c, peer := w.connect()
		r := w.read(c, nil)
		_ = peer.SetLinger(0)
		_ = peer.Close()
		if err := r.end(); !isReset(err) {
			t.Fatalf("the peer has reset: %v", err)
		}
		_ = c.Close()
	}
}

// A connection that is closed while it is parked is read once more.
func TestPark_Close(t *testing.T) {
	w := newWorld(t)
	for range 50 {
		c, _ := w.connect()
		r := w.read(c, nil)
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if err := r.end(); !errors.Is(err, net.ErrClosed) {
			t.Fatalf("closed: %v", err)
		}
	}
}

// The reader of a connection that is closed when it is about to park learns of it.
func TestPark_CloseBefore(t *testing.T) {
	w := newWorld(t)
	c, _ := w.connect()
	w.handle(c, nil)
	p := make([]byte, 1)
	if n, err := c.TryRead(p); n != 0 || err != nil {
		t.Fatalf("read %d bytes: %v", n, err)
	}
	_ = c.Close()
	if c.Park() {
		t.Fatal("parked, though it is closed")
	}
	if _, err := c.TryRead(p); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

// A read deadline that has passed has a parked connection read, whether or not it has been read since.
func TestPark_DeadlineHasPassed(t *testing.T) {
	w := newWorld(t)
	e := w.echo()
	for range 20 {
		_ = e.conn.SetReadDeadline(time.Unix(1, 0))
		if err := e.end(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("out of time: %v", err)
		}
		_ = e.conn.SetReadDeadline(time.Time{})
		e.readOn(nil) // as the one who reads still
		e.sync()
	}
}

// A deadline that is yet to come ends no parking; what is read after it fails.
func TestPark_DeadlineToCome(t *testing.T) {
	w := newWorld(t)
	e := w.echo()
	at := time.Now().Add(10 * time.Millisecond)
	_ = e.conn.SetReadDeadline(at)
	<-time.After(time.Until(at) + 10*time.Millisecond)
	select {
	case err := <-e.ended:
		t.Fatalf("woken up: %v", err)
	default:
	}
	send(t, e.peer, "late")
	if err := e.end(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("out of time: %v", err)
	}
}

// Nothing happens while nothing comes, though sockets are writable and one holds what nobody reads.
func TestPark_CostsNothing(t *testing.T) {
	w := newWorld(t)
	e := w.echo()
	_, peer := w.connect()
	send(t, peer, "unread")
	e.sync()
	const rest = 200 * time.Millisecond
	before := processorTime(t)
	<-time.After(rest)
	if took := processorTime(t) - before; took > rest/2 {
		t.Errorf("%v of processor time in %v", took, rest)
	}
}

// processorTime is what the process has taken of it.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// Connections come and go, each closed by another goroutine than the one that reads it, and get the descriptors of those
// before. None loses an event, and none gets what is another's.
func TestPark_DescriptorsUsedAgain(t *testing.T) {
	const churners, rounds = 8, 100
	w := newWorld(t)
	old := []*echo{w.echo(), w.echo(), w.echo(), w.echo()}
	var churn, talk sync.WaitGroup
	var over atomic.Bool
	for i, e := range old {
		talk.Go(func() {
			for j := 0; !over.Load(); j++ {
				if err := e.try(fmt.Sprintf("old %d, word %d.", i, j)); err != nil {
					t.Errorf("connection %d, word %d: %v", i, j, err)
					return
				}
			}
		})
	}
	for i := range churners {
		churn.Go(func() {
			for j := range rounds {
				e := w.echo()
				if err := e.try(fmt.Sprintf("new %d of %d.", j, i)); err != nil {
					t.Errorf("churner %d, connection %d: %v", i, j, err)
					return
				}
				if j%2 == 0 {
					send(t, e.peer, "nobody may read this") // beside Close
				}
				_ = e.conn.Close()
				_ = e.peer.Close()
				if err := e.end(); err == nil {
					t.Errorf("churner %d, connection %d: no end", i, j)
				}
			}
		})
	}
	churn.Wait()
	over.Store(true)
	talk.Wait()
}
