// Package losslesstest shows that sessions of wspulse.v1 lose nothing and double nothing, in both directions, whatever
// happens to their connections: the Go client and the server over real sockets, with faults at random bytes between
// them. Some plain clients have the same faults, so that one sees what the protocol buys.
//
// `make lossless` runs it for two minutes, prints a table, and draws docs/lossless.svg anew. Without flags it is short.
package losslesstest
