package modeltest

import (
	"bufio"
	"bytes"
	"io"
	"log"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/wstest"
)

// Whatever comes instead of an upgrade request, it is answered with a well-formed response, with 101 if and only if it
// is an opening handshake, and nothing is left when the connection is closed.
func FuzzUpgrade(f *testing.F) {
	for _, seed := range upgradeSeeds() {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, request []byte) {
		if len(request) > 64<<10 {
			t.Skip("a longer request shows nothing more")
		}
		synctest.Test(t, func(t *testing.T) { tellUpgrade(t, request) })
	})
}

// A doorway is an http.Server with a wspulse server behind it, which sees one request for each connection.
type doorway struct {
	server         wspulse.Server
	listener       *wstest.Listener
	reached        bool // the request got as far as the wspulse server
	opened, closed atomic.Int64
}

func newDoorway(t *testing.T) *doorway {
	t.Helper()
	d := &doorway{listener: wstest.Listen()}
	d.server = wspulse.NewServer(func(*http.Request) (string, string, error) { return "r", "mallory", nil },
		wspulse.WithOnConnect(func(wspulse.Connection) { d.opened.Add(1) }),
		wspulse.WithOnDisconnect(func(wspulse.Connection, error) { d.closed.Add(1) }))
	web := &http.Server{ErrorLog: log.New(io.Discard, "", 0),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			d.reached = true
			defer func() {
				if v := recover(); v != nil {
					t.Errorf("panic: %v\n%s", v, debug.Stack())
				}
			}()
			d.server.ServeHTTP(w, r)
		})}
	web.SetKeepAlivesEnabled(false)
	go web.Serve(d.listener)
	t.Cleanup(func() {
		d.server.Close()
		web.Close()
	})
	return d
}

func tellUpgrade(t *testing.T, request []byte) {
	d := newDoorway(t)
	mallory := tap(t, d.listener)
	go mallory.Write(request)
	synctest.Wait()

	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(request)))
	whole, opening := false, false // the request with its body has come, and is an opening handshake
	if err == nil {
		_, bodyErr := io.Copy(io.Discard, r.Body)
		whole, opening = bodyErr == nil, isOpening(r)
	}
	answered := r
	if !d.reached {
		answered = nil // net/http answers a request that it refuses as a GET, whatever its method
	}
	status := mallory.status(t, answered)
	switch {
	case d.reached && err != nil:
		t.Errorf("not a request: %v", err)
	case d.reached && opening && status != http.StatusSwitchingProtocols:
		t.Errorf("an opening handshake was answered with %d", status)
	case (!d.reached || !opening) && status == http.StatusSwitchingProtocols:
		t.Error("101 to what is no opening handshake")
	case d.reached && !opening && status != http.StatusBadRequest && (whole || status != 0): // net/http waits for a body first
		t.Errorf("answered with %d", status)
	}
	mallory.Close()
	time.Sleep(time.Second) // net/http waits for a part of it before it closes
	if n := len(d.server.GetConnections("r")); n > 0 {
		t.Error("the session is left")
	}
	sessions := int64(0)
	if status == http.StatusSwitchingProtocols {
		sessions = 1
	}
	if d.opened.Load() != sessions || d.closed.Load() != sessions {
		t.Errorf("status %d: %d sessions opened, %d closed", status, d.opened.Load(), d.closed.Load())
	}
}

// status checks the response and what comes after it, and returns its status; 0 if nothing came.
func (p *wiretap) status(t *testing.T, r *http.Request) int {
	t.Helper()
	came := p.heard()
	if len(came) == 0 {
		return 0
	}
	in := bufio.NewReader(bytes.NewReader(came))
	response, err := http.ReadResponse(in, r)
	if err != nil {
		t.Fatalf("the response %q: %v", came, err)
	}
	switch accept := response.Header.Get("Sec-WebSocket-Accept"); {
	case response.StatusCode != http.StatusSwitchingProtocols:
		if _, err := io.Copy(io.Discard, response.Body); err != nil || in.Buffered() > 0 {
			t.Errorf("the body of %q: %v", came, err)
		}
		return response.StatusCode
	case r != nil && accept != acceptFor(r):
		t.Errorf("Sec-WebSocket-Accept %q, want %q", accept, acceptFor(r))
	}
	rest, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	readAnswer(t, rest)
	return response.StatusCode
}
