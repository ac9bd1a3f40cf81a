package program

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// Dial opens a WebSocket of the process, with an origin as pages have one. It is closed with the test.
func (p *Process) Dial(path string) *websocket.Conn {
	p.t.Helper()
	dialer := websocket.Dialer{HandshakeTimeout: patience}
	header := http.Header{"Origin": {"http://elsewhere.example"}}
	ws, response, err := dialer.DialContext(p.t.Context(), "ws://"+p.Addr()+path, header)
	if response != nil {
		response.Body.Close()
	}
	if err != nil {
		p.t.Fatalf("%v after\n%s", err, p.Output())
	}
	p.t.Cleanup(func() { ws.Close() })
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	return ws
}

// TestAddr tests the flag -addr of a program: it takes a free port, and says which; it listens before it says so; it
// tells its peers when it is interrupted; it says that a port is taken; and it has help.
func TestAddr(t *testing.T, path string) {
	p := Start(t, "-addr", "127.0.0.1:0")
	ws := p.Dial(path)
	heard := make(chan error, 1)
	go func() {
		_, _, err := ws.ReadMessage()
		heard <- err
	}()
	p.Interrupt()
	if err := <-heard; !websocket.IsCloseError(err, websocket.CloseGoingAway) {
		t.Errorf("the peer got %v, want close code 1001", err)
	}

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	p = Start(t, "-addr", taken.Addr().String())
	if err := p.Wait(); err == nil || !strings.Contains(p.Output(), taken.Addr().String()) {
		t.Errorf("with a port that is taken it ended with %v after\n%s", err, p.Output())
	}
	if strings.Contains(p.Output(), "listening on") {
		t.Errorf("it says that it listens, and does not:\n%s", p.Output())
	}

	p = Start(t, "-h")
	if err := p.Wait(); err != nil || !strings.Contains(p.Output(), `(default "127.0.0.1:8080")`) {
		t.Errorf("-h ended with %v after\n%s", err, p.Output())
	}
}
