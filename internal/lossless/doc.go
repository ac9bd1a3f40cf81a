// Package lossless has what tests need that show that sessions of wspulse.v1 lose nothing: faults, counts, what the
// server measures, and a [Proof] for clients that run outside the test: Node programs, pages and their workers. These
// send numbers and get numbers, and talk.mjs, which is served to pages and imported by Node, counts on their side.
package lossless
