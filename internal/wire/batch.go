package wire

import (
	"slices"
	"sync"
)

const (
	maxBatchFrames = 64       // in one batch
	maxBatchBytes  = 64 << 10 // after which a batch takes no more frames
	maxWaiting     = 16 << 10 // the same where the batch is kept while its peer is waited for; a record of TLS
	maxCopied      = 32 << 10 // a larger frame is written by itself, not copied
)

// Batch gathers frames that leave in one write, and knows how far they have been written. It belongs to one goroutine
// at a time.
type Batch struct {
	deflate bool // the peer takes compressed messages
	most    int  // bytes after which the batch takes no more frames
	frames  [maxBatchFrames]*Frame
	n       int
	control int // how many of them, the first, are control frames
	size    int // in bytes
	buf     []byte

	joined  [maxBatchFrames]*Frame // the frames whose bytes are in buf, one after the other
	njoined int

	at, off int // what has been written: the frames before at, and so many bytes of that one
}

// BatchPool hands out batches, so that a connection holds a buffer only while it writes.
type BatchPool struct {
	pool       sync.Pool
	bufferSize int
}

// NewBatchPool returns a pool of batches whose buffers start with that many bytes.
func NewBatchPool(bufferSize int) *BatchPool {
	return &BatchPool{bufferSize: bufferSize}
}

// Get returns an empty batch, for a peer that takes compressed messages or for one that does not. waits says that its
// buffer is kept while the peer is waited for: it is small then.
func (p *BatchPool) Get(deflate, waits bool) *Batch {
	b, ok := p.pool.Get().(*Batch)
	if !ok {
		b = &Batch{buf: make([]byte, 0, p.bufferSize)}
	}
	b.deflate, b.most = deflate, maxBatchBytes
	if waits {
		b.most = maxWaiting
	}
	return b
}

// Put empties the batch and takes it back.
func (p *BatchPool) Put(b *Batch) {
	b.Reset()
	b.forget()
	p.pool.Put(b)
}

// Reset empties the batch.
func (b *Batch) Reset() {
	clear(b.frames[:b.n])
	b.n, b.control, b.size, b.at, b.off = 0, 0, 0, 0, 0
}

// AddControl appends a control frame, before all others. The batch must not be full.
func (b *Batch) AddControl(f *Frame) {
	b.Add(f)
	b.control = b.n
}

// Add appends a frame. The batch must not be full.
func (b *Batch) Add(f *Frame) {
	b.frames[b.n] = f
	b.n++
	b.size += len(f.Bytes)
}

// Fill appends frames until the batch takes no more, and returns how many it has taken.
func (b *Batch) Fill(frames []*Frame) (n int) {
	for n < len(frames) && b.n < maxBatchFrames && b.size < b.most {
		b.Add(frames[n])
		n++
	}
	return n
}

// Next returns what is to be written next, in as large a piece as copying makes sensible; nothing when all has been
// written. It is good until the next call. Compressing is done here, and may take its time.
func (b *Batch) Next() []byte {
	if b.at == b.n {
		return nil
	}
	first := b.bytes(b.at)[b.off:]
	if b.at == b.n-1 || len(first) > maxCopied {
		return first
	}
	if b.isJoined() {
		return b.buf
	}
	b.buf = append(b.buf[:0], first...)
	last := b.at + 1
	for ; last < b.n; last++ {
		p := b.bytes(last)
		if len(p) > maxCopied {
			break
		}
		b.buf = append(b.buf, p...)
	}
	b.forget()
	if b.off == 0 && !b.deflate {
		b.njoined = copy(b.joined[:], b.frames[b.at:last])
	}
	return b.buf
}

// isJoined says that what has been joined last is what is to be joined now: members of one room mostly get the same.
func (b *Batch) isJoined() bool {
	n := b.n - b.at
	return n == b.njoined && b.off == 0 && !b.deflate && slices.Equal(b.joined[:n], b.frames[b.at:b.n])
}

func (b *Batch) forget() {
	clear(b.joined[:b.njoined])
	b.njoined = 0
}

// Wrote says that n bytes of what Next has returned have been written.
func (b *Batch) Wrote(n int) {
	if n == len(b.buf) && b.isJoined() {
		b.at = b.n
		return
	}
	for n > 0 {
		left := len(b.bytes(b.at)) - b.off
		if n < left {
			b.off += n
			return
		}
		n -= left
		b.at, b.off = b.at+1, 0
	}
}

// Empty says that nothing has been added.
func (b *Batch) Empty() bool { return b.n == 0 }

// Sent returns the messages that have been written, in the order in which they were added; control frames are none.
// They are the batch's until it is emptied, and so are those of Unsent.
func (b *Batch) Sent() []*Frame { return b.frames[b.control:max(b.at, b.control)] }

// Unsent returns the messages that have not been written whole.
func (b *Batch) Unsent() []*Frame { return b.frames[max(b.at, b.control):b.n] }

// Begun returns how many bytes have been written of a frame that has not been written whole.
func (b *Batch) Begun() int { return b.off }

// Rest returns what has to be written before anything else can be, or be left to another connection: the rest of the
// first message that has not been written whole, or of the control frames before it, with a nil message. It does not
// belong to the batch.
func (b *Batch) Rest() (rest []byte, message *Frame) {
	if b.at >= b.control {
		return b.bytes(b.at)[b.off:], b.frames[b.at]
	}
	for _, f := range b.frames[b.at:b.control] {
		rest = append(rest, f.Bytes...)
	}
	return rest[b.off:], nil
}

// bytes returns what goes on the wire for frame i.
func (b *Batch) bytes(i int) []byte { return b.form(b.frames[i]) }

// form returns what goes on the wire for a frame.
func (b *Batch) form(f *Frame) []byte { return f.form(b.deflate) }
