package main

import (
	"crypto/subtle"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	wspulse "github.com/wspulse/server"
)

// arrivalTime is how long a name is kept for a socket that has been let in but does not open: longer than any upgrade
// takes.
const arrivalTime = 30 * time.Second

var errNameTaken = errors.New("somebody else has this name; choose another")

// A roster knows who is there. A name belongs to whoever brought it first, and proves it with the same secret again,
// until the session of that name has ended.
//
// The server tells of each session by callbacks, one after the other, but those of different sessions come in any
// order: a session that was replaced may be told to have begun or ended after its successor began. So a roster counts
// only what it hears of the session that it knows to be the present one.
type roster struct {
	// changed is called with mu held, so that the changes of a room are told in the order in which they happened. It must
	// not call back.
	changed func(event string, c wspulse.Connection, members []presence)

	mu      sync.Mutex
	members map[string]*member // by name; guarded by mu, all fields included
}

type member struct {
	secret    string
	session   wspulse.Connection // nil until it begins
	away      bool               // its transport is gone
	transport net.Conn           // carries the session
	arriving  int                // sockets that have been let in, and have neither opened nor been refused
	arrival   net.Conn           // the last that was let in
	giveUp    time.Time          // on those that arrive
}

// A presence is what members see of each other.
type presence struct {
	Name string `json:"name"`
	Away bool   `json:"away"`
}

func newRoster(changed func(event string, c wspulse.Connection, members []presence)) *roster {
	return &roster{changed: changed, members: make(map[string]*member)}
}

// check says whether secret may have the name now.
func (r *roster) check(name, secret string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.checkLocked(name, secret)
}

func (r *roster) checkLocked(name, secret string) error {
	m := r.members[name]
	if m == nil || m.unused(time.Now()) || subtle.ConstantTimeCompare([]byte(m.secret), []byte(secret)) == 1 {
		return nil
	}
	return errNameTaken
}

func (m *member) unused(now time.Time) bool {
	return m.session == nil && (m.arriving == 0 || now.After(m.giveUp))
}

// arrive lets in a socket, and keeps the name for it.
func (r *roster) arrive(name, secret string, transport net.Conn) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.checkLocked(name, secret); err != nil {
		return err
	}
	now := time.Now()
	for other, m := range r.members {
		if m.unused(now) {
			delete(r.members, other)
		}
	}
	m := r.members[name]
	if m == nil {
		m = &member{secret: secret}
		r.members[name] = m
	}
	m.arriving++
	m.giveUp = now.Add(arrivalTime)
	m.arrival = transport
	return nil
}

// refuse tells that a socket that was let in is not going to open.
func (r *roster) refuse(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.members[name]; m != nil && m.arriving > 0 {
		m.arriving--
	}
}

// begin tells that a session has begun, and says whether it may go on. OnConnect.
func (r *roster) begin(c wspulse.Connection) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.opened(c)
	switch {
	case m == nil:
		return false
	case ended(c):
		return true // its successor may have begun before it
	}
	if old := m.session; old != nil {
		m.session = nil
		r.tell("left", old)
	}
	m.session, m.away, m.transport = c, false, m.arrival
	r.tell("joined", c)
	return true
}

// end tells that a session has ended, and frees its name unless there is a successor. OnDisconnect.
func (r *roster) end(c wspulse.Connection) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.members[c.ID()]
	if m == nil || m.session != c {
		return
	}
	m.session = nil
	if m.unused(time.Now()) {
		delete(r.members, c.ID())
	}
	r.tell("left", c)
}

// drop tells that a session has lost its transport. OnTransportDrop.
func (r *roster) drop(c wspulse.Connection) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.members[c.ID()]; m != nil && m.session == c {
		m.away = true
		r.tell("away", c)
	}
}

// restore tells that a session has a new transport. OnTransportRestore.
func (r *roster) restore(c wspulse.Connection) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.opened(c); m != nil && m.session == c {
		m.away, m.transport = false, m.arrival
		r.tell("back", c)
	}
}

// opened counts a socket that was let in and has opened. It returns the member, or nil when the socket took so long
// that the name was given away.
func (r *roster) opened(c wspulse.Connection) *member {
	m := r.members[c.ID()]
	if m != nil && m.arriving > 0 {
		m.arriving--
	}
	return m
}

func (r *roster) tell(event string, c wspulse.Connection) {
	r.changed(event, c, r.presentLocked(c.RoomID()))
}

// present returns who is in a room, by name.
func (r *roster) present(room string) []presence {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.presentLocked(room)
}

func (r *roster) presentLocked(room string) []presence {
	present := []presence{}
	for name, m := range r.members {
		if m.session != nil && m.session.RoomID() == room {
			present = append(present, presence{Name: name, Away: m.away})
		}
	}
	slices.SortFunc(present, func(a, b presence) int { return strings.Compare(a.Name, b.Name) })
	return present
}

// transport returns what carries a session, or nil.
func (r *roster) transport(c wspulse.Connection) net.Conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.members[c.ID()]; m != nil && m.session == c {
		return m.transport
	}
	return nil
}

func ended(c wspulse.Connection) bool {
	select {
	case <-c.Done():
		return true
	default:
		return false
	}
}
