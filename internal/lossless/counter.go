package lossless

// A Counter is what one end of a session has got of the numbers 1, 2, 3 and so on.
type Counter struct {
	Next          int `json:"next"` // the number that is to come, 1 at first
	Lost, Doubled int
}

// Count counts the message of that number. It says whether it has come for the first time.
func (c *Counter) Count(n int) (fresh bool) {
	if n < c.Next {
		c.Doubled++
		return false
	}
	c.Lost += n - c.Next
	c.Next = n + 1
	return true
}
