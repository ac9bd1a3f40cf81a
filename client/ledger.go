package client

import (
	"fmt"
	"time"

	"github.com/wspulse/server/internal/control"
	"github.com/wspulse/server/internal/window"
)

const (
	ackPeriod = time.Second // after which what has been received is acknowledged,
	ackFrames = 64          // or after so many messages,
	ackBytes  = 32 << 10    // or so many bytes
)

// A message is a frame that has been encoded.
type message struct{ data []byte }

// Len implements window.Item.
func (m *message) Len() int { return len(m.data) }

// Messages implements window.Item.
func (m *message) Messages() int { return 1 }

// A ledger is what a client has counted: the messages of both directions, from 1 for as long as its session lives.
// client.mu guards it.
type ledger struct {
	window *window.Window[*message] // what is to be sent, or to be acknowledged

	// Of the session, as the last hello says; zero without wspulse.v1.
	id, token string
	broken    bool  // the two ends count differently: there is nothing to claim
	keeps     bool  // the server keeps the session when the connection is lost, and acknowledges
	inflight  int   // messages that may be sent and not acknowledged
	maxBytes  int64 // of a message

	acked uint64 // messages that the server has processed
	sent  uint64 // the same, and those that it has been sent since its transport began, or had accepted before

	received uint64 // messages of the server, with those of gaps
	handled  uint64 // those that OnMessage is through with
	claimed  uint64 // received, when the last claim was made: the server takes that for an acknowledgement

	told      uint64 // what has been acknowledged
	toldBytes int    // handled since
	ackDue    bool
	timer     *time.Timer // sees to it that handled is told; nil: it has never been needed
	armed     bool        // it runs
}

// pending returns how many messages are not known to be processed.
func (v *ledger) pending() int {
	numbered, _ := v.window.Numbered()
	waiting, _ := v.window.Waiting()
	return numbered + waiting
}

// next takes the next message that may be sent; nil: there is none.
func (v *ledger) next() *message {
	numbered, _ := v.window.Numbered()
	next := v.window.Next()
	if len(next) == 0 || v.keeps && !v.window.Replaying() && numbered >= v.inflight {
		return nil
	}
	m := next[0]
	v.window.Sent(1)
	v.sent++
	return m
}

// written says that the message that was taken last has been written: where nobody acknowledges, that has to do.
func (v *ledger) written() {
	if !v.keeps {
		v.window.Acknowledge(1)
		v.acked++
	}
}

// acknowledged removes what the server has processed: so many messages in all.
func (v *ledger) acknowledged(n uint64) error {
	items, ok := v.window.Items(n - v.acked)
	if n < v.acked || n > v.sent || !ok {
		return &countError{fmt.Sprintf("the server acknowledges %d messages, of %d to %d", n, v.acked, v.sent)}
	}
	v.window.Acknowledge(items)
	v.acked = n
	return nil
}

// greet begins with a new transport. It returns the messages of the session before that are lost with it, and whether
// there was one.
func (v *ledger) greet(h control.Welcome, at uint64) (unprocessed []*message, lost bool, err error) {
	lost = v.id != "" && !h.Resumed
	v.window.Rewind()
	if h.Resumed {
		items, ok := v.window.Items(h.Recv - v.acked)
		if h.Recv < v.acked || !ok || at != v.claimed {
			return nil, false, &countError{fmt.Sprintf("the server resumes at %d messages, of %d to %d, and at %d of %d",
				h.Recv, v.acked, v.sent, at, v.claimed)}
		}
		v.window.Sent(items)
		v.sent = h.Recv
	} else {
		unprocessed = v.abandon(h.Recv)
	}
	v.id, v.token, v.broken = h.ID, h.Token, false
	v.keeps, v.inflight, v.maxBytes = h.Window > 0, max(1, h.Inflight), h.MaxBytes
	v.ackDue = v.keeps
	return unprocessed, lost, nil
}

// lostFor says why a session is lost whose server gives that reason, or none.
func (v *ledger) lostFor(reason string) string {
	switch {
	case reason != "":
		return reason
	case v.broken:
		return "count"
	}
	return "dropped"
}

// abandon begins to count anew: with a session of which the server has processed so many messages. It returns the others
// that had been sent.
func (v *ledger) abandon(processed uint64) (unprocessed []*message) {
	v.window.Rewind()
	n, _ := v.window.Numbered()
	if n > 0 {
		unprocessed = append(unprocessed, v.window.Next()[:n]...)
		unprocessed = unprocessed[min(uint64(n), max(processed, v.acked)-v.acked):]
		v.window.Acknowledge(n)
	}
	v.acked, v.sent, v.received, v.handled, v.claimed, v.told, v.toldBytes = 0, 0, 0, 0, 0, 0, 0
	return unprocessed
}

// takeBack begins with a new transport of a server that counts nothing: what has not been written is sent.
func (v *ledger) takeBack() {
	v.window.Rewind()
	v.window.TakeBack()
}

// handle counts messages that OnMessage is through with, and says whether it is time to acknowledge them.
func (v *ledger) handle(messages uint64, size int, late func()) (due bool) {
	v.handled += messages
	v.toldBytes += size
	switch {
	case !v.keeps:
	case v.handled >= v.told+ackFrames, v.toldBytes >= ackBytes:
		v.ackDue = true
	case v.armed:
	case v.timer == nil:
		v.timer, v.armed = time.AfterFunc(ackPeriod, late), true
	default:
		v.armed = true
		v.timer.Reset(ackPeriod)
	}
	return v.ackDue
}

// ack returns the acknowledgement that is due.
func (v *ledger) ack() control.Message {
	v.ackDue, v.told, v.toldBytes = false, max(v.handled, v.claimed), 0
	return v.control(control.Message{Type: control.Ack, N: v.told})
}

// control returns a control message that stands behind what has been sent.
func (v *ledger) control(m control.Message) control.Message {
	m.At = v.sent
	return m
}

func (v *ledger) stopTimer() {
	if v.timer != nil {
		v.timer.Stop()
	}
}
