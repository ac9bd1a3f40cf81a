package wspulse

// Waiting returns how many requests of a session wait for their replies.
func Waiting(c Connection) int {
	r := c.(*session).requests.Load()
	if r == nil {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.waiting)
}
