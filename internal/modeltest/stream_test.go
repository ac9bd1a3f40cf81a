package modeltest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/internal/rawpeer"
	"github.com/wspulse/server/wstest"
)

// A wiretap is a client's connection that keeps what the server sends.
type wiretap struct {
	net.Conn
	ended chan struct{} // closed by listen, when the server or the client has closed the connection

	mu   sync.Mutex // guards what follows
	came []byte
}

func tap(t *testing.T, l *wstest.Listener) *wiretap {
	t.Helper()
	conn, err := l.Dial(unbuffered, unbuffered)
	if err != nil {
		t.Fatal(err)
	}
	p := &wiretap{Conn: conn, ended: make(chan struct{})}
	go p.listen()
	return p
}

func (p *wiretap) listen() {
	defer close(p.ended)
	buf := make([]byte, 4096)
	for {
		n, err := p.Read(buf)
		p.mu.Lock()
		p.came = append(p.came, buf[:n]...)
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// heard returns what the server has sent until now.
func (p *wiretap) heard() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bytes.Clone(p.came)
}

// rawCodec takes a message as the payload, without copying it.
type rawCodec struct{}

func (rawCodec) Encode(f wspulse.Frame) ([]byte, error)    { return f.Payload, nil }
func (rawCodec) Decode(data []byte) (wspulse.Frame, error) { return wspulse.Frame{Payload: data}, nil }
func (rawCodec) FrameType() int                            { return wspulse.BinaryMessage }

// Whatever bytes a client sends after the opening handshake, in whatever pieces, OnMessage gets the messages that RFC
// 6455 finds in them, the session lives or ends with the close code that is due, what comes back is well-formed, a
// neighbour does not notice, and nothing is left.
func FuzzStream(f *testing.F) {
	for _, stream := range streamSeeds() {
		f.Add(stream, byte(0), false)
		f.Add(stream, byte(1), true)
	}
	f.Fuzz(func(t *testing.T, stream []byte, piece byte, silent bool) {
		if len(stream) > 16<<10 {
			t.Skip("a longer stream shows nothing more")
		}
		synctest.Test(t, func(t *testing.T) { tellStream(t, stream, int(piece), silent) })
	})
}

// tellStream sends a stream in pieces of that size, 0 for all of it right behind the request. The client is silent
// after that, or cuts the connection.
func tellStream(t *testing.T, stream []byte, piece int, silent bool) {
	const limit, pingPeriod, pongWait = 512, 10 * time.Second, 25 * time.Second
	var (
		messages []string // that OnMessage got
		mu       sync.Mutex
		calls    []string // of the other callbacks; guarded by mu
	)
	note := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, fmt.Sprintf(format, args...))
	}
	w := newWorld(t, wspulse.WithCodec(rawCodec{}), wspulse.WithMaxMessageSize(limit), wspulse.WithSendBufferSize(4096),
		wspulse.WithUpgraderBufferSize(256, 256), // less than the largest message
		wspulse.WithHeartbeat(pingPeriod, pongWait),
		wspulse.WithOnMessage(func(c wspulse.Connection, f wspulse.Frame) {
			if c.ID() == "mallory" {
				messages = append(messages, string(f.Payload))
			}
			c.Send(f)
		}),
		wspulse.WithOnConnect(func(c wspulse.Connection) { note("%s:connect", c.ID()) }),
		wspulse.WithOnDisconnect(func(c wspulse.Connection, err error) {
			note("%s:disconnect(%s)", c.ID(), name(err))
		}))
	neighbour, _, err := w.connect("r", "neighbour")
	if err != nil {
		t.Fatal(err)
	}
	neighbour.StartReading()
	synctest.Wait()
	mallory := tap(t, w.web.Listener)
	defer mallory.Close()
	mallory.send(stream, piece)
	synctest.Wait()

	want := understand(stream, limit)
	if !slices.Equal(messages, want.messages) {
		t.Errorf("OnMessage got %q, want %q", messages, want.messages)
	}
	answer := mallory.answer(t)
	answer.compare(t, want)
	isMallory := func(c wspulse.Connection) bool { return c.ID() == "mallory" }
	if lives := slices.ContainsFunc(w.server.GetConnections("r"), isMallory); lives == answer.closed {
		t.Errorf("the session lives: %t; a close frame came: %t", lives, answer.closed)
	}
	neighbour.Send(ev("still there?"))
	synctest.Wait()
	if got := neighbour.Received(); len(got) != 1 || got[0].Event != "still there?" {
		t.Errorf("the neighbour read %v", got)
	}

	ending := "1006"
	if silent {
		ending = "timeout"
		time.Sleep(pingPeriod + pongWait)
		synctest.Wait()
		select {
		case <-mallory.ended:
		default:
			t.Error("the server keeps the connection of a silent client")
		}
		mallory.answer(t)
	}
	if answer.closed {
		ending = want.ending(answer.code)
	}
	mallory.Close()
	synctest.Wait()
	mu.Lock()
	defer mu.Unlock()
	got := strings.Join(calls, " ")
	if !strings.HasPrefix(got, "neighbour:connect mallory:connect mallory:disconnect("+ending) ||
		strings.Count(got, "mallory:") != 2 {
		t.Errorf("callbacks %q, want the end %q", got, ending)
	}
	if n := len(w.server.GetConnections("r")); n != 1 {
		t.Errorf("%d sessions, want the neighbour's alone", n)
	}
}

