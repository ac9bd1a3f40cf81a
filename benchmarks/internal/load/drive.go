package load

import (
	"encoding/binary"
	"time"

	"github.com/wspulse/server/benchmarks/internal/clock"
	"github.com/wspulse/server/benchmarks/internal/control"
	"github.com/wspulse/server/benchmarks/internal/peers"
	"github.com/wspulse/server/benchmarks/internal/stamp"
)

// A frame is a masked text message.
type frame struct {
	bytes []byte
	start int // of the payload
}

// mask is the masking key of all frames. RFC 6455, section 5.3 wants a random one of browsers; servers cannot tell.
var mask = [4]byte{0x37, 0xfa, 0x21, 0x3d}

func newFrame(payload []byte) frame {
	b := []byte{finalBit | opText}
	switch size := len(payload); {
	case size < length16:
		b = append(b, maskBit|byte(size))
	case size < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, maskBit|length16), uint16(size))
	default:
		b = binary.BigEndian.AppendUint64(append(b, maskBit|length64), uint64(size))
	}
	b = append(b, mask[:]...)
	start := len(b)
	for i, v := range payload {
		b = append(b, v^mask[i%4])
	}
	return frame{b, start}
}

// put writes a stamp into the payload.
func (f frame) put(at int, seq uint32, now int64) {
	var b [stamp.Size]byte
	stamp.Put(b[:], seq, now)
	for i, v := range b {
		f.bytes[f.start+at+i] = v ^ mask[(at+i)%4]
	}
}

// A driver makes a worker's connections send. It belongs to the worker's goroutine.
type driver struct {
	request frame
	at      int // of the stamp in the request

	echoing bool
	sending bool
	more    bool // is due than the last burst
	started int64
	rate    float64 // messages a second of this worker; 0 is as the window allows
	window  int64   // messages of all workers
	place   int     // of the next connection to send
	sent    int64
}

const burst = 256 // messages sent before the sockets are looked at again

func (d *driver) init(l *load) { d.load(l.dialect.Echo, l.cfg.RequestSize) }

func (d *driver) load(form peers.Form, size int) {
	message, at := form.Message(size)
	d.request, d.at = newFrame(message), at
}

// timeout is how long the worker may wait for its sockets, in the form that epoll_wait wants.
func (d *driver) timeout() int {
	switch {
	case !d.sending:
		return -1
	case d.more:
		return 0
	}
	return 1
}

// step sends a burst of what is due.
func (d *driver) step(w *worker) {
	if !d.sending {
		return
	}
	due := d.due(w.load)
	d.more = due > burst
	n := max(0, min(due, burst))
	for range n {
		d.sendOne(w, w.conns[d.place])
		d.place = (d.place + 1) % len(w.conns)
	}
	w.load.sent.Add(n)
}

// due returns how many messages this worker may send now.
func (d *driver) due(l *load) int64 {
	if d.rate > 0 {
		return int64(d.rate*float64(clock.Now()-d.started)/1e9) - d.sent
	}
	return d.window - (l.sent.Load() - l.reported.Load())
}

func (d *driver) sendOne(w *worker, c *conn) {
	d.request.put(d.at, c.seq, clock.Now())
	d.sent++
	c.count.sent++
	if err := w.write(c, d.request.bytes); err != nil {
		w.lose(c, err)
	}
}

// echo keeps one message of each connection in flight for a while.
func (l *load) echo(a control.Drive) (control.Driven, error) {
	start := clock.Now()
	before := l.delivered()
	l.each(func(w *worker) {
		d := &w.driver
		d.load(l.dialect.Echo, l.cfg.RequestSize)
		d.sent, d.echoing = 0, true
		for _, c := range w.conns {
			d.sendOne(w, c)
		}
	})
	time.Sleep(a.Duration)
	var sent int64
	l.each(func(w *worker) {
		w.driver.echoing = false
		l.merge.Lock()
		defer l.merge.Unlock()
		sent += w.driver.sent
	})
	err := l.poll(l.delivered, func() bool { return l.delivered()-before >= sent })
	return control.Driven{Sent: sent, Elapsed: time.Duration(clock.Now() - start)}, err
}

// send sends from all connections in turn for a while, and waits until the server has received it.
func (l *load) send(a control.Drive) (control.Driven, error) {
	start := clock.Now()
	before := l.sent.Load()
	l.each(func(w *worker) {
		d := &w.driver
		d.load(l.dialect.Count, l.cfg.RequestSize)
		d.rate = a.Rate / float64(len(l.workers))
		d.window = int64(a.Window * l.cfg.Conns)
		d.sent, d.started, d.sending = 0, clock.Now(), true
	})
	time.Sleep(a.Duration)
	l.each(func(w *worker) { w.driver.sending = false })
	err := l.poll(l.reported.Load, func() bool { return l.reported.Load() >= l.sent.Load() })
	return control.Driven{Sent: l.sent.Load() - before, Elapsed: time.Duration(clock.Now() - start)}, err
}
