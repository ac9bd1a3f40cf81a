package modeltest

import (
	"fmt"
	"strings"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/wstest"
)

// nothing is a client that reads nothing: what the server writes does not come through.
var nothing = wstest.Faults{Window: wstest.Unbuffered, BlackHole: true}

// A modelClient is a client as it really is, beside the model's.
type modelClient struct {
	*wstest.Client // whose reading is listen's
	link           *modelLink
}

func (r *modelTrial) clientStep(c *modelClient, op, b byte) {
	switch op {
	case doSay:
		r.say(c, modelWords[int(b)%len(modelWords)])
	case doStall:
		if c.link.reading {
			r.tell("%s reads no more", c.link.name)
			c.Conn.Downstream(nothing)
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
	client, response, err := r.w.connect(room, id)
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
	c := &modelClient{client, link}
	r.clients = append(r.clients, c)
	if !reading {
		c.Conn.Downstream(nothing)
	}
	go r.listen(c)
}

// listen writes down what a client reads.
func (r *modelTrial) listen(c *modelClient) {
	for {
		var f wspulse.Frame
		_, data, err := c.WebSocket.ReadMessage()
		if err == nil {
			f, err = wspulse.JSONCodec.Decode(data)
		}
		if err != nil {
			r.note(c.link.name, "%s", farewell(err))
			c.WebSocket.Close()
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
	if err := c.WebSocket.WriteMessage(websocket.TextMessage, data); err != nil {
		r.t.Errorf("%s: %v", c.link.name, err)
	}
	r.m.say(c.link, word, number)
}

func (r *modelTrial) readOn(c *modelClient) {
	if c.link.reading {
		return
	}
	r.tell("%s reads on", c.link.name)
	c.Conn.Downstream(unbuffered)
	r.m.readOn(c.link)
}

// attentive makes a client read, which is about to make the server hang up, and says whether its session is still
// there. How long the server waits for one that does not read is not for the model to know.
func (r *modelTrial) attentive(c *modelClient) bool {
	r.readOn(c)
	synctest.Wait()
	return !c.link.over
}

func (r *modelTrial) drop(c *modelClient, bytes int) {
	bytes = min(bytes, len(c.link.hand)*modelFrameBytes)
	r.tell("%s reads %d bytes and is cut off", c.link.name, bytes)
	if bytes > 0 {
		c.Conn.Downstream(wstest.Faults{Window: wstest.Unbuffered,
			Throttle: wstest.Rate{Bytes: bytes, Every: time.Hour}})
		synctest.Wait()
	}
	c.Drop()
	r.m.drop(c.link, bytes)
}

func (r *modelTrial) sayGoodbye(c *modelClient, code int) {
	if !r.attentive(c) {
		return
	}
	r.tell("%s closes with %d", c.link.name, code)
	if err := c.WebSocket.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""),
		time.Time{}); err != nil {
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
		if err := c.WebSocket.WriteMessage(websocket.TextMessage, []byte(strings.Repeat("x", 513))); err != nil {
			r.t.Errorf("%s: %v", c.link.name, err)
		}
		r.m.hangUp(c.link, "too-large", `close 1009 "message larger than 512 bytes (WithMaxMessageSize)"`)
		return
	}
	r.tell("%s breaks the protocol", c.link.name)
	c.Conn.SetWriteDeadline(time.Time{}) // that of the last pong has passed
	if _, err := c.Conn.Write(masked(0x83, "")); err != nil {
		r.t.Errorf("%s: %v", c.link.name, err)
	}
	r.m.hangUp(c.link, "", "close 1002")
}
