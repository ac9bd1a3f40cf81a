package wire

import (
	"io"
	"sync"
)

const (
	maxBatchFrames = 64       // in one batch
	maxBatchBytes  = 64 << 10 // after which a batch takes no more frames
	maxCopied      = 32 << 10 // a larger frame is written by itself, not copied
)

// Batch gathers frames that leave in one write. It belongs to one goroutine at a time.
type Batch struct {
	deflate bool // the peer takes compressed messages
	frames  [maxBatchFrames]*Frame
	n       int
	control int // how many of them, the first, are control frames
	size    int // in bytes
	buf     []byte
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

// Get returns an empty batch, for a peer that takes compressed messages or for one that does not.
func (p *BatchPool) Get(deflate bool) *Batch {
	b, ok := p.pool.Get().(*Batch)
	if !ok {
		b = &Batch{buf: make([]byte, 0, p.bufferSize)}
	}
	b.deflate = deflate
	return b
}

// Put empties the batch and takes it back.
func (p *BatchPool) Put(b *Batch) {
	b.Reset()
	p.pool.Put(b)
}

// Reset empties the batch.
func (b *Batch) Reset() {
	clear(b.frames[:b.n])
	b.n, b.control, b.size = 0, 0, 0
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

// Full says that the batch takes no more frames.
func (b *Batch) Full() bool { return b.n == maxBatchFrames || b.size >= maxBatchBytes }

// Messages returns the frames, but for control frames, in the order in which they were added. They are the batch's until it
// is emptied.
func (b *Batch) Messages() []*Frame { return b.frames[b.control:b.n] }

// FlushTo writes all frames to w, with as few writes as copying makes sensible, and returns how many of Messages w
// accepted whole.
func (b *Batch) FlushTo(w io.Writer) (sent int, err error) {
	sent, err = b.flushTo(w)
	return max(sent-b.control, 0), err
}

func (b *Batch) flushTo(w io.Writer) (sent int, err error) {
	if b.n == 1 {
		return b.write(w, b.bytes(0), 0)
	}
	b.buf = b.buf[:0]
	for i := range b.n {
		p := b.bytes(i)
		if len(p) <= maxCopied {
			b.buf = append(b.buf, p...)
			continue
		}
		if len(b.buf) > 0 {
			if sent, err = b.write(w, b.buf, sent); err != nil {
				return sent, err
			}
			b.buf = b.buf[:0]
		}
		if sent, err = b.write(w, p, sent); err != nil {
			return sent, err
		}
	}
	if len(b.buf) > 0 {
		return b.write(w, b.buf, sent)
	}
	return sent, nil
}

// bytes returns what goes on the wire for frame i.
func (b *Batch) bytes(i int) []byte {
	if b.deflate {
		return b.frames[i].compressed()
	}
	return b.frames[i].Bytes
}

// write writes p, which holds whole frames from number sent on, and returns how many frames have been accepted then.
func (b *Batch) write(w io.Writer, p []byte, sent int) (int, error) {
	n, err := w.Write(p)
	for sent < b.n {
		if n -= len(b.bytes(sent)); n < 0 {
			break
		}
		sent++
	}
	return sent, err
}
