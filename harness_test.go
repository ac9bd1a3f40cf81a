package wspulse_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/wstest"
)

// inBubble runs a story in a synctest bubble: time is free, and a goroutine left over fails the test.
func inBubble(t *testing.T, story func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, story)
}

// ev is a frame that has an event only.
func ev(event string) wspulse.Frame { return wspulse.Frame{Event: event} }

// seq returns the numbers from first to last, with spaces between them.
func seq(first, last int) string {
	var words []string
	for i := first; i <= last; i++ {
		words = append(words, strconv.Itoa(i))
	}
	return strings.Join(words, " ")
}

// sorted returns the words in alphabetical order.
func sorted(words string) string {
	return strings.Join(slices.Sorted(slices.Values(strings.Fields(words))), " ")
}

// A world is a server on an in-memory network, and what its callbacks have said.
type world struct {
	t      *testing.T
	server wspulse.Server
	web    *wstest.Server
	events *journal
}

// newWorld starts a server whose peers name themselves and their room in the query. Its callbacks write to the journal
// unless options replace them. It is torn down at the end of the test; it must be made in a bubble.
func newWorld(t *testing.T, options ...wspulse.ServerOption) *world {
	t.Helper()
	w := &world{t: t, events: &journal{}}
	options = slices.Concat(w.events.callbacks(), []wspulse.ServerOption{anyOrigin}, options)
	w.server = wspulse.NewServer(fromQuery, options...)
	w.web = wstest.NewServer(t, w.server)
	t.Cleanup(w.server.Close) // while the peers are there
	return w
}

// anyOrigin is the default, without the warning at the start.
var anyOrigin = wspulse.WithCheckOrigin(func(*http.Request) bool { return true })

// fromQuery is a ConnectFunc: /?room=R&id=I, or /?refuse, /?panic or /?slow; and &user=U&also=R1,R2&ttl=1m.
func fromQuery(r *http.Request) (roomID, connectionID string, err error) {
	q := r.URL.Query()
	switch {
	case q.Has("refuse"):
		return "", "", errors.New("no such user")
	case q.Has("panic"):
		panic("secret value")
	case q.Has("refusal"):
		return "", "", &wspulse.Refusal{Status: http.StatusNotFound, Code: 4999, Reason: "no such board"}
	case q.Has("slow"):
		<-r.Context().Done()
		return "", "", r.Context().Err()
	}
	if q.Has("user") || q.Has("also") || q.Has("ttl") {
		d := wspulse.Details{UserID: q.Get("user"), Data: q.Get("user") + "'s"}
		if q.Has("also") {
			d.Rooms = strings.Split(q.Get("also"), ",")
		}
		if ttl, err := time.ParseDuration(q.Get("ttl")); err == nil {
			d.Expires = time.Now().Add(ttl)
		}
		wspulse.Attach(r, d)
	}
	return q.Get("room"), q.Get("id"), nil
}

// dial connects a peer that reads all the time.
func (w *world) dial(room, id string) *peer {
	w.t.Helper()
	p := w.dialIdle(room, id)
	p.StartReading()
	synctest.Wait()
	return p
}

// dialIdle connects a peer that reads only when the test does.
func (w *world) dialIdle(room, id string) *peer {
	w.t.Helper()
	p, response, err := w.upgrade("?room="+room+"&id="+id, nil)
	if err != nil {
		w.t.Fatalf("dial %s: %v (%v)", id, err, response)
	}
	synctest.Wait()
	return p
}

// dialStalled connects a peer that does not read, and on which the server is stuck in writing the frame "plug".
func (w *world) dialStalled(room, id string) *peer {
	w.t.Helper()
	p := w.dialIdle(room, id)
	w.send(id, "plug")
	synctest.Wait()
	return p
}

// send sends frames that have an event only.
func (w *world) send(id string, events ...string) {
	w.t.Helper()
	for _, event := range events {
		w.must(w.server.Send(id, ev(event)))
	}
}

