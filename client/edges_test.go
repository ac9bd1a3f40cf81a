package client_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/client"
	"github.com/wspulse/server/wstest"
)

// What has been sent by the transport before, and by this one not yet, can't be acknowledged by this one.
func TestProtocol_AckBeforeTheReplay(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		u := s.dial(hurry())
		u.say("a", "b")
		s.hears("ack:0@0 a b")
		u.drop(false)
		time.Sleep(2100 * time.Millisecond)
		u.expect("drop restore drop")
		if n := u.Pending(); n != 2 {
			t.Errorf("%d pending", n)
		}
	}, greets(), func(p *peer) {
		conn := p.ws.NetConn().(*wstest.Conn)
		conn.Upstream(wstest.Faults{Window: wstest.Unbuffered, BlackHole: true}) // so that nothing is sent again
		p.say(welcome(resumed(0, 0)))
		p.wait(time.Millisecond)
		p.say(ack(2, 0))
		p.wait(time.Second)
		conn.Reset()
	})
}

// A session that the server does not keep can't be resumed.
func TestCount_ResumesWhatItDidNotKeep(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		u := s.dial(hurry())
		u.drop(false)
		time.Sleep(1500 * time.Millisecond)
		s.hears("close:4400count")
		u.expect("drop")
		time.Sleep(5 * time.Second)
		u.expect("lost:count() restore")
	}, greets(noWindow), greets(noWindow, resumed(0, 0)), greets(noWindow))
}

// A claim acknowledges; so does the ack that follows the hello, however full the inbox is.
func TestInbox_FullAcknowledgesWhatWasClaimed(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		var u *user
		block, release := blocked(&u)
		u = s.dial(block, hurry())
		time.Sleep(2 * time.Second)
		s.heard.take()
		u.drop(false)
		time.Sleep(1500 * time.Millisecond)
		if got := s.claim(); got != "alice 1100 t" {
			t.Errorf("the client claims %q", got)
		}
		s.hears("ack:1100@0")
		close(release)
	}, func(p *peer) { p.say(welcome()); p.send(many(1100)...) }, greets(resumed(0, 1100)))
}

// Few messages may be large.
func TestInbox_FullOfBytes(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		var u *user
		block, release := blocked(&u)
		u = s.dial(block)
		time.Sleep(3 * time.Second)
		words := strings.Fields(s.heard.take())
		if last := words[len(words)-1]; last != "ack:4@0" && last != "ack:5@0" {
			t.Errorf("the server heard %q", words)
		}
		close(release)
		s.hears("ack:8@0")
	}, func(p *peer) {
		p.say(welcome())
		p.send(many(1)...)
		for range 7 {
			p.send(strings.Repeat("x", 1<<20-20))
		}
	})
}

// Close waits for the server's answer, though that stands behind what nobody has read.
func TestClose_WhileNothingIsRead(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		var u *user
		block, release := blocked(&u)
		u = s.dial(block)
		time.Sleep(2 * time.Second)
		start := time.Now()
		s.must(u.Close())
		if took := time.Since(start); took != 0 {
			t.Errorf("took %v", took)
		}
		s.hears("bye@0 close:1000")
		close(release)
		<-u.Done()
	}, func(p *peer) { p.say(welcome(noWindow)); p.send(many(20_000)...) })
}

// Nothing is pending any more when the session that it was sent in is gone.
func TestDrained_SessionLost(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		u := s.dial(hurry())
		u.say("a")
		synctest.Wait()
		u.drop(false)
		start := time.Now()
		s.must(u.Drained(t.Context()))
		if took := time.Since(start); took != time.Second {
			t.Errorf("drained after %v", took)
		}
	}, greets(), greets(lost("expired", 0)))
}

// A message that is too large is not waited for.
func TestGap_MessageTooLargeIsNotRead(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		u := s.dial(client.WithMaxMessageSize(512), hurry())
		time.Sleep(time.Millisecond)
		u.expect("gap:1 drop")
		s.hears("ack:0@0 close:1009")
	}, func(p *peer) {
		p.say(welcome())
		p.wait(time.Microsecond)
		header := []byte{0x81, 127, 0, 0, 0, 0, 0x7f, 0, 0, 0} // of a text of 2 GiB
		_, _ = p.ws.NetConn().Write(append(header, strings.Repeat("x", 1000)...))
	})
}

// A recorder notes how each write of a client begins.
type recorder struct {
	net.Conn
	mu     sync.Mutex
	begins map[byte]int
}

func (r *recorder) Write(b []byte) (int, error) {
	r.mu.Lock()
	r.begins[b[0]]++
	r.mu.Unlock()
	return r.Conn.Write(b)
}

// Messages are compressed (RSV1), control messages are not.
func TestCompression_NotOfControlMessages(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := &recorder{begins: make(map[byte]int)}
		dial := func(ctx context.Context, network, addr string) (_ net.Conn, err error) {
			r.Conn, err = w.web.Listener.DialContext(ctx, network, addr)
			return r, err
		}
		u := w.dial(client.WithCompression(), client.WithDialer(dial))
		u.say("a", "b")
		w.send("x")
		time.Sleep(2 * time.Second)
		w.must(u.Close())
		r.mu.Lock()
		defer r.mu.Unlock()
		const compressedText, compressedBinary, text, binary = 0xc1, 0xc2, 0x81, 0x82
		if b := r.begins; b[compressedText] != 2 || b[text] != 0 || b[binary] != 3 || b[compressedBinary] != 0 {
			t.Errorf("writes begin with %x", b)
		}
	}, wspulse.WithCompression(6, 0))
}
