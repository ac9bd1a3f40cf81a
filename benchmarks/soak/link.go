package main

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/sys/unix"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/benchmarks/internal/clock"
	"github.com/wspulse/server/benchmarks/internal/histogram"
	"github.com/wspulse/server/benchmarks/internal/peers"
	"github.com/wspulse/server/benchmarks/internal/stamp"
	"github.com/wspulse/server/wstest"
)

const (
	patience  = 10 * time.Second // of a peer, for a handshake or a farewell
	writeTime = time.Second      // that one of its writes may take
)

var streams = [...]string{toRoom, toPeer, toSelf}

// numbers are the last ones that a peer has heard, by stream.
type numbers [len(streams)]uint32

// A link is one WebSocket of a peer, which reads all the time and checks what it reads.
type link struct {
	// Set at construction, then read-only.
	account *account
	book    *ledger
	ws      *websocket.Conn
	network *wstest.Conn // nil for a healthy peer
	ages    *ages        // of what a healthy peer hears; nil for a sick one
	said    uint32       // messages of the peer on earlier links
	before  func()       // called before each read

	heard   [len(streams)]atomic.Uint32 // written by listen
	leaving atomic.Bool                 // the end is no surprise
	done    chan struct{}               // closed by listen, when reading has ended

	// Owned by listen.
	known [len(streams)]bool // heard is of this link, or what came before it
	buf   bytes.Buffer
}

// newLink returns a link of a peer that has heard those numbers before. The caller dials, and then runs listen.
func newLink(a *account, book *ledger, heard numbers) *link {
	l := &link{account: a, book: book, said: a.said, done: make(chan struct{}), before: func() {}}
	for i, n := range heard {
		l.heard[i].Store(n)
	}
	return l
}

// dial opens the WebSocket of a healthy peer.
func (l *link) dial(ctx context.Context, url string) error {
	return l.connect(ctx, url, websocket.Dialer{})
}

// dialThrough opens the WebSocket of a sick peer.
func (l *link) dialThrough(ctx context.Context, url string, up, down wstest.Faults) error {
	tcp := net.Dialer{Control: kernelBuffers(unix.SO_RCVBUF)}
	return l.connect(ctx, url, websocket.Dialer{
		NetDialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := tcp.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			l.network = wstest.Wrap(conn, up, down)
			return l.network, nil
		},
	})
}

func (l *link) connect(ctx context.Context, url string, dialer websocket.Dialer) error {
	dialer.HandshakeTimeout, dialer.ReadBufferSize, dialer.WriteBufferSize = patience, 1<<10, 512
	ws, response, err := dialer.DialContext(ctx, url, nil)
	if response != nil {
		response.Body.Close()
	}
	l.ws = ws
	return err
}

// listen reads until the connection ends.
func (l *link) listen() {
	defer close(l.done)
	for {
		l.before()
		f, err := l.read()
		if err != nil {
			l.ws.Close()
			if !l.account.sick && !l.leaving.Load() {
				l.book.fault("%s, which is healthy, lost its connection: %v", l.account.id, err)
			}
			return
		}
		l.account.received.Add(1)
		l.check(f)
	}
}

func (l *link) read() (f wspulse.Frame, err error) {
	_, r, err := l.ws.NextReader()
	if err != nil {
		return f, err
	}
	l.buf.Reset()
	if _, err = l.buf.ReadFrom(r); err != nil {
		return f, err
	}
	if f, err = wspulse.JSONCodec.Decode(l.buf.Bytes()); err != nil {
		l.book.fault("%s read %.80q: %v", l.account.id, l.buf.Bytes(), err)
	}
	return f, err
}

// check compares a frame with the one before it.
func (l *link) check(f wspulse.Frame) {
	for i, stream := range streams {
		if f.Event != stream || len(f.Payload) < 1+stamp.Size {
			continue
		}
		mark := f.Payload[1:]
		n, last := stamp.Seq(mark), l.heard[i].Load()
		if n <= last {
			l.book.fault("%s: %s frame %d after number %d", l.account.id, stream, n, last)
		} else if l.known[i] {
			l.account.gaps.Add(int64(n - last - 1))
		}
		l.heard[i].Store(n)
		l.known[i] = stream != toSelf || n > l.said // what was said on another link may not have got there
		if l.ages != nil {
			l.ages.add(stamp.Age(mark, clock.Now()))
		}
		return
	}
	l.book.fault("%s read a frame that nobody sent: %.80q", l.account.id, f.Event)
}

// say sends a message, which the server echoes.
func (l *link) say(payload payload) error {
	l.account.said++
	data, err := wspulse.JSONCodec.Encode(wspulse.Frame{Event: toSelf, Payload: payload(l.account.said, clock.Now())})
	if err != nil {
		return err
	}
	_ = l.ws.SetWriteDeadline(time.Now().Add(writeTime))
	return l.ws.WriteMessage(websocket.TextMessage, data)
}

// leave says good-bye, and waits for the answer for a while.
func (l *link) leave() {
	l.leaving.Store(true)
	bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	if l.ws.WriteControl(websocket.CloseMessage, bye, time.Now().Add(writeTime)) == nil {
		timeout := time.NewTimer(patience)
		defer timeout.Stop()
		select {
		case <-l.done:
		case <-timeout.C:
			if !l.account.sick {
				l.book.fault("%s: no answer to a close frame", l.account.id)
			}
		}
	}
	l.drop()
}

// drop closes the connection without a word.
func (l *link) drop() {
	l.leaving.Store(true)
	l.ws.Close()
	<-l.done
}

// A payload makes payloads of one size, with a number and a time of package clock.
type payload func(seq uint32, at int64) []byte

var (
	quoted   = peers.Form{Before: `"`, After: `"`}
	small    = payload(quoted.Stamped(64))
	large    = payload(quoted.Stamped(1000))
	payloads = []payload{small, quoted.Stamped(300), large, quoted.Stamped(2500)}
)

// frame returns frame number seq of a stream, due at a time of package clock.
func frame(stream string, seq uint32, due int64, random *rand.Rand) wspulse.Frame {
	return wspulse.Frame{Event: stream, Payload: payloads[random.IntN(len(payloads))](seq, due)}
}

// ages collects how old frames are when they arrive.
type ages struct {
	mu     sync.Mutex // guards recent
	recent histogram.Histogram
}

func (a *ages) add(ns int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.recent.Add(ns)
}

// take moves what has been collected to another histogram.
func (a *ages) take(to *histogram.Histogram) {
	a.mu.Lock()
	defer a.mu.Unlock()
	*to = a.recent
	a.recent.Reset()
}
