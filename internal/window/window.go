// Package window holds the messages of one direction of a session in order, until the peer has them.
//
//	acknowledged │ numbered            │ waiting
//	gone         │ sent  ╷ to be sent  │ to be sent; the oldest are dropped when there are too many
//	             head    cursor        numbered
//
// A message is numbered when it is handed to a transport for the first time, and stays until it is acknowledged. A new
// transport moves the cursor back: what is numbered is sent again. Where nobody acknowledges, a completed write does,
// and after a failed one what was numbered waits again.
//
// A Window knows no lock, no clock and no numbers of the protocol: who uses it counts messages.
package window

// An Item is a message, or a gap, which stands for messages that were dropped.
type Item interface {
	Len() int      // bytes
	Messages() int // 1; of a gap how many were dropped
}

// A Window is a sequence of items with a cursor. The zero value is empty, and counts no bytes.
type Window[T Item] struct {
	items    []T
	head     int // of the oldest that is kept
	cursor   int // of the next to be sent
	numbered int // behind the last that was ever sent

	Counts        bool // bytes; set before the first item
	numberedBytes int
	waitingBytes  int
}

// New returns an empty window with memory for so many items.
func New[T Item](items int) *Window[T] { return &Window[T]{items: make([]T, 0, items)} }

// Empty says that the window holds nothing, as a nil one.
func (w *Window[T]) Empty() bool { return w == nil || w.head == len(w.items) }

// Numbered returns how many items are numbered, and their bytes.
func (w *Window[T]) Numbered() (items, bytes int) {
	if w == nil {
		return 0, 0
	}
	return w.numbered - w.head, w.numberedBytes
}

// Oldest returns the n oldest items, which are numbered. They are good until the next change.
func (w *Window[T]) Oldest(n int) []T {
	if n == 0 {
		return nil
	}
	return w.items[w.head : w.head+n]
}

// Waiting returns how many items wait, and their bytes.
func (w *Window[T]) Waiting() (items, bytes int) {
	if w == nil {
		return 0, 0
	}
	return len(w.items) - w.numbered, w.waitingBytes
}

// Weight returns the bytes of all items, which it adds up.
func (w *Window[T]) Weight() (bytes int) {
	if w == nil {
		return 0
	}
	for _, v := range w.items[w.head:] {
		bytes += v.Len()
	}
	return bytes
}

// Replaying says that what is to be sent next has been sent before.
func (w *Window[T]) Replaying() bool { return w != nil && w.cursor < w.numbered }

// Ahead returns how many messages have been sent since the cursor was moved back to the oldest item.
func (w *Window[T]) Ahead() (messages uint64) {
	for _, v := range w.items[w.head:w.cursor] {
		messages += uint64(v.Messages())
	}
	return messages
}

// Push appends items that wait.
func (w *Window[T]) Push(items ...T) {
	if len(w.items)+len(items) > cap(w.items) && w.head > len(w.items)/2 { // rather than grow
		n := copy(w.items, w.items[w.head:])
		clear(w.items[n:])
		w.items = w.items[:n]
		w.cursor, w.numbered, w.head = w.cursor-w.head, w.numbered-w.head, 0
	}
	w.items = append(w.items, items...)
	w.waitingBytes += w.size(items)
}

// Drop removes the n oldest items that wait, of which there are as many, and returns their bytes.
func (w *Window[T]) Drop(n int) (bytes int) {
	bytes = w.size(w.items[w.numbered : w.numbered+n])
	w.waitingBytes -= bytes
	copy(w.items[w.head+n:], w.items[w.head:w.numbered]) // of which there are none, or a full ack window
	w.forget(n)
	w.cursor, w.numbered = w.cursor+n, w.numbered+n
	w.settle()
	return bytes
}

// Next returns what is to be sent next: what is numbered, if something of that is to be sent again, or else what waits.
// It is good until the next change.
func (w *Window[T]) Next() []T {
	if w == nil {
		return nil
	}
	if w.Replaying() {
		return w.items[w.cursor:w.numbered]
	}
	return w.items[w.cursor:]
}

// Sent says that the next n items are being sent, or have been. They are numbered from now on.
func (w *Window[T]) Sent(n int) {
	w.cursor += n
	if w.cursor > w.numbered {
		bytes := w.size(w.items[w.numbered:w.cursor])
		w.waitingBytes, w.numberedBytes = w.waitingBytes-bytes, w.numberedBytes+bytes
		w.numbered = w.cursor
	}
}

// SendGap sends an item before all that wait. Nothing is to be sent again before it.
func (w *Window[T]) SendGap(gap T) {
	var none T
	w.items = append(w.items, none)
	copy(w.items[w.cursor+1:], w.items[w.cursor:])
	w.items[w.cursor] = gap
	w.waitingBytes += w.size(w.items[w.cursor : w.cursor+1])
	w.Sent(1)
}

// Acknowledge removes the n oldest items, which are numbered.
func (w *Window[T]) Acknowledge(n int) {
	w.numberedBytes -= w.size(w.Oldest(n))
	w.forget(n)
	w.cursor = max(w.cursor, w.head)
	w.settle()
}

// Items returns how many of the oldest items stand for so many messages. It is not ok where there is no such number:
// the messages are more than are numbered, or end inside a gap.
func (w *Window[T]) Items(messages uint64) (items int, ok bool) {
	for left := messages; ; items++ {
		if left == 0 || w == nil || w.head+items == w.numbered {
			return items, left == 0
		}
		n := uint64(w.items[w.head+items].Messages())
		if n > left {
			return items, false
		}
		left -= n
	}
}

// Unsend has the last n items that have been sent since the cursor was moved back sent again.
func (w *Window[T]) Unsend(n int) { w.cursor = max(w.head, w.cursor-n) }

// Rewind has all that is numbered sent again.
func (w *Window[T]) Rewind() { w.cursor = w.head }

// TakeBack has all that is to be sent wait, whether or not it has been sent before.
func (w *Window[T]) TakeBack() {
	bytes := w.size(w.items[w.cursor:w.numbered])
	w.waitingBytes, w.numberedBytes = w.waitingBytes+bytes, w.numberedBytes-bytes
	w.numbered = w.cursor
}

// Reset empties the window, and keeps its memory.
func (w *Window[T]) Reset() {
	clear(w.items[w.head:])
	*w = Window[T]{items: w.items[:0], Counts: w.Counts}
}

// Cap returns how many items there is memory for.
func (w *Window[T]) Cap() int { return cap(w.items) }

// forget moves the head on.
func (w *Window[T]) forget(n int) {
	clear(w.items[w.head : w.head+n])
	w.head += n
}

// settle begins anew at the front of the memory when nothing is left.
func (w *Window[T]) settle() {
	if w.Empty() {
		w.items = w.items[:0]
		w.head, w.cursor, w.numbered = 0, 0, 0
	}
}

func (w *Window[T]) size(items []T) (bytes int) {
	if !w.Counts {
		return 0
	}
	for _, v := range items {
		bytes += v.Len()
	}
	return bytes
}
