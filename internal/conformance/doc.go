// Package conformance tests a running server against RFC 6455, and RFC 7692 for compression, over TCP: tables of what a
// client sends and of what must come back. With -v the test prints how many cases there are in each class, and in which of
// them the server deviates from the RFC:
//
//	go test -v -run 'TestConformance$' ./internal/conformance
//
// The application behind the server echoes. After each case nothing may have panicked and a neighbour of the peer must
// still be answered; after each class no session, socket or goroutine may be left.
package conformance
