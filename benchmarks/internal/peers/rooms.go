package peers

import (
	"slices"
	"sync"
)

// rooms is the room list of an application on a library that has none.
type rooms[C comparable] struct {
	mu      sync.RWMutex
	members map[string][]C
}

func (r *rooms[C]) join(room string, c C) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.members == nil {
		r.members = make(map[string][]C)
	}
	r.members[room] = append(r.members[room], c)
}

func (r *rooms[C]) leave(room string, c C) {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.members[room]
	for i := range list {
		if list[i] == c {
			last := len(list) - 1
			list[i] = list[last]
			clear(list[last:])
			r.members[room] = list[:last]
			return
		}
	}
}

// list returns the members of a room.
func (r *rooms[C]) list(room string) []C {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Clone(r.members[room])
}

// each calls fn, which must not block, for the members of a room.
func (r *rooms[C]) each(room string, fn func(C)) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, c := range r.members[room] {
		fn(c)
	}
}
