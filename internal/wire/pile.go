package wire

import "sync"

const (
	sizeStep = 1 << 10  // bytes; the capacity of a pooled piece is a multiple of it
	maxPiece = 64 << 10 // bytes of a piece that is worth keeping, and of room for what comes next
)

// A pile is what has come of a message, in pieces. Its memory grows with that, ahead of it by 12 KiB or a quarter,
// and never moves: a slice that doubles would hold up to three times as much while it does. The zero value is empty.
type pile struct {
	first, last *piece
	size        int // bytes
}

// A piece is bytes of a message. It is on the way through one pile, or by itself.
type piece struct {
	data []byte
	next *piece
}

// pieces holds empty ones, by capacity, so that a connection has some only while a message comes in, and a small
// message gets no large one.
var pieces [maxPiece / sizeStep]sync.Pool

// newPiece returns an empty piece for size bytes.
func newPiece(size int) *piece {
	if size > maxPiece {
		return &piece{data: make([]byte, 0, size)}
	}
	class := (max(size, 1) - 1) / sizeStep
	if p, ok := pieces[class].Get().(*piece); ok {
		return p
	}
	return &piece{data: make([]byte, 0, (class+1)*sizeStep)}
}

// release gives a piece back, if there is one.
func (p *piece) release() {
	if p == nil || cap(p.data) > maxPiece {
		return
	}
	p.data, p.next = p.data[:0], nil
	pieces[cap(p.data)/sizeStep-1].Put(p)
}

// room returns where the next bytes may be put, of most that may come: one at least. The last keep bytes of the pile
// stay together with them in one piece.
func (p *pile) room(most, keep int) []byte {
	if last := p.last; last == nil {
		p.first = newPiece(sizeStep)
		p.last = p.first
	} else if cut := len(last.data) - keep; len(last.data) == cap(last.data) {
		last.next = newPiece(min(keep+most, ahead(p.size)))
		last.next.data = append(last.next.data, last.data[cut:]...)
		last.data = last.data[:cut]
		p.last = last.next
	}
	data := p.last.data
	return data[len(data):min(len(data)+most, cap(data))]
}

// ahead returns how much room a message of which size bytes have come gets for more. Less would mean more reads.
func ahead(size int) int {
	if size < 4<<10 {
		return 4 << 10
	}
	n := 12 << 10
	for n*2 <= size/4 {
		n *= 2
	}
	return min(n, maxPiece)
}

// add takes in n bytes that have been put into the room, and returns them.
func (p *pile) add(n int) []byte {
	size := len(p.last.data)
	p.last.data = p.last.data[:size+n]
	p.size += n
	return p.last.data[size:]
}

// join returns all that is in the pile as one piece, and empties the pile.
func (p *pile) join() *piece {
	whole := p.first
	if whole == nil || whole.next != nil {
		whole = newPiece(p.size)
		for from := p.first; from != nil; from = from.next {
			whole.data = append(whole.data, from.data...)
		}
		p.release()
	}
	*p = pile{}
	return whole
}

// tail returns a copy of the last n bytes, or of all that there are.
func (p *pile) tail(n int) *piece {
	whole, skip := newPiece(min(n, p.size)), max(0, p.size-n)
	for from := p.first; from != nil; from = from.next {
		whole.data = append(whole.data, from.data[min(skip, len(from.data)):]...)
		skip -= min(skip, len(from.data))
	}
	return whole
}

// release empties the pile.
func (p *pile) release() {
	for from := p.first; from != nil; {
		next := from.next
		from.release()
		from = next
	}
	*p = pile{}
}