// broadcast is send for a room.
func (w *world) broadcast(room string, events ...string) {
	w.t.Helper()
	for _, event := range events {
		w.must(w.server.Broadcast(room, ev(event)))
	}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// took compares the time since start.
func (w *world) took(start time.Time, want time.Duration) {
	w.t.Helper()
	if got := time.Since(start); got != want {
		w.t.Errorf("took %v, want %v", got, want)
	}
}

// unbuffered is a network on which a write takes as long as its reader: the server is stuck in writing to a peer that
// does not read, and knows how far that has read.
var unbuffered = wstest.Faults{Window: wstest.Unbuffered}

// upgrade connects a peer that reads only when the test does, unless it is refused.
func (w *world) upgrade(query string, header http.Header, options ...wstest.DialOption) (*peer, *http.Response, error) {
	options = append([]wstest.DialOption{wstest.WithHeader(header), wstest.WithIdle(),
		wstest.WithUpstream(unbuffered), wstest.WithDownstream(unbuffered)}, options...)
	client, response, err := w.web.TryDial("/"+query, options...)
	if err != nil {
		return nil, response, err
	}
	return &peer{Client: client, t: w.t}, response, nil
}

// connection returns the session of that ID in the room, or nil.
func (w *world) connection(room, id string) wspulse.Connection {
	for _, c := range w.server.GetConnections(room) {
		if c.ID() == id {
			return c
		}
	}
	return nil
}

// expect waits until nothing moves and compares what the callbacks have said since the last time.
func (w *world) expect(want string) {
	w.t.Helper()
	synctest.Wait()
	if got := w.events.take(); got != want {
		w.t.Errorf("events: got %q, want %q", got, want)
	}
}

// A peer is a client with what the stories need besides: here a write takes as long as the server lets it, and what a
// peer has read is all that it has read.
type peer struct {
	*wstest.Client
	t   *testing.T
	got journal // what its handlers of pings and pongs write down
}

// send sends frames that have an event only.
func (p *peer) send(events ...string) {
	p.t.Helper()
	for _, event := range events {
		data, err := wspulse.JSONCodec.Encode(ev(event))
		if err == nil {
			err = p.WebSocket.WriteMessage(websocket.TextMessage, data)
		}
		if err != nil {
			p.t.Errorf("peer sends %s: %v", event, err)
		}
	}
}

// close sends a close frame; 1005 stands for one without a status.
func (p *peer) close(code int) {
	p.t.Helper()
	if err := p.WebSocket.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""),
		time.Time{}); err != nil {
		p.t.Error(err)
	}
}

// mute makes the peer answer neither pings nor a close frame.
func (p *peer) mute() {
	p.WebSocket.SetPingHandler(func(string) error { return nil })
	p.WebSocket.SetCloseHandler(func(int, string) error { return nil })
}

// readClose reads until the close frame, and then until the server closes the socket.
func (p *peer) readClose() (code int) {
	p.t.Helper()
	var (
		closed *websocket.CloseError
		err    error
	)
	for err == nil {
		_, _, err = p.WebSocket.ReadMessage()
	}
	if !errors.As(err, &closed) {
		p.t.Fatalf("peer read %v, want a close frame", err)
	}
	awaitHangUp(p.Conn)
	return closed.Code
}

// awaitHangUp returns when the server has closed the socket, not only its own half of it: until then, nothing can be
// written to a peer that does not read, and here nothing gets through to it.
func awaitHangUp(c *wstest.Conn) {
	c.Upstream(wstest.Faults{Window: wstest.Unbuffered, BlackHole: true})
	c.Write([]byte("x"))
}

// readRaw reads n bytes from the socket, past gorilla.
func (p *peer) readRaw(n int) []byte {
	p.t.Helper()
	buf := make([]byte, n)
	if _, err := io.ReadFull(p.Conn, buf); err != nil {
		p.t.Error(err)
	}
	return buf
}

