package wspulse

import (
	"slices"

	"github.com/wspulse/server/internal/wire"
)

// A backlog is the broadcasts of a room that are not fanned out. Each has a number, one more than that before it, and
// so it is enough to know of a member the number of the first one that it has not been handed. Members may be handed
// them in any order and at any time; how many of them each broadcast has reached is known when it is removed.
type backlog struct {
	frames []*wire.Frame // the first gone of them are nil: they have been removed
	order  []uint64      // where each stands among the broadcasts of all rooms
	gone   int
	base   uint64 // number of frames[0]

	reached int   // by the one that was removed last
	steps   []int // by how many more each of frames has reached than the one before it, and one beyond: see hand
}

func newBacklog() backlog { return backlog{steps: make([]int, 1)} }

// first and next are the numbers of the first broadcast, and of the next one to be added. Without any they are equal.
func (b *backlog) first() uint64 { return b.base + uint64(b.gone) }
func (b *backlog) next() uint64  { return b.base + uint64(len(b.frames)) }

// add appends a broadcast, which stands at that place among those of all rooms.
func (b *backlog) add(f *wire.Frame, place uint64) {
	b.frames = append(b.frames, f)
	b.order = append(b.order, place)
	b.steps = append(b.steps, 0)
}

// place returns where a broadcast stands among those of all rooms.
func (b *backlog) place(number uint64) uint64 { return b.order[number-b.base] }

// from returns the number of the first broadcast that stands at that place among those of all rooms, or behind it.
func (b *backlog) from(place uint64) uint64 {
	n, _ := slices.BinarySearch(b.order, place)
	return b.base + uint64(n)
}

// hand returns the broadcasts from one number until before another, which are handed to one more member. None of them
// has been removed.
func (b *backlog) hand(from, until uint64) []*wire.Frame {
	b.steps[from-b.base]++
	b.steps[until-b.base]--
	return b.frames[from-b.base : until-b.base]
}

// remove removes the first broadcast, which there is, and says how many members it has reached.
func (b *backlog) remove() (f *wire.Frame, reached int) {
	f = b.frames[b.gone]
	b.reached += b.steps[b.gone]
	b.frames[b.gone] = nil
	if b.gone++; b.gone >= len(b.frames)/2 { // not each time, since what is behind has to move
		b.frames = slices.Delete(b.frames, 0, b.gone)
		b.order = slices.Delete(b.order, 0, b.gone)
		b.steps = slices.Delete(b.steps, 0, b.gone)
		b.base, b.gone = b.base+uint64(b.gone), 0
	}
	return f, b.reached
}
