package modeltest

import (
	"fmt"
	"testing/synctest"
	"time"
)

// The steps: each takes two bytes, a for the one that it is about and b for how. What calls the server may be one of
// several calls that are made without waiting for what comes of them: see atOnce.
const (
	roomsConnect     = iota // a: who, as which user, until when; b: home, other rooms
	roomsSend               // Server.Send; a: to whom; b: a frame that cannot be encoded
	roomsSendOn             // Connection.Send; a: which session, 0 is the last; b: the same
	roomsSendUser           // a: to whom; b: the same
	roomsBroadcast          // a: room; b: the same
	roomsExcept             // a: room; b: the sessions that do not get it, or the same
	roomsAll                // b: the same
	roomsJoin               // a: which session; b: room
	roomsLeave              // a: which session; b: room
	roomsKick               // a: whom; b: how
	roomsEnd                // a: which session; b: how
	roomsExpires            // SetExpires; a: which session; b: when
	roomsCloseServer        // if b is 0xF in its last four bits
	roomsSay                // a: client; b: what, and of what
	roomsBusy               // a: client, whose OnMessage takes long; b: whether a second passes
	roomsFree               // a: which busy session
	roomsDrop               // a: client; b: how
	roomsPass               // b: 1 to 8 seconds
	roomsSteps
)

// roomsMore is what numbers from roomsSteps on stand for: life rather than death.
var roomsMore = []byte{roomsConnect, roomsConnect, roomsConnect, roomsBroadcast, roomsBroadcast, roomsAll, roomsExcept,
	roomsSendOn, roomsJoin, roomsJoin, roomsJoin, roomsLeave, roomsLeave, roomsSay, roomsSay}

// What b says of calls, beside atOnce.
const heldUp = holdUp // the hub is held up behind the calls before this one

// roomsMostCalls is how many are made without waiting, at the most.
const roomsMostCalls = 12

var (
	roomsNames = []string{"lobby", "cellar", "attic", "den", "a very long room"}
	roomsUsers = []string{"", "ann", "ben"}
	roomsWords = []string{"note", "echo", "shout", "all", "join", "leave", "move", "kick", "quit", "expire", "join"}
)

// A roomsCall is a call and what the model says that it returns.
type roomsCall struct {
	what, want string
	do         func() string
}

// step takes one step.
func (r *roomsTrial) step(op, a, b byte) {
	if op %= roomsSteps + byte(len(roomsMore)); op >= roomsSteps {
		op = roomsMore[op-roomsSteps]
	}
	if op > roomsConnect && op <= roomsCloseServer {
		r.callStep(op, a, b)
		if b&atOnce == 0 || len(r.calls) >= roomsMostCalls || r.queued >= r.m.cfg.buffer {
			r.settle()
		}
		return
	}
	r.settle()
	switch op {
	case roomsConnect:
		r.connect(roomsPeerOf(a, b))
	case roomsPass:
		r.pass(1 + int(b)%8)
	case roomsFree:
		r.freeOne(a)
	default:
		r.clientStep(op, a, b)
	}
	r.settle()
}

func (r *roomsTrial) callStep(op, a, b byte) {
	if b&atOnce != 0 && b&heldUp != 0 {
		r.holdHub()
	}
	if op == roomsKick && r.queued > 0 {
		r.settle() // what is queued is dropped: the client may have read it, or not
	}
	switch op {
	case roomsSend, roomsSendUser, roomsBroadcast, roomsExcept, roomsAll:
		r.sendStep(op, a, b)
	case roomsKick:
		r.kick(modelIDs[a%4], roomsUsers[a%3], b)
	case roomsCloseServer:
		if b&0x0F == 0x0F { // lest all inputs be short stories
			r.closeServer()
		}
	default:
		if c, s := r.session(a); c != nil {
			r.sessionStep(c, s, op, b)
		}
	}
}

// call adds a call to those that are to be made. The model makes it now.
func (r *roomsTrial) call(want string, do func() string, format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	r.tell("%s: %s", what, want)
	r.calls = append(r.calls, roomsCall{what, want, do})
}

// makeCalls makes the calls, on one goroutine. The hub goes on where it was held up as soon as nothing moves any more.
func (r *roomsTrial) makeCalls() {
	calls, results := r.calls, make(chan string, len(r.calls))
	r.calls, r.queued = nil, 0
	go func() {
		for _, c := range calls {
			results <- c.do()
		}
		close(results)
	}()
	for waits := true; waits; {
		synctest.Wait()
		select {
		case r.gate <- struct{}{}:
		default:
			waits = false
		}
	}
	for _, c := range calls {
		select {
		case got := <-results:
			if got != c.want {
				r.t.Errorf("%s: got %s, want %s", c.what, got, c.want)
			}
		default:
			r.t.Fatalf("%s does not return", c.what)
		}
	}
}

// pass lets time pass.
func (r *roomsTrial) pass(seconds int) {
	r.tell("%d s pass", seconds)
	time.Sleep(time.Duration(seconds) * time.Second)
	synctest.Wait() // what is due now comes before what is done now
	r.m.advance(r.m.now + time.Duration(seconds)*time.Second)
}
