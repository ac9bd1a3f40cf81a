package stresstest

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	wspulse "github.com/wspulse/server"
)

// OnMessage of each of many connections asks its own peer and waits for the reply, at the same time. Nobody reads for
// the poller meanwhile but who is told to.
func TestRequest_InOnMessageOfMany(t *testing.T) {
	const peers, rounds = 200, 10
	var answered atomic.Int64
	w := newNetWorld(t, wspulse.WithOnMessage(func(c wspulse.Connection, f wspulse.Frame) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		reply, err := c.Request(ctx, wspulse.Frame{Event: "ask", Payload: f.Payload})
		if err != nil || string(reply.Payload) != string(f.Payload) {
			t.Errorf("%s: %s, %v", f.Payload, reply.Payload, err)
			return
		}
		answered.Add(1)
	}))
	start := time.Now()
	if err := forEach(peers, func(i int) error {
		ws, err := w.tryDial(w.dialer(), "r", strconv.Itoa(i))
		if err != nil {
			return err
		}
		t.Cleanup(func() { _ = ws.Close() })
		for j := range rounds {
			message := fmt.Appendf(nil, `{"event":"begin","payload":%d}`, i*rounds+j)
			if err := ws.WriteMessage(websocket.TextMessage, message); err != nil {
				return err
			}
		}
		for range rounds {
			_, data, err := ws.ReadMessage()
			if err != nil {
				return err
			}
			f, err := wspulse.JSONCodec.Decode(data)
			if err != nil {
				return err
			}
			f.Event = "ack"
			if data, err = wspulse.JSONCodec.Encode(f); err != nil {
				return err
			}
			if err := ws.WriteMessage(websocket.TextMessage, data); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all are answered", func() bool { return answered.Load() == peers*rounds })
	t.Logf("%v for each request", time.Since(start)/(peers*rounds))
}