// send opens a WebSocket and sends the stream.
func (p *wiretap) send(stream []byte, piece int) {
	request := []byte(rawpeer.Opening)
	if piece == 0 {
		request, stream, piece = append(request, stream...), nil, 1
	}
	p.Write(request)
	for part := range slices.Chunk(stream, piece) {
		if _, err := p.Write(part); err != nil {
			return // the server has closed
		}
	}
}

// An answer is what came back from the server, in the order of each kind.
type answer struct {
	messages, pongs []string
	closed          bool // a close frame came
	code            int  // of it, or 0
}

// answer takes apart what came after the response to the handshake. Nothing may be wrong with it.
func (p *wiretap) answer(t *testing.T) answer {
	t.Helper()
	came := p.heard()
	in := bufio.NewReader(bytes.NewReader(came))
	response, err := http.ReadResponse(in, nil)
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("the handshake was answered with %q: %v", came, err)
	}
	rest, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	return readAnswer(t, rest)
}

// readAnswer takes apart what a server sends, of which each frame must be a whole message in less than 64 KiB or a
// control frame, and nothing may come after a close frame.
func readAnswer(t *testing.T, p []byte) (a answer) {
	t.Helper()
	for in := bytes.NewReader(p); in.Len() > 0; {
		if a.closed {
			t.Fatalf("%d bytes after the close frame of %q", in.Len(), p)
		}
		f, err := rawpeer.Read(in)
		if err != nil || len(f.Payload) >= 64<<10 || f.IsControl() && len(f.Payload) > 125 {
			t.Fatalf("a frame %v that is wrong (%v) in %q", f, err, p)
		}
		switch f.First {
		case finText, finBinary:
			a.messages = append(a.messages, f.Payload)
		case finPing:
		case finPong:
			a.pongs = append(a.pongs, f.Payload)
		case finClose:
			a.closed, a.code = true, f.Code()
			if f.Payload != "" {
				a.code = closeCode(f.Payload)
			}
			if whole, _ := isUTF8([]byte(f.Payload[min(2, len(f.Payload)):])); a.code == 0 || !whole {
				t.Errorf("an invalid close frame %q", f.Payload)
			}
		default:
			t.Fatalf("a frame %v in %q", f, p)
		}
	}
	return a
}

// compare compares an answer with what the client sent. All echoes and the latest pong have to come to a client that is
// not sent away.
func (a answer) compare(t *testing.T, want understood) {
	t.Helper()
	if !slices.Contains(want.codes, a.code) {
		t.Errorf("close code %d, want one of %d (0 is none)", a.code, want.codes)
	}
	if n := len(a.messages); n > len(want.messages) || !slices.Equal(a.messages, want.messages[:n]) ||
		!a.closed && n < len(want.messages) {
		t.Errorf("echoes %q of %q", a.messages, want.messages)
	}
	pings := want.pings
	for _, pong := range a.pongs {
		i := slices.Index(pings, pong)
		if i < 0 {
			t.Fatalf("pongs %q to the pings %q", a.pongs, want.pings)
		}
		pings = pings[i+1:]
	}
	if n := len(a.pongs); !a.closed && len(want.pings) > 0 &&
		(n == 0 || a.pongs[n-1] != want.pings[len(want.pings)-1]) {
		t.Errorf("pongs %q: none to the last of the pings %q", a.pongs, want.pings)
	}
}
