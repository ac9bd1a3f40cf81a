package client

// Waiting returns how many requests of a client wait for their replies.
func Waiting(c Client) int {
	v := c.(*client)
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.requests)
}
