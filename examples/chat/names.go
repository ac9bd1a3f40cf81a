package main

import (
	"sync"

	wspulse "github.com/wspulse/server"
)

const nameTaken = "somebody else has this name; choose another"

// names knows which browser, by its key, a name belongs to: the one with sessions of that name, in however many tabs.
type names struct {
	mu     sync.Mutex
	owners map[string]owner // by name; guarded by mu
}

type owner struct {
	key      string
	sessions int
}

// take is OnConnect: of two browsers that want a name at once, one gets it.
func (n *names) take(c wspulse.Connection) {
	if !n.count(c.UserID(), c.Data().(string), 1) {
		_ = c.CloseWith(codeNameTaken, nameTaken) // the code and the reason are fit for that
	}
}

// free is OnDisconnect.
func (n *names) free(c wspulse.Connection, _ error) { n.count(c.UserID(), c.Data().(string), -1) }

// count adds to the sessions of a browser with a name, and says whether the browser may have it; else it does nothing.
func (n *names) count(name, key string, change int) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	o := n.owners[name]
	if o.sessions > 0 && o.key != key {
		return false
	}
	if n.owners[name] = (owner{key, o.sessions + change}); o.sessions+change == 0 {
		delete(n.owners, name)
	}
	return true
}
