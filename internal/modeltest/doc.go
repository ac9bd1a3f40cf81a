// Package modeltest puts a running server beside a model of it, and compares whatever there is to see.
//
// FuzzModel does what its input says, with the server and with the contract as a small program: connect, send, stall,
// cut, kick, close, and let time pass. FuzzLossless does the same with clients of wspulse.v1, who claim, acknowledge
// and break the rules. FuzzRooms does it with sessions in several rooms, with users and with times to end; it makes
// several calls at once, and has callbacks take long. FuzzStream sends any bytes after the opening handshake, and
// FuzzUpgrade any bytes in its place; what comes back is compared with RFC 6455 as it is read here a second time,
// slowly. All of it runs in synctest bubbles over the network of wstest.
package modeltest
