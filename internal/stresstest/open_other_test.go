//go:build !linux

package stresstest

// A socketID is not known.
type socketID struct{}

func idOf(uintptr) socketID { return socketID{} }

func openSockets() (open map[socketID]bool, known bool) { return nil, false }
