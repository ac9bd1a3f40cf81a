package wspulse_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	wspulse "github.com/wspulse/server"
)

// A modelClient is a client as it really is, beside the model's.
type modelClient struct {
	link *modelLink
	ws   *websocket.Conn
	conn *valve
}

func (r *modelTrial) clientStep(c *modelClient, op, b byte) {
	switch op {
	case doSay:
		r.say(c, modelWords[int(b)%len(modelWords)])
	case doStall:
		if c.link.reading {
			r.tell("%s reads no more", c.link.name)
			c.conn.shut()
			c.link.reading = false
		}
	case doReadOn:
		r.readOn(c)
	case doDrop:
		r.drop(c, 0)
	case doCut:
		r.drop(c, int(b))
	case doGoodbye:
		r.sayGoodbye(c, []int{1000, 1001, 1005, 4000}[b%4])
	case doFault:
		r.fault(c, b%2 == 0)
	}
}

// pick returns one of the clients that have not come to their end, or nil.
func (r *modelTrial) pick(a byte) *modelClient {
	var there []*modelClient
	for _, c := range r.clients {
		if !c.link.over {
			there = append(there, c)
		}
	}
	if len(there) == 0 {
		return nil
	}
	return there[int(a)%len(there)]
}

func (r *modelTrial) connect(id, room string, reading bool) {
	conn := &valve{open: make(chan struct{})}
	conn.reopen()
	dialer := websocket.Dialer{NetDialContext: func(context.Context, string, string) (_ net.Conn, err error) {
		conn.Conn, err = r.w.web.Listener.Dial(unbuffered, unbuffered)
		return conn, err
	}}
	ws, response, err := dialer.Dial("ws://server/?room="+room+"&id="+id, nil)
	got := "nil"
	if err != nil {
		got = "no answer"
		if response != nil {
			got = fmt.Sprint(response.StatusCode)
		}
	}
	link, want := r.m.connect(id, room, reading)
	r.called(fmt.Sprintf("%s connects in the %s, reading: %t", id, room, reading), got, want)
	if got != "nil" || want != "nil" {
		return
	}
	if s := link.session; len(r.joined) < r.m.opened {
		r.joined = append(r.joined, s)
	}
	c := &modelClient{link: link, ws: ws, conn: conn}
	r.clients = append(r.clients, c)
	if !reading {
		conn.shut()
	}
	go r.listen(c)
}

// listen writes down what a client reads.
func (r *modelTrial) listen(c *modelClient) {
	for {
		var f wspulse.Frame
		_, data, err := c.ws.ReadMessage()
		if err == nil {
			f, err = wspulse.JSONCodec.Decode(data)
		}
		if err != nil {
			r.note(c.link.name, "%s", farewell(err))
			c.ws.Close()
			return
		}
		r.note(c.link.name, "%s", f.Event)
	}
}

func (r *modelTrial) say(c *modelClient, word string) {
	if c.link.gone {
		return // it would find out, and that is another story
	}
	if word == "panic" && !r.attentive(c) {
		return
	}
	_, number := r.frame(0)
	r.tell("%s says %s %s", c.link.name, word, number)
	data := []byte(word)
	if word != "malformed" {
		data, _ = wspulse.JSONCodec.Encode(wspulse.Frame{Event: word, ID: number})
	}
	if err := c.ws.WriteMessage(websocket.TextMessage, data); err != nil {
		r.t.Errorf("%s: %v", c.link.name, err)
	}
	r.m.say(c.link, word, number)
}

func (r *modelTrial) readOn(c *modelClient) {
	if c.link.reading {
		return
	}
	r.tell("%s reads on", c.link.name)
	c.conn.reopen()
	r.m.readOn(c.link)
}

// attentive makes a client read, which is about to make the server hang up, and says whether its session is still there.
// How long the server waits for one that does not read is not for the model to know.
func (r *modelTrial) attentive(c *modelClient) bool {
	r.readOn(c)
	synctest.Wait()
	return !c.link.over
}

func (r *modelTrial) drop(c *modelClient, bytes int) {
	bytes = min(bytes, len(c.link.hand)*modelFrameBytes)
	r.tell("%s reads %d bytes and is cut off", c.link.name, bytes)
	for _, f := range c.conn.steal(bytes) {
		r.note(c.link.name, "%s", f)
	}
	c.conn.Close()
	r.m.drop(c.link, bytes)
}

func (r *modelTrial) sayGoodbye(c *modelClient, code int) {
	if !r.attentive(c) {
		return
	}
	r.tell("%s closes with %d", c.link.name, code)
	if err := c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), time.Time{}); err != nil {
		r.t.Errorf("%s: %v", c.link.name, err)
	}
	word := "nil"
	if code == 4000 {
		word = "4000"
	}
	r.m.hangUp(c.link, word, fmt.Sprintf("close %d %q", code, ""))
}

func (r *modelTrial) fault(c *modelClient, tooLarge bool) {
	if !r.attentive(c) {
		return
	}
	if tooLarge {
		r.tell("%s sends too much", c.link.name)
		if err := c.ws.WriteMessage(websocket.TextMessage, []byte(strings.Repeat("x", 513))); err != nil {
			r.t.Errorf("%s: %v", c.link.name, err)
		}
		r.m.hangUp(c.link, "too-large", `close 1009 ""`)
		return
	}
	r.tell("%s breaks the protocol", c.link.name)
	c.conn.SetWriteDeadline(time.Time{}) // that of the last pong has passed
	if _, err := c.conn.Write(masked(0x83, "")); err != nil {
		r.t.Errorf("%s: %v", c.link.name, err)
	}
	r.m.hangUp(c.link, "", "close 1002")
}

// A valve is a connection whose reading can be stopped, even a Read that has begun.
type valve struct {
	net.Conn
	mu   sync.Mutex
	open chan struct{} // closed while reading is on
}

func (v *valve) gate() chan struct{} {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.open
}

func (v *valve) Read(p []byte) (int, error) {
	for {
		<-v.gate()
		n, err := v.Conn.Read(p)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
	}
}

// shut must not be called while it is shut.
func (v *valve) shut() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.open = make(chan struct{})
	v.Conn.SetReadDeadline(time.Now())
}

func (v *valve) reopen() {
	v.mu.Lock()
	defer v.mu.Unlock()
	select {
	case <-v.open:
		return
	default:
	}
	if v.Conn != nil {
		v.Conn.SetReadDeadline(time.Time{})
	}
	close(v.open)
}

// steal reads n bytes past a shut valve, and returns the frames that are whole.
func (v *valve) steal(n int) (events []string) {
	if n == 0 {
		return nil
	}
	v.Conn.SetReadDeadline(time.Time{})
	data := make([]byte, n)
	io.ReadFull(v.Conn, data)
	for ; len(data) >= modelFrameBytes; data = data[modelFrameBytes:] {
		f, err := wspulse.JSONCodec.Decode(data[2:modelFrameBytes])
		if err != nil {
			return append(events, err.Error())
		}
		events = append(events, f.Event)
	}
	return events
}

// Close wakes a Read, too.
func (v *valve) Close() error {
	err := v.Conn.Close()
	v.reopen()
	return err
}
