package main

import (
	"fmt"
	"strings"
	"testing"

	wspulse "github.com/wspulse/server"
)

// A told is a connection of which only the identity and the end matter.
type told struct {
	wspulse.Connection
	name, room string
	done       chan struct{}
}

func (c *told) ID() string            { return c.name }
func (c *told) RoomID() string        { return c.room }
func (c *told) Done() <-chan struct{} { return c.done }

// TestRoster_CallbacksOfTwoSessionsInAnyOrder: a session is replaced by another one of the same name, and the server
// tells of the beginning of the old, its end, and the beginning of the new in each order that it may.
func TestRoster_CallbacksOfTwoSessionsInAnyOrder(t *testing.T) {
	for order, want := range map[string]string{
		"begin old, end old, begin new": "joined old [ann], left old [], joined new [ann]",
		"begin old, begin new, end old": "joined old [ann], left old [], joined new [ann]",
		"begin new, begin old, end old": "joined new [ann]",
		"ended, begin old, end old":     "",
	} {
		var events []string
		r := newRoster(func(event string, c wspulse.Connection, members []presence) {
			var names []string
			for _, m := range members {
				names = append(names, m.Name)
			}
			events = append(events, fmt.Sprintf("%s %s %v", event, c.RoomID(), names))
		})
		sessions := map[string]*told{
			"old": {name: "ann", room: "old", done: make(chan struct{})},
			"new": {name: "ann", room: "new", done: make(chan struct{})},
		}
		arrive(t, r)
		if strings.Contains(order, "new") {
			arrive(t, r)
		}
		for i, step := range strings.Split(order, ", ") {
			if i == 1 || step == "ended" || step == "begin new" {
				closeOnce(sessions["old"].done)
			}
			switch what, which, _ := strings.Cut(step, " "); what {
			case "begin":
				r.begin(sessions[which])
			case "end":
				r.end(sessions[which])
			}
		}
		if got := strings.Join(events, ", "); got != want {
			t.Errorf("%s: told %q, want %q", order, got, want)
		}
		wantErr := error(nil)
		if strings.Contains(order, "new") {
			wantErr = errNameTaken
		}
		if err := r.check("ann", "another"); err != wantErr {
			t.Errorf("%s: the name then got error %v, want %v", order, err, wantErr)
		}
	}
}

func arrive(t *testing.T, r *roster) {
	t.Helper()
	if err := r.arrive("ann", "secret", nil); err != nil {
		t.Fatal(err)
	}
}

func closeOnce(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}
