package load

import (
	"fmt"

	"github.com/wspulse/server/benchmarks/internal/clock"
)

// What a client of wspulse.v1 does besides: it counts messages both ways, and acknowledges those that have come.

const (
	ackFrames = 64
	ackBytes  = 32 << 10
	ackEvery  = int64(1e9) // ns

	opBinary = 0x2 // its control messages, beside a text codec
)

// A count is what such a client counts.
type count struct {
	received, sent int64 // messages
	unacked, bytes int   // of those received
	ackedAt        int64
}

// received counts a message that has come whole.
func (w *worker) received(c *conn, size int, now int64) {
	v := &c.count
	v.received++
	v.unacked++
	if v.bytes += size; v.unacked >= ackFrames || v.bytes >= ackBytes || now-v.ackedAt >= ackEvery {
		w.acknowledge(c)
	}
}

func (w *worker) acknowledge(c *conn) {
	v := &c.count
	v.unacked, v.bytes, v.ackedAt = 0, 0, clock.Now()
	ack := newFrame(fmt.Appendf(nil, `{"t":"ack","n":%d,"at":%d}`, v.received, v.sent))
	ack.bytes[0] = finalBit | opBinary
	if err := w.write(c, ack.bytes); err != nil {
		w.lose(c, err)
	}
}
