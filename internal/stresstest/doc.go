// Package stresstest tests a running server over real sockets, on 127.0.0.1: what only a kernel shows, and what only
// shows under load. Peers that break every rule, peers that read nothing, thousands at once, and goroutines that
// connect, send, kick, drop and resume at random for as long as they are told to:
//
//	go test -race -run '^Test(Stress|Load)' -v ./internal/stresstest -stress 1m
//
// After each test no session, socket or goroutine may be left.
package stresstest
