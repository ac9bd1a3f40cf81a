package wire

// An Eager writes what a socket takes without waiting: it is TryWrite.
type Eager struct{}

// Write is s.TryWrite(p).
func (Eager) Write(s *Socket, p []byte) (n int, err error) { return s.TryWrite(p) }
