package wspulse

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/wspulse/server/internal/wire"
)

// convoyPatience bounds every wait of these tests. It is reached only by a failure.
const convoyPatience = 10 * time.Second

// tcpPair returns the ends of a TCP connection.
func tcpPair(t *testing.T) (server, client *net.TCPConn) {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialed, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if server, err = l.AcceptTCP(); err != nil {
		t.Fatal(err)
	}
	client = dialed.(*net.TCPConn)
	t.Cleanup(func() { _ = client.Close() })
	_ = client.SetReadDeadline(time.Now().Add(convoyPatience))
	return server, client
}

// A rider is a session in a convoy, and its peer.
type rider struct {
	session *session
	link    *link
	peer    *net.TCPConn
}

// newConvoyOf returns a convoy, not started, of sessions of a new server, each with a frame to write.
func newConvoyOf(t *testing.T, frames []*wire.Frame, options ...ServerOption) (*convoy, []*rider) {
	t.Helper()
	opened := make(chan *session, 1)
	connect := func(*http.Request) (roomID, connectionID string, err error) { return "", "", nil }
	running := NewServer(connect, append(options, WithOnConnect(func(c Connection) { opened <- c.(*session) }))...)
	t.Cleanup(running.Close)
	var (
		h      = running.(*server).hub
		c      *convoy
		riders []*rider
	)
	t.Cleanup(func() {
		if c != nil && t.Failed() { // what has been left in it has not been written, and Close would wait for that
			c.at = 0
			c.passOn()
		}
	})
	for i, f := range frames {
		near, far := tcpPair(t)
		l := newLink(h, near)
		l.upgraded(nil, false)
		h.registrations <- registration{roomID: "r", connectionID: strconv.Itoa(i), link: l}
		s := <-opened
		c = c.add(s.push([]*wire.Frame{f}))
		riders = append(riders, &rider{s, l, far})
	}
	return c, riders
}

// leaves waits until the write pump has nothing to do but see the link off.
func (r *rider) leaves(t *testing.T) {
	t.Helper()
	leaving := func() bool {
		o := &r.session.outbox
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.readOver
	}
	for deadline := time.Now().Add(convoyPatience); !leaving(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the read pump has not ended within %v", convoyPatience)
		}
	}
}

// hears reads a frame.
func (r *rider) hears(t *testing.T, f *wire.Frame) {
	t.Helper()
	got := make([]byte, len(f.Bytes))
	if _, err := io.ReadFull(r.peer, got); err != nil || string(got) != string(f.Bytes) {
		t.Errorf("peer %s read %.40q, error %v, want %.40q", r.session.ID(), got, err, f.Bytes)
	}
}

// Whatever keeps the first of a convoy, the others are written to meanwhile.
func TestConvoy_NobodyWaitsForTheFirst(t *testing.T) {
	word := wire.New(wire.OpText, []byte("word"))
	for name, tc := range map[string]struct {
		first *wire.Frame
		delay func(t *testing.T, r *rider) // is to keep the first
	}{
		"its peer does not read": {first: wire.New(wire.OpText, make([]byte, 64<<20))},
		"the write fails":        {first: word, delay: func(_ *testing.T, r *rider) { _ = r.link.socket.Conn.(*net.TCPConn).CloseWrite() }},
		"reading has ended": {first: word, delay: func(t *testing.T, r *rider) {
			_, _ = r.peer.Write([]byte("\x88\x80\x00\x00\x00\x00")) // and leaves its own half open
			r.leaves(t)
		}},
		"its session has ended": {first: word, delay: func(_ *testing.T, r *rider) { _ = r.session.Close() }},
	} {
		t.Run(name, func(t *testing.T) {
			c, riders := newConvoyOf(t, []*wire.Frame{tc.first, word, word}, WithWriteWait(time.Second))
			if tc.delay != nil {
				tc.delay(t, riders[0])
			}
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				riders[0].link.writePump(c) // and none of the others, unless it passes them on
			}()
			riders[1].hears(t, word)
			riders[2].hears(t, word)
			<-ended
		})
	}
}

// A busyRoom queues another frame for session 0 whenever it has sent one, until session 1 has.
type busyRoom struct {
	NoopCollector
	again atomic.Pointer[func()]
	over  atomic.Bool
}

func (b *busyRoom) MessageSent(_, connectionID string, _ int) {
	if again := b.again.Load(); connectionID == "0" && !b.over.Load() {
		(*again)()
	} else if connectionID == "1" {
		b.over.Store(true)
	}
}

func TestConvoy_NobodyWaitsForABusyOne(t *testing.T) {
	busy := &busyRoom{}
	word := wire.New(wire.OpText, []byte("word"))
	c, riders := newConvoyOf(t, []*wire.Frame{word, word}, WithMetrics(busy))
	again := func() { _, _ = riders[0].session.outbox.offer(word) }
	busy.again.Store(&again)
	giveUp := time.AfterFunc(convoyPatience, func() { busy.over.Store(true) })
	go func() { _, _ = io.Copy(io.Discard, riders[0].peer) }()
	riders[0].link.writePump(c)
	if !giveUp.Stop() {
		t.Error("the second has not been written to")
	}
	riders[1].hears(t, word)
}

// Links that have one small message to write share a goroutine.
func TestConvoy_SmallWritesStayTogether(t *testing.T) {
	word := wire.New(wire.OpText, []byte("word"))
	c, riders := newConvoyOf(t, []*wire.Frame{word, word, word})
	for c.at = range c.links {
		c.links[c.at].writePump(c)
		if len(c.links) != len(riders) {
			t.Errorf("%d of %d are left after number %d", len(c.links), len(riders), c.at)
		}
		riders[c.at].hears(t, word)
	}
}

// Compressing takes its time, so who does that is started by itself.
func TestConvoy_WithoutLinksThatCompress(t *testing.T) {
	c := &convoy{}
	started := make(chan struct{})
	if got := c.add(&link{deflate: true, pump: func() { close(started) }}); got != c || len(c.links) > 0 {
		t.Errorf("%d links", len(c.links))
	}
	<-started
}

// The error of a write that does not wait is that of a net.Conn.
func TestConvoy_WriteErrors(t *testing.T) {
	word := wire.New(wire.OpText, []byte("word"))
	_, riders := newConvoyOf(t, []*wire.Frame{word})
	_ = riders[0].link.socket.Conn.(*net.TCPConn).CloseWrite()
	_, alone := riders[0].link.socket.Conn.Write(word.Bytes)
	_, err := riders[0].link.socket.TryWrite(word.Bytes)
	if !errors.Is(err, syscall.EPIPE) || err.Error() != alone.Error() {
		t.Errorf("%v, by itself %v", err, alone)
	}
	riders[0].link.writePump(nil) // which ends it
}
