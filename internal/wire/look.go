package wire

import "sync"

// Look says whether something has come that nobody has taken from the kernel yet, bytes or an end, and whether the peer
// has gone: its FIN or its reset is there, also behind bytes that are unread. What TLS or a Reader have taken in
// already is not seen, and both are false where nobody knows: on systems other than Linux, over a pipe, and once the
// socket is closed.
func (s *Socket) Look() (unread, gone bool) {
	events, _ := s.ask(askEvents)
	return events&eventUnread != 0, events&eventGone != 0
}

// Gone says that the peer has gone, as far as is known: see Look.
func (s *Socket) Gone() bool {
	_, gone := s.Look()
	return gone
}

// Progress returns a number of bytes that grows as the peer's TCP takes what was written: Taken where that is known,
// and elsewhere those of writes that had to wait for the peer.
func (s *Socket) Progress() uint64 {
	if taken, known := s.Taken(); known {
		return taken
	}
	return s.waited.Load()
}

// Taken returns how many bytes the peer's TCP has acknowledged since the connection began, those of TLS included, and a
// SYN and a FIN as a byte each. It does not tell what the peer's application has read. Known on Linux alone, of TCP.
func (s *Socket) Taken() (bytes uint64, known bool) { return s.ask(askTaken) }

// Pending returns how many bytes the peer's TCP has not acknowledged of what was written, those of TLS included. After
// CloseWrite the FIN is one of them. Known on Linux alone, of TCP.
func (s *Socket) Pending() (bytes int, known bool) {
	n, known := s.ask(askPending)
	return int(n), known
}

// ask asks the kernel, unless the socket is closed.
func (s *Socket) ask(question func(*inquiry, uintptr) (uint64, bool)) (answer uint64, known bool) {
	if s.kernel == nil || !canAsk {
		return 0, false
	}
	q := inquiries.Get().(*inquiry)
	defer inquiries.Put(q)
	q.question, q.answer, q.known = question, 0, false
	if s.kernel.Control(q.run) != nil {
		return 0, false
	}
	return q.answer, q.known
}

// An inquiry is one question to the kernel.
type inquiry struct {
	question func(*inquiry, uintptr) (uint64, bool)
	answer   uint64
	known    bool
	run      func(fd uintptr) // so that an inquiry allocates nothing

	form // what the kernel reads and fills in
}

var inquiries = sync.Pool{New: func() any {
	q := new(inquiry)
	q.run = func(fd uintptr) { q.answer, q.known = q.question(q, fd) }
	return q
}}
