// Package poll lets TCP connections wait for their peers without a goroutine and without a buffer each. It knows
// nothing of what is read.
//
// A connection is in one of three states:
//
//	           something has come
//	parked ─────────────────────────► running ──┐ more has come
//	   ▲        its Handler is told     │  ▲    ▼
//	   └────────────────────────────────┘  └─ again
//	         Park: nothing has come      Park: read once more
//
// One goroutine leads: it waits for the kernel and runs the handlers of what is ready, one after the other. A handler
// that takes long, or is about to wait, passes the lead on, with what else is ready. So a handler may block, and costs
// the others nothing but a millisecond the first time.
package poll

// A Handler reads a connection. It is told that something has come by one goroutine at a time, until it has parked the
// connection again.
type Handler interface {
	// Ready reads until nothing more is there, and then parks the connection; or hands that to another goroutine.
	Ready(w *Worker)

	// Overdue says that Ready has taken long, and that others do not wait for it any more. It runs beside Ready.
	Overdue()
}
