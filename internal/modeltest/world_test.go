package modeltest

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"testing"

	"github.com/gorilla/websocket"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/wstest"
)

// unbuffered is a network on which a write takes as long as its reader, so that the server is stuck in writing to a
// peer that does not read.
var unbuffered = wstest.Faults{Window: wstest.Unbuffered}

// A world is a server on an in-memory network. It must be made in a bubble.
type world struct {
	server wspulse.Server
	web    *wstest.Server
}

// newWorld starts a server whose peers name themselves and their room in the query: /?room=R&id=I.
func newWorld(t *testing.T, options ...wspulse.ServerOption) *world {
	t.Helper()
	w := &world{server: wspulse.NewServer(func(r *http.Request) (roomID, connectionID string, err error) {
		return r.URL.Query().Get("room"), r.URL.Query().Get("id"), nil
	}, options...)}
	w.web = wstest.NewServer(t, w.server)
	t.Cleanup(w.server.Close) // while the peers are there
	return w
}

// connect connects a client that reads when the test does, unless it is refused.
func (w *world) connect(room, id string) (*wstest.Client, *http.Response, error) {
	return w.web.TryDial("/?room="+room+"&id="+id, wstest.WithIdle(),
		wstest.WithUpstream(unbuffered), wstest.WithDownstream(unbuffered))
}

// ev is a frame that has an event only.
func ev(event string) wspulse.Frame { return wspulse.Frame{Event: event} }

// ended says whether a session is over.
func ended(c wspulse.Connection) bool {
	select {
	case <-c.Done():
		return true
	default:
		return false
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
