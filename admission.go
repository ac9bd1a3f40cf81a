package wspulse

// An admission counts the sessions, connected or suspended, and the upgrades under way that are for a new one. hub.mu
// guards it.
type admission struct {
	seats int
	byKey map[string]int // none of them is 0
}

// full says which limit refuses another seat.
func (a *admission) full(cfg *serverConfig, key string) Limit {
	switch {
	case cfg.maxConnections > 0 && a.seats >= cfg.maxConnections:
		return LimitMaxConnections
	case key != "" && a.byKey[key] >= cfg.connectionLimit:
		return LimitConnections
	}
	return ""
}

func (a *admission) take(key string) {
	a.seats++
	if key != "" {
		a.byKey[key]++
	}
}

func (a *admission) free(key string) {
	a.seats--
	if key == "" {
		return
	}
	if a.byKey[key]--; a.byKey[key] == 0 {
		delete(a.byKey, key)
	}
}

// A seat is what an upgrade holds until its session does.
type seat struct {
	taken bool   // false: the upgrade is to resume or replace a session
	key   string // of WithConnectionLimit
}

// limitClosed stands for the limit that nothing gets past: the server is closed.
const limitClosed Limit = "closed"

// beginUpgrade counts an upgrade that stop has to wait for, and takes a seat for it, unless a limit refuses it.
func (h *hub) beginUpgrade(connectionID, key string) (held seat, full Limit) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopping {
		return seat{}, limitClosed
	}
	held = seat{taken: h.sessions[connectionID] == nil, key: key}
	if held.taken {
		if full = h.admission.full(h.cfg, key); full != "" {
			return seat{}, full
		}
		h.admission.take(key)
	}
	h.upgrades.Add(1)
	return held, ""
}

// beginRefusal counts a request that is told why it is refused, which stop has to wait for. It returns false where stop
// has begun: then nobody waits.
func (h *hub) beginRefusal() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.stopping {
		h.upgrades.Add(1)
	}
	return !h.stopping
}

// endUpgrade ends what beginUpgrade began. Without a link, the seat is free again.
func (h *hub) endUpgrade(held seat, l *link) {
	if l == nil {
		h.freeSeat(held)
	}
	h.upgrades.Done()
}

// freeSeat frees a seat that nobody needs any more.
func (h *hub) freeSeat(held seat) {
	if !held.taken {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.admission.free(held.key)
}

// takeSeat sees to it that a new session has a seat, also where its upgrade was to resume or replace another one. old
// is the session that it replaces, if there is one: what that has on its limits is counted as free unless it is in a
// callback. Hub.
func (h *hub) takeSeat(held seat, old *session) (full Limit) {
	if held.taken {
		return ""
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if old != nil && old.quiet() {
		h.admission.free(old.key)
		defer h.admission.take(old.key)
	}
	if full = h.admission.full(h.cfg, held.key); full == "" {
		h.admission.take(held.key)
	}
	return full
}
