package wire_test

import (
	"crypto/tls"
	"net"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/wspulse/server/internal/wire"
)

// patience bounds every wait on a real socket. It is long, since the machine may be busy, and reached only by a
// failure.
const patience = 20 * time.Second

// eventually waits until ok holds on a real socket.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// tcpPair returns both ends of a connection over 127.0.0.1.
func tcpPair(t *testing.T) (conn, peer *net.TCPConn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	dialled, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	peer = dialled.(*net.TCPConn)
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	conn = accepted.(*net.TCPConn)
	t.Cleanup(func() {
		_ = conn.Close()
		_ = peer.Close()
	})
	return conn, peer
}

// tlsOver returns both ends of TLS over a connection, after the handshake.
func tlsOver(t *testing.T, conn, peer net.Conn) (*tls.Conn, *tls.Conn) {
	t.Helper()
	identity := httptest.NewUnstartedServer(nil)
	identity.StartTLS()
	config := identity.TLS.Clone()
	identity.Close()
	server, client := tls.Server(conn, config), tls.Client(peer, &tls.Config{InsecureSkipVerify: true})
	done := make(chan error)
	go func() { done <- client.Handshake() }()
	if err := server.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return server, client
}

// socketOver returns a socket over one end of a connection.
func socketOver(conn net.Conn) *wire.Socket {
	s := wire.NewSocket(conn)
	return &s
}

// fill writes until the peer's TCP takes no more.
func fill(t *testing.T, s *wire.Socket) (written uint64) {
	t.Helper()
	block, before, still := make([]byte, 64<<10), uint64(0), 0
	eventually(t, "the peer takes no more", func() bool {
		n, err := s.TryWrite(block)
		if err != nil {
			t.Fatal(err)
		}
		written += uint64(n)
		taken, _ := s.Taken()
		if still++; n > 0 || taken != before {
			still = 0
		}
		before = taken
		return still > 100
	})
	return written
}

// tellsNothing checks that a socket admits to know nothing.
func tellsNothing(t *testing.T, s *wire.Socket) {
	t.Helper()
	unread, gone := s.Look()
	_, taken := s.Taken()
	_, pending := s.Pending()
	if unread || gone || taken || pending {
		t.Errorf("unread %v, gone %v, taken known %v, pending known %v", unread, gone, taken, pending)
	}
}
