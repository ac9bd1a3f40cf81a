package load

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/wspulse/server/benchmarks/internal/stamp"
)

// RFC 6455, section 5.2.
const (
	opText  = 0x1
	opClose = 0x8
	opPing  = 0x9
	opPong  = 0xA

	finalBit   = 0x80
	maskBit    = 0x80
	length16   = 126
	length64   = 127
	firstCtrl  = 0x8
	maxControl = 125
)

// consume reads what a connection has received and returns the end of it that has to wait for more.
func (w *worker) consume(c *conn, b []byte, now int64) (rest []byte, err error) {
	if c.state == upgrading {
		if b, err = w.upgraded(c, b); err != nil || c.state == upgrading {
			return b, err
		}
	}
	for len(b) > 0 {
		if c.left > 0 {
			n, wait := w.payload(c, b, now)
			b = b[n:]
			if wait {
				return b, nil
			}
			continue
		}
		header, size, ok := parseHeader(b)
		switch {
		case !ok:
			return b, nil
		case b[0]&0x0f >= firstCtrl, b[0]&0x0f == opBinary, c.state == greeting: // these are taken whole
			if len(b) < header+size {
				return b, nil
			}
			if err := w.whole(c, b[0], b[header:header+size], now); err != nil {
				return nil, err
			}
			b = b[header+size:]
		default:
			b = b[header:]
			c.left, c.size, c.seeking, c.found = size, size, true, false
		}
	}
	return nil, nil
}

// parseHeader returns the sizes of a frame's header and payload. It is false when the header is not there whole.
func parseHeader(b []byte) (header, size int, ok bool) {
	if len(b) < 2 {
		return 0, 0, false
	}
	switch size := int(b[1] & 0x7f); {
	case size < length16:
		return 2, size, true
	case size == length16 && len(b) >= 4:
		return 4, int(binary.BigEndian.Uint16(b[2:])), true
	case size == length64 && len(b) >= 10:
		return 10, int(binary.BigEndian.Uint64(b[2:])), true
	}
	return 0, 0, false
}

// payload reads the payload of a data frame as far as it is there, and returns how much of b it took. It must wait for
// more when a stamp is cut.
func (w *worker) payload(c *conn, b []byte, now int64) (n int, wait bool) {
	b = b[:min(c.left, len(b))]
	for c.seeking {
		i := bytes.IndexByte(b[n:], stamp.Mark)
		if i < 0 {
			break
		}
		n += i
		if len(b)-n < stamp.Size {
			if c.left -= n; c.left < stamp.Size {
				w.load.fail(fmt.Errorf("connection %d: a stamp is cut off by the end of its message", c.id))
			}
			return n, true
		}
		w.stamped(c, b[n:n+stamp.Size], now)
		n += stamp.Size
		c.found = true
		c.seeking = w.load.dialect.Joined
	}
	if c.left -= len(b); c.left == 0 && w.load.dialect.Protocol != "" {
		w.received(c, c.size, now)
	}
	if c.left == 0 && !c.found && c.size == 2 && w.load.dialect.TextPing {
		w.tally.pings++
		_ = w.write(c, newFrame([]byte("{}")).bytes)
	}
	return len(b), false
}

// whole handles a control frame, or the answer to the greeting.
func (w *worker) whole(c *conn, first byte, payload []byte, now int64) error {
	switch first & 0x0f {
	case opPing:
		w.tally.pings++
		pong := newFrame(payload)
		pong.bytes[0] = finalBit | opPong
		return w.write(c, pong.bytes)
	case opPong:
		return nil
	case opClose:
		return fmt.Errorf("%w: %q", errClosed, payload)
	}
	if first&0x0f == opBinary && c.state == open { // of wspulse.v1: nothing that it does not know
		return nil
	}
	if c.state == greeting {
		return w.greeted(c, payload, now)
	}
	return errors.New("unknown opcode")
}

// stamps reads all stamps in a payload that is there whole.
func (w *worker) stamps(c *conn, payload []byte, now int64) {
	for {
		i := bytes.IndexByte(payload, stamp.Mark)
		if i < 0 || len(payload)-i < stamp.Size {
			return
		}
		w.stamped(c, payload[i:i+stamp.Size], now)
		payload = payload[i+stamp.Size:]
	}
}

// stamped counts a message and checks that it is the next one.
func (w *worker) stamped(c *conn, b []byte, now int64) {
	seq := stamp.Seq(b)
	switch {
	case seq == c.seq:
	case seq > c.seq:
		w.tally.lost += int64(seq - c.seq)
	default:
		w.tally.misordered++
		return
	}
	c.seq = seq + 1
	w.tally.delivered++
	w.tally.last = now
	if now < w.tally.deadline {
		w.tally.inTime++
	}
	cfg := &w.load.cfg
	if seq&(cfg.Sample-1) == 0 {
		w.tally.ages.Add(stamp.Age(b, now))
	}
	if c.seq&(cfg.Milestone-1) == 0 {
		w.milestone(c.room, c.seq)
	}
	if w.driver.echoing {
		w.driver.sendOne(w, c)
	}
}

// milestone reports the progress of a room once all its members have made it.
func (w *worker) milestone(r *room, upTo uint32) {
	passed := &r.passed[upTo/w.load.cfg.Milestone%milestones]
	if passed.Add(1) < r.readers {
		return
	}
	passed.Store(0)
	w.acks = binary.LittleEndian.AppendUint32(w.acks, r.index)
	w.acks = binary.LittleEndian.AppendUint32(w.acks, upTo)
}