// drop cuts the connection without a close frame.
func (p *peer) drop() {
	p.Drop()
	synctest.Wait()
}

// read returns the events that the peer has read since the last time, and then the words of its handlers.
func (p *peer) read() string {
	var words []string
	for _, f := range p.Received() {
		words = append(words, f.Event)
	}
	if heard := p.got.take(); heard != "" {
		words = append(words, heard)
	}
	return strings.Join(words, " ")
}

// expect waits until nothing moves and compares what the peer has read since the last time.
func (p *peer) expect(want string) {
	p.t.Helper()
	synctest.Wait()
	if got := p.read(); got != want {
		p.t.Errorf("peer read %q, want %q", got, want)
	}
}

// expectClose waits for the end of the connection and compares the close frame that the peer has read.
func (p *peer) expectClose(code int, reason string) {
	p.t.Helper()
	select {
	case <-p.Done():
	case <-time.After(24 * time.Hour):
		p.t.Fatalf("peer: nothing has ended the connection, want close %d %q", code, reason)
	}
	p.ExpectClose(code, reason)
}

// closeCode waits for the end of the connection and returns the code that the peer has read, or 0.
func (p *peer) closeCode() int {
	<-p.Done()
	var closed *websocket.CloseError
	if errors.As(p.Err(), &closed) {
		return closed.Code
	}
	return 0
}

// A journal collects words from many goroutines.
type journal struct {
	mu    sync.Mutex
	words []string
}

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.words = append(j.words, fmt.Sprintf(format, args...))
}

// take returns the words since the last time, with spaces between them.
func (j *journal) take() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	words := j.words
	j.words = nil
	return strings.Join(words, " ")
}

// count returns how many of the words since the last take begin like that.
func (j *journal) count(prefix string) (n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, word := range j.words {
		if strings.HasPrefix(word, prefix) {
			n++
		}
	}
	return n
}

// callbacks returns options that write each callback down: "alice:connect", "alice:message(hello)",
// "alice:drop(error)".
func (j *journal) callbacks() []wspulse.ServerOption {
	return []wspulse.ServerOption{
		wspulse.WithOnConnect(func(c wspulse.Connection) { j.add("%s:connect", c.ID()) }),
		wspulse.WithOnMessage(func(c wspulse.Connection, f wspulse.Frame) { j.add("%s:message(%s)", c.ID(), f.Event) }),
		wspulse.WithOnTransportDrop(func(c wspulse.Connection, err error) { j.add("%s:drop(%s)", c.ID(), name(err)) }),
		wspulse.WithOnTransportRestore(func(c wspulse.Connection) { j.add("%s:restore", c.ID()) }),
		wspulse.WithOnDisconnect(func(c wspulse.Connection, err error) {
			j.add("%s:disconnect(%s)", c.ID(), name(err))
		}),
	}
}

// name gives the errors of the contract a word each.
func name(err error) string {
	var (
		closed   *websocket.CloseError
		panicked *wspulse.PanicError
		timeout  net.Error
	)
	switch {
	case err == nil:
		return "nil"
	case errors.Is(err, syscall.EPIPE):
		return "broken-pipe"
	case errors.Is(err, syscall.ECONNRESET):
		return "reset"
	case errors.Is(err, wspulse.ErrTransportReplaced):
		return "replaced"
	case errors.Is(err, wspulse.ErrDuplicateConnectionID):
		return "duplicate"
	case errors.Is(err, wspulse.ErrServerClosed):
		return "server-closed"
	case errors.Is(err, websocket.ErrReadLimit):
		return "too-large"
	case errors.As(err, &panicked):
		return fmt.Sprintf("panic=%v", panicked.Value)
	case errors.As(err, &closed):
		return fmt.Sprint(closed.Code)
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	default:
		return "error=" + err.Error()
	}
}
