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
	opened    bool // there has been one
	id, token string
	broken    bool  // the two ends count differently: there is nothing to claim
	keeps     bool  // the server keeps the session when the connection is lost, and acknowledges
	inflight  int   // messages that may be sent and not acknowledged
	maxBytes  int64 // of a message

	acked uint64 // messages that the server has processed
	sent  uint64 // the same, and those that it has been sent since its transport began, or had accepted before

	received uint64 // messages of the server, with those of gaps, that stand in the inbox or have been handled
	claims   bool   // the last request claims the session: the server takes that for an acknowledgement
	claimed  uint64 // received, by then

	due       uint64 // received, when the inbox was last not full or a claim was made: what may be acknowledged
	told      uint64 // what has been acknowledged
	newsBytes int    // since
	ackDue    bool
	timer     *time.Timer // sees to it that what is received is told; nil: it has never been needed
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

// acknowledged removes what the server has processed: so many messages in all. The error is a *protocolError.
func (v *ledger) acknowledged(n uint64) error {
	items, ok := v.window.Items(n - v.acked)
	if n < v.acked || n > v.sent || !ok {
		return &protocolError{fmt.Sprintf("the server acknowledges %d messages, of %d to %d", n, v.acked, v.sent),
			false}
	}
	v.window.Acknowledge(items)
	v.acked = n
	return nil
}

// answered acknowledges all that has been sent: the server has answered the close frame that stood behind it.
func (v *ledger) answered() {
	if !v.keeps {
		return // what is written is acknowledged already
	}
	items, _ := v.window.Items(v.sent - v.acked)
	v.window.Acknowledge(items)
	v.acked = v.sent
}

// A loss is a session that a client has come back too late for.
type loss struct {
	reason      string
	unprocessed []*message
}

// greet begins with a new transport. The loss is that of the session before; nil: it goes on, or there was none. The
// error is a *protocolError.
func (v *ledger) greet(h control.Welcome, at uint64) (lost *loss, err error) {
	if err := v.check(h, at); err != nil {
		v.broken = true
		return nil, err
	}
	v.window.Rewind()
	if h.Resumed {
		items, _ := v.window.Items(h.Recv - v.acked)
		v.window.Sent(items)
		v.sent = h.Recv
	} else {
		lost = v.lose(h)
	}
	v.opened, v.id, v.token, v.broken = true, h.ID, h.Token, false
	v.keeps, v.inflight, v.maxBytes = h.Window > 0, max(1, h.Inflight), h.MaxBytes
	v.ackDue = v.keeps
	return lost, nil
}

// check compares what a hello says with what has been counted.
func (v *ledger) check(h control.Welcome, at uint64) error {
	text := ""
	numbered, _ := v.window.Numbered()
	switch most := v.acked + uint64(numbered); {
	case !h.Resumed && at != 0:
		text = fmt.Sprintf("the server begins a session behind %d messages", at)
	case !h.Resumed:
	case !v.claims || h.ID != v.id:
		text = fmt.Sprintf("the server resumes a session of %.40q that was not claimed", h.ID)
	case at != v.claimed:
		text = fmt.Sprintf("the server goes on behind %d messages, %d have come", at, v.claimed)
	case h.Recv < v.acked || h.Recv > most:
		text = fmt.Sprintf("the server has accepted %d messages, of %d to %d", h.Recv, v.acked, most)
	}
	if text == "" {
		return nil
	}
	return &protocolError{text, true}
}

// lose begins to count anew, with the session of a hello. It returns what is lost with the one before.
func (v *ledger) lose(h control.Welcome) *loss {
	lost := &loss{reason: h.Reason}
	switch {
	case h.Reason != "":
	case v.broken:
		lost.reason = "count"
	default:
		lost.reason = "dropped"
	}
	if n, _ := v.window.Numbered(); n > 0 {
		processed := v.acked
		if v.claims {
			processed = max(processed, h.Recv)
		}
		lost.unprocessed = append(lost.unprocessed, v.window.Next()[:n]...)
		lost.unprocessed = lost.unprocessed[min(uint64(n), processed-v.acked):]
		v.window.Acknowledge(n)
	}
	v.acked, v.sent, v.received, v.claimed, v.due, v.told, v.newsBytes = 0, 0, 0, 0, 0, 0, 0
	if !v.opened {
		return nil
	}
	return lost
}

// all returns all messages that are not known to be processed, sent or not.
func (v *ledger) all() (pending []*message) {
	v.window.Rewind()
	n, _ := v.window.Numbered()
	if n > 0 {
		pending = append(pending, v.window.Next()[:n]...)
		v.window.Sent(n)
	}
	return append(pending, v.window.Next()...)
}

// takeBack begins with a new transport of a server that counts nothing: what has not been written is sent.
func (v *ledger) takeBack() {
	v.window.Rewind()
	v.window.TakeBack()
}

// claim returns what a request claims; nil: there is nothing to claim.
func (v *ledger) claim() *control.Claim {
	v.claims, v.claimed = v.token != "" && !v.broken, v.received
	if !v.claims {
		return nil
	}
	v.due = v.claimed
	return &control.Claim{ID: v.id, Recv: v.claimed, Token: v.token}
}

// receive counts messages that stand in the inbox, and says whether it is time to acknowledge them: not while that is
// full. late is called when it is time because nothing else has come.
func (v *ledger) receive(messages uint64, size int, full bool, late func()) (now bool) {
	v.received += messages
	if !v.keeps || full {
		return false
	}
	v.due = v.received
	v.newsBytes += size
	switch {
	case v.due >= v.told+ackFrames, v.newsBytes >= ackBytes:
		v.ackDue = true
		return true
	case v.armed:
	case v.timer == nil:
		v.timer, v.armed = time.AfterFunc(ackPeriod, late), true
	default:
		v.armed = true
		v.timer.Reset(ackPeriod)
	}
	return false
}

// news says whether there is something to acknowledge, and has that done.
func (v *ledger) news(full bool) bool {
	v.stopTimer()
	if !full {
		v.due = v.received
	}
	v.ackDue = v.ackDue || v.keeps && v.due > v.told
	return v.ackDue
}

// ack returns the acknowledgement that is due.
func (v *ledger) ack() control.Message {
	v.stopTimer()
	v.ackDue, v.told, v.newsBytes = false, v.due, 0
	return v.control(control.Message{Type: control.Ack, N: v.told})
}

// control returns a control message that stands behind what has been sent.
func (v *ledger) control(m control.Message) control.Message {
	m.At = v.sent
	return m
}

func (v *ledger) stopTimer() {
	if v.armed {
		v.timer.Stop()
		v.armed = false
	}
}
