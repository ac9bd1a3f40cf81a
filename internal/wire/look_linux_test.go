package wire_test

import (
	"io"
	"net"
	"path/filepath"
	"testing"

	"github.com/wspulse/server/internal/wire"
)

// peers are the ways in which a peer ends, and what is to be seen of it in the end.
var peers = map[string]struct {
	end          func(peer *net.TCPConn) error
	unread, gone bool
}{
	"silent":            {func(*net.TCPConn) error { return nil }, false, false},
	"sent something":    {send, true, false},
	"FIN":               {(*net.TCPConn).CloseWrite, true, true},
	"FIN behind bytes":  {func(p *net.TCPConn) error { _ = send(p); return p.CloseWrite() }, true, true},
	"reset":             {reset, true, true},
	"reset after bytes": {func(p *net.TCPConn) error { _ = send(p); return reset(p) }, true, true},
}

func send(p *net.TCPConn) error {
	_, err := p.Write([]byte("something"))
	return err
}

func reset(p *net.TCPConn) error {
	if err := p.SetLinger(0); err != nil {
		return err
	}
	return p.Close()
}

func TestLook(t *testing.T) {
	for name, tc := range peers {
		conn, peer := tcpPair(t)
		s := socketOver(conn)
		if unread, gone := s.Look(); unread || gone {
			t.Errorf("%s: unread %v, gone %v before anything has come", name, unread, gone)
		}
		if err := tc.end(peer); err != nil {
			t.Fatal(err)
		}
		eventually(t, name, func() bool {
			unread, gone := s.Look()
			return unread == tc.unread && gone == tc.gone
		})
	}
}

// What has been read is seen no more, and the end that comes behind it is.
func TestLook_AfterReading(t *testing.T) {
	conn, peer := tcpPair(t)
	s := socketOver(conn)
	_ = send(peer)
	if _, err := io.ReadFull(s, make([]byte, len("something"))); err != nil {
		t.Fatal(err)
	}
	if unread, gone := s.Look(); unread || gone {
		t.Errorf("unread %v, gone %v after everything was read", unread, gone)
	}
	_ = peer.CloseWrite()
	eventually(t, "gone", func() bool { _, gone := s.Look(); return gone })
}

// Under TLS the TCP connection is looked at, and under a Unix socket there is a kernel too.
func TestLook_Layers(t *testing.T) {
	conn, peer := tcpPair(t)
	secure, _ := tlsOver(t, conn, peer)
	s := socketOver(secure)
	if _, known := s.Taken(); !known {
		t.Error("what the peer has taken below TLS is not known")
	}
	_ = peer.Close()
	eventually(t, "the peer below TLS has gone", func() bool { _, gone := s.Look(); return gone })

	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	local, err := net.Dial("unix", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s = socketOver(local)
	defer s.Close()
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	unread, gone := s.Look()
	_, taken := s.Taken()
	_, pending := s.Pending()
	if unread || gone || taken || pending {
		t.Errorf("Unix socket: unread %v, gone %v, taken known %v, pending known %v", unread, gone, taken, pending)
	}
	_ = accepted.Close()
	eventually(t, "the peer of the Unix socket has gone", func() bool { _, gone := s.Look(); return gone })
}

// Taken stands still for a peer that does not read once its window is full, grows when it does, and ends at all that
// was written, when nothing is pending.
func TestTaken(t *testing.T) {
	conn, peer := tcpPair(t)
	s := socketOver(conn)
	before, known := s.Taken()
	if !known {
		t.Fatal("not known")
	}
	written := fill(t, s)
	taken, _ := s.Taken()
	pending, known := s.Pending()
	if taken-before+uint64(pending) != written || pending == 0 || !known {
		t.Errorf("by a peer that does not read: %d taken, %d pending, %d written", taken-before, pending, written)
	}
	if _, err := io.ReadFull(peer, make([]byte, taken-before)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "more is taken", func() bool { more, _ := s.Taken(); return more > taken })
	go func() { _, _ = io.Copy(io.Discard, peer) }()
	eventually(t, "all is taken", func() bool { pending, known := s.Pending(); return known && pending == 0 })
	if taken, _ := s.Taken(); taken-before < written {
		t.Errorf("%d bytes taken of %d", taken-before, written)
	}
}

func TestLook_AllocatesNothing(t *testing.T) {
	conn, _ := tcpPair(t)
	s := socketOver(conn)
	for name, ask := range map[string]func(){
		"Look":    func() { _, _ = s.Look() },
		"Taken":   func() { _, _ = s.Taken() },
		"Pending": func() { _, _ = s.Pending() },
	} {
		if n := testing.AllocsPerRun(1000, ask); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// Looking at a socket that is being closed is safe, and tells nothing afterwards.
func TestLook_WhileItIsClosed(t *testing.T) {
	for range 20 {
		conn, peer := tcpPair(t)
		_ = send(peer)
		s, done := socketOver(conn), make(chan bool)
		go func() {
			defer close(done)
			for known := true; known; {
				_, _ = s.Look()
				_, known = s.Taken()
			}
		}()
		s.Abort()
		<-done
		tellsNothing(t, s)
	}
}

func BenchmarkLook(b *testing.B) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer listener.Close()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	s := wire.NewSocket(conn)
	b.Run("what=events", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s.Look()
		}
	})
	b.Run("what=taken", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s.Taken()
		}
	})
}
