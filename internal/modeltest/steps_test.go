package modeltest

import (
	"fmt"
	"testing/synctest"
	"time"

	wspulse "github.com/wspulse/server"
)

// The steps: each takes two bytes, a for the one that it is about and b for how.
const (
	doConnect     = iota // a: who; b: room, and whether the client reads
	doSend               // Server.Send; a: to whom; b: a frame that cannot be encoded, or at once
	doSendOn             // Connection.Send; a: which session, 0 is the last; b: the same
	doBroadcast          // a: room; b: the same
	doSay                // a: client; b: what
	doStall              // a: client, which reads no more
	doReadOn             // a: client
	doDrop               // a: client
	doCut                // a: client, which reads b bytes before
	doGoodbye            // a: client; b: status
	doFault              // a: client; b: too large or against the protocol
	doKick               // a: whom
	doClose              // Connection.Close; a: which session; b: at once
	doCloseServer        // if b is 0xF in its last four bits
	doPass               // b: 2b+1 seconds, or up to 4 from 0x20 on
	modelSteps
)

// modelMore is what numbers from modelSteps on stand for: life rather than death.
var modelMore = []byte{doConnect, doConnect, doSend, doSend, doSend, doSendOn, doBroadcast, doBroadcast, doBroadcast,
	doSay,
	doStall, doStall, doReadOn, doPass}

// What b says of calls.
const (
	atOnce = 0x80 // the next call is made without waiting for what comes of this one
	holdUp = 0x40 // of a Broadcast, beside atOnce: it holds up the hub until something has to wait for that
	broken = 0x0F // in its last four bits: the frame cannot be encoded
)

// What b says of a doConnect, beside the room.
const notReading = 0x04

var (
	modelIDs   = []string{"alice", "bob", "carol", "dave"}
	modelRooms = []string{"lobby", "cellar"}
	modelWords = []string{"note", "echo", "shout", "quit", "kick", "panic", "malformed"} // that clients say
)

// step takes one step.
func (r *modelTrial) step(op, a, b byte) {
	if op %= modelSteps + byte(len(modelMore)); op >= modelSteps {
		op = modelMore[op-modelSteps]
	}
	call := map[byte]func(a, b byte){
		doSend: r.send, doSendOn: r.sendOn, doBroadcast: r.broadcast, doClose: r.closeSession, doCloseServer: r.closeServerAtTimes,
	}[op]
	if call != nil {
		more := b&atOnce != 0 && op != doCloseServer && r.hurried+1 < r.m.cfg.buffer && r.m.calm()
		switch {
		case op == doBroadcast && more && b&holdUp != 0:
			r.holdHub()
		case op != doBroadcast && op != doCloseServer: // they may wait for the hub
			r.letHubGo()
		}
		call(a, b)
		if more {
			r.tell("and at once")
			r.hurried++
			if r.held != nil {
				synctest.Wait() // until it does hold the hub up
			}
			return
		}
		r.settle()
		return
	}
	if r.hurried > 0 {
		r.settle()
	}
	switch c := r.pick(a); {
	case op == doConnect:
		r.connect(modelIDs[a%4], modelRooms[b%2], b&notReading == 0)
	case op == doKick:
		id := modelIDs[a%4]
		r.called("Kick "+id, verdict(r.w.server.Kick(id)), r.m.kick(id))
	case op == doPass && b < 0x20:
		r.pass(1 + 2*int(b))
	case op == doPass:
		r.pass(1 + int(b)%4)
	case c != nil:
		r.clientStep(c, op, b)
	}
	r.settle()
}

// called tells of a call and compares its result.
func (r *modelTrial) called(what, got, want string) {
	r.tell("%s: %s", what, want)
	if got != want {
		r.t.Errorf("%s: got %s, want %s", what, got, want)
	}
}

// frame returns the next frame and its number, or one that cannot be encoded.
func (r *modelTrial) frame(b byte) (f wspulse.Frame, number string) {
	if b&broken == broken {
		return wspulse.Frame{Payload: []byte("{")}, ""
	}
	r.frames++
	number = fmt.Sprintf("%04d", r.frames)
	return ev(number), number
}

func (r *modelTrial) send(a, b byte) {
	f, number := r.frame(b)
	id := modelIDs[a%4]
	r.called(fmt.Sprintf("Server.Send %q to %s", number, id), r.sent(r.w.server.Send(id, f)),
		r.m.serverSend(id, number))
}

// session returns one of the last eight sessions, on both sides.
func (r *modelTrial) session(a byte) (wspulse.Connection, *modelSession) {
	n := len(r.joined)
	if n == 0 {
		return nil, nil
	}
	n -= 1 + int(a)%min(n, 8)
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sessions[n], r.joined[n]
}

func (r *modelTrial) sendOn(a, b byte) {
	if c, s := r.session(a); c != nil {
		f, number := r.frame(b)
		r.called(fmt.Sprintf("Connection.Send %q to %s", number, s.name), r.sent(c.Send(f)), r.m.send(s, number))
	}
}

func (r *modelTrial) broadcast(a, b byte) {
	f, number := r.frame(b)
	room := modelRooms[a%2]
	r.called(fmt.Sprintf("Broadcast %q in the %s", number, room), verdict(r.w.server.Broadcast(room, f)),
		r.m.broadcast(room, number))
}

func (r *modelTrial) closeSession(a, _ byte) {
	if c, s := r.session(a); c != nil {
		r.called("Connection.Close of "+s.name, verdict(c.Close()), "nil")
		r.m.closeSession(s)
	}
}

// closeServerAtTimes leaves the server open in most cases, lest all inputs be short stories.
func (r *modelTrial) closeServerAtTimes(_, b byte) {
	if b&0x0F == 0x0F {
		r.closeServer()
	}
}

func (r *modelTrial) closeServer() {
	r.tell("Server.Close")
	go func() {
		r.w.server.Close()
		r.note("server", "Close returned")
	}()
	synctest.Wait() // a hub that is held up finds broadcasts and the end side by side
	r.m.closeServer()
}

// holdHub makes the hub wait in the middle of its next fan-out, so that what is called meanwhile queues up.
func (r *modelTrial) holdHub() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held == nil {
		r.held = make(chan struct{})
	}
}

func (r *modelTrial) letHubGo() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held != nil {
		close(r.held)
		r.held = nil
	}
}

// pass lets time pass.
func (r *modelTrial) pass(seconds int) {
	r.tell("%d s pass", seconds)
	time.Sleep(time.Duration(seconds) * time.Second)
	synctest.Wait() // what is due now comes before what is done now
	r.m.advance(r.m.now + time.Duration(seconds)*time.Second)
}
