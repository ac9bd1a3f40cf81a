package wstest

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/internal/ask"
)

// A Client is a peer of the server. The methods that wait or that fail the test belong to the test's own goroutine.
type Client struct {
	// WebSocket is for everything that Client has no method for. A client that reads all the time reads from it on a
	// goroutine of its own: set handlers on one that is idle, and then call StartReading.
	WebSocket *websocket.Conn

	// Conn is the network below, with its faults.
	Conn *Conn

	t     testing.TB
	codec wspulse.Codec

	replyEvent, failureEvent string
	requestIDs               *ask.IDs    // of the server
	attendance               *attendance // nil without WithPresence

	mu      sync.Mutex      // guards what follows
	reading bool            // StartReading has been called
	frames  []wspulse.Frame // read, and not given to the test yet

	arrived chan struct{} // told when frames has grown; never closed
	done    chan struct{} // closed when reading has ended, and then
	err     error         // says why
}

// Send sends frames, and fails the test when that is not possible.
func (c *Client) Send(frames ...wspulse.Frame) {
	c.t.Helper()
	for _, f := range frames {
		data, err := c.codec.Encode(f)
		if err == nil {
			_ = c.WebSocket.SetWriteDeadline(time.Now().Add(patience))
			err = c.WebSocket.WriteMessage(c.codec.FrameType(), data)
		}
		if err != nil {
			c.t.Fatalf("wstest: client sends %q: %v", f.Event, err)
		}
	}
}

// Close sends a close frame (RFC 6455, section 7.4 has the codes; 1005 stands for none) and waits for no answer: see
// ExpectClose. It fails the test when that is not possible.
func (c *Client) Close(code int, reason string) {
	c.t.Helper()
	message := websocket.FormatCloseMessage(code, reason)
	if err := c.WebSocket.WriteControl(websocket.CloseMessage, message, time.Now().Add(patience)); err != nil {
		c.t.Fatalf("wstest: client closes: %v", err)
	}
}

// Drop closes the network connection without a close frame. See Conn.Reset for a harder end.
func (c *Client) Drop() { c.Conn.Close() }

// StartReading makes an idle client read all the time, from now on.
func (c *Client) StartReading() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reading || c.ended() {
		return
	}
	c.reading = true
	_ = c.WebSocket.SetReadDeadline(time.Time{})
	go func() {
		for !c.ended() {
			c.read()
		}
	}()
}

// read reads one frame. An error ends the connection, which a well-behaved client then closes.
func (c *Client) read() {
	_, data, err := c.WebSocket.ReadMessage()
	var f wspulse.Frame
	if err == nil {
		f, err = c.codec.Decode(data)
	}
	if err != nil {
		c.WebSocket.Close()
		c.err = err
		close(c.done)
		return
	}
	if !c.attendance.keeps(f) {
		c.mu.Lock()
		c.frames = append(c.frames, f)
		c.mu.Unlock()
	}
	select {
	case c.arrived <- struct{}{}:
	default:
	}
}

// Received returns the frames that have been read and not been returned yet. It does not wait: in a bubble, call
// synctest.Wait first.
func (c *Client) Received() []wspulse.Frame {
	c.mu.Lock()
	defer c.mu.Unlock()
	frames := c.frames
	c.frames = nil
	return frames
}

// Receive returns the next frame, and fails the test when there is none within ten seconds or before the connection
// ends.
func (c *Client) Receive() wspulse.Frame {
	c.t.Helper()
	f, err := c.receive(anyFrame)
	if err != nil {
		c.t.Fatalf("wstest: client receives: %v", err)
	}
	return f
}

// Expect receives as many frames as there are events, and fails the test unless they have these, in that order.
func (c *Client) Expect(events ...string) {
	c.t.Helper()
	var got []string
	for range events {
		f, err := c.receive(anyFrame)
		if err != nil {
			c.t.Fatalf("wstest: client received %q, want %q: %v", got, events, err)
		}
		got = append(got, f.Event)
	}
	if !slices.Equal(got, events) {
		c.t.Errorf("wstest: client received %q, want %q", got, events)
	}
}

// anyFrame is for receive.
func anyFrame(wspulse.Frame) bool { return true }

// receive returns the next frame that matches.
func (c *Client) receive(matches func(wspulse.Frame) bool) (wspulse.Frame, error) {
	deadline := time.Now().Add(patience)
	for {
		ended := c.ended() // looked at first: what was read before the end is there
		if f, ok := c.pop(matches); ok {
			return f, nil
		}
		if ended {
			return wspulse.Frame{}, fmt.Errorf("the connection has ended: %w", c.err)
		}
		if err := c.await(deadline); err != nil {
			return wspulse.Frame{}, err
		}
	}
}

func (c *Client) pop(matches func(wspulse.Frame) bool) (f wspulse.Frame, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.frames, matches)
	if i < 0 {
		return f, false
	}
	f = c.frames[i]
	if i == 0 {
		c.frames = c.frames[1:]
	} else {
		c.frames = slices.Delete(c.frames, i, i+1)
	}
	return f, true
}

// ExpectClose waits for the end of the connection, for ten seconds at most, and fails the test unless that was by a
// close frame with this code and reason. Frames that come before it are there for Receive.
func (c *Client) ExpectClose(code int, reason string) {
	c.t.Helper()
	deadline := time.Now().Add(patience)
	for !c.ended() {
		if err := c.await(deadline); err != nil {
			c.t.Fatalf("wstest: client expects close %d %q: %v", code, reason, err)
		}
	}
	var closed *websocket.CloseError
	if !errors.As(c.err, &closed) || closed.Code != code || closed.Text != reason {
		c.t.Errorf("wstest: client read %v, want close %d %q", c.err, code, reason)
	}
}

// await waits until a frame has been read or the connection has ended. An idle client reads meanwhile.
func (c *Client) await(deadline time.Time) error {
	c.mu.Lock()
	idle := !c.reading
	c.mu.Unlock()
	if idle {
		_ = c.WebSocket.SetReadDeadline(deadline)
		c.read()
		return nil
	}
	timeout := time.NewTimer(time.Until(deadline))
	defer timeout.Stop()
	select {
	case <-c.arrived:
	case <-c.done:
	case <-timeout.C:
		return os.ErrDeadlineExceeded
	}
	return nil
}

// Done returns a channel that is closed when reading has ended: by a close frame, by the network, by Drop, or by a
// message that the codec cannot decode. Nothing is noticed while the client is idle.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err returns nil until Done is closed, and then why reading has ended: a *websocket.CloseError with the code and the
// reason of the server's close frame, or with 1006 when the stream ended without one; or another error.
func (c *Client) Err() error {
	if !c.ended() {
		return nil
	}
	return c.err
}

func (c *Client) ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// awaitReading waits for the goroutine that StartReading has started, if it has.
func (c *Client) awaitReading() {
	c.mu.Lock()
	reading := c.reading
	c.mu.Unlock()
	if reading {
		<-c.done
	}
}
