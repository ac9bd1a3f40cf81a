package wstest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/internal/presence"
)

// WithPresence has a client keep the frames of wspulse.WithPresence apart: it reads from them who is in its rooms, for
// ExpectPresence and ExpectAway, and neither Receive, Expect nor Received returns them. One that is no such frame, for
// all its event, fails the test.
//
// Default: they are frames like others.
func WithPresence() DialOption {
	return func(c *dialConfig) { c.presence = true }
}

// ExpectPresence waits until the server has told the client that the members of the room are those connectionIDs and no
// others, away or not, in any order. It fails the test when that is not so within ten seconds or before the connection
// ends. News comes some 250 ms after what it tells of: a list that is right already may be from before that.
//
// The client is one with [WithPresence]. Frames that come meanwhile are there for Receive.
func (c *Client) ExpectPresence(roomID string, connectionIDs ...string) {
	c.t.Helper()
	c.expectMembers("in", roomID, connectionIDs, func(bool) bool { return true })
}

// ExpectAway is ExpectPresence for those members that are away: their sessions are suspended. Without connectionIDs it
// waits until nobody is.
func (c *Client) ExpectAway(roomID string, connectionIDs ...string) {
	c.t.Helper()
	c.expectMembers("away from", roomID, connectionIDs, func(away bool) bool { return away })
}

func (c *Client) expectMembers(where, roomID string, want []string, which func(away bool) bool) {
	c.t.Helper()
	if c.attendance == nil {
		c.t.Fatalf("wstest: client expects presence: it has to be dialed with wstest.WithPresence()")
	}
	want = slices.Sorted(slices.Values(want))
	deadline := time.Now().Add(patience)
	for {
		ended := c.ended() // looked at first: what was read before the end is there
		got, known := c.attendance.in(roomID, which)
		if known && slices.Equal(got, want) {
			return
		}
		var err error
		if ended {
			err = fmt.Errorf("the connection has ended: %w", c.err)
		} else {
			err = c.await(deadline)
		}
		if err != nil {
			told := c.attendance.describe(roomID)
			c.t.Fatalf("wstest: client is told of %s, want %q %s %q: %v", told, want, where, roomID, err)
		}
	}
}

// An attendance is who is in which room, as a client has been told. Client.mu guards it.
type attendance struct {
	client *Client
	rooms  map[string]*room
}

type room struct {
	away    map[string]bool // by connectionID
	counted bool
	count   int
}

// take takes a frame. It runs with mu held.
func (a *attendance) take(payload []byte) error {
	f, err := presence.Parse(payload)
	if err != nil {
		return err
	}
	r := a.rooms[f.Room]
	if r == nil || f.Full {
		r = &room{away: map[string]bool{}}
		a.rooms[f.Room] = r
	}
	if r.counted, r.count = f.IsCount(), f.Count; r.counted {
		return nil
	}
	for _, m := range f.Join {
		r.away[m.ID] = m.Away
	}
	for _, id := range f.Leave {
		delete(r.away, id)
	}
	for _, id := range f.Away {
		r.away[id] = true
	}
	for _, id := range f.Back {
		r.away[id] = false
	}
	return nil
}

// in returns the members of a room that which is true for; not known: nobody has told, or they are only counted.
func (a *attendance) in(roomID string, which func(away bool) bool) (ids []string, known bool) {
	a.client.mu.Lock()
	defer a.client.mu.Unlock()
	r := a.rooms[roomID]
	if r == nil || r.counted {
		return nil, false
	}
	for id, away := range r.away {
		if which(away) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, true
}

// describe says for a test that fails what is known of a room.
func (a *attendance) describe(roomID string) string {
	a.client.mu.Lock()
	defer a.client.mu.Unlock()
	r := a.rooms[roomID]
	switch {
	case r == nil:
		return "nobody"
	case r.counted:
		return fmt.Sprintf("%d members, whom the server counts and does not list", r.count)
	}
	var words []string
	for _, id := range slices.Sorted(maps.Keys(r.away)) {
		word := fmt.Sprintf("%q", id)
		if r.away[id] {
			word += " (away)"
		}
		words = append(words, word)
	}
	return "[" + strings.Join(words, " ") + "]"
}

// keeps says whether a frame is kept apart, and takes it then.
func (a *attendance) keeps(f wspulse.Frame) bool {
	if a == nil || f.Event != wspulse.EventPresence {
		return false
	}
	a.client.mu.Lock()
	err := a.take(f.Payload)
	a.client.mu.Unlock()
	if err != nil {
		a.client.t.Errorf("wstest: client received presence %.200q: %v", f.Payload, err)
	}
	return true
}
