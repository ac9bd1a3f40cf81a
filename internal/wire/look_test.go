package wire_test

import (
	"net"
	"testing"
)

func TestLook_NotKnown(t *testing.T) {
	conn, peer := net.Pipe()
	s := socketOver(conn)
	go func() { _, _ = peer.Write([]byte("unread")) }()
	tellsNothing(t, s)
	_ = peer.Close()
	tellsNothing(t, s)
	_ = conn.Close()
	tellsNothing(t, s)
}
