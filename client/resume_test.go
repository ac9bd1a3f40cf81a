package client_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/client"
	"github.com/wspulse/server/internal/control"
	"github.com/wspulse/server/wstest"
)

// The server has accepted more than it has acknowledged: the client goes on behind that, and what is not acknowledged
// stays pending.
func TestResume_GoesOnFromRecv(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		u := s.dial(hurry())
		u.say("a", "b", "c", "d")
		time.Sleep(1100 * time.Millisecond)
		s.hears("ack:0@0 a b c d")
		u.drop(false)
		u.say("e")
		time.Sleep(1100 * time.Millisecond)
		s.hears("ack:2@3 d e")
		if got := s.claim(); got != "alice 2 t" {
			t.Errorf("the client claims %q", got)
		}
		if n := u.Pending(); n != 4 {
			t.Errorf("%d pending", n)
		}
		u.expect("x y drop restore")
	}, func(p *peer) {
		p.say(welcome())
		p.wait(time.Second)
		p.send("x", "y")
		p.say(ack(1, 2))
	}, greets(resumed(3, 2)))
}

// A hello that is lost leaves the client with the token that it has. Nothing is doubled by that.
func TestResume_HelloLost(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		u := s.dial(hurry())
		u.say("a")
		s.hears("ack:0@0 a")
		u.drop(false)
		time.Sleep(5 * time.Second)
		if got := s.claim(); got != "alice 0 t" {
			t.Errorf("the client claims %q", got)
		}
		u.expect("drop restore x")
		s.hears("ack:0@1 ack:1@1")
	}, greets(), func(p *peer) {
		_ = p.ws.NetConn().Close()
	}, func(p *peer) {
		_, _ = p.ws.NetConn().Write([]byte{0x82, 100, '{'}) // the beginning of one
		_ = p.ws.NetConn().Close()
	}, func(p *peer) {
		p.say(welcome(resumed(1, 0), func(m *control.Message) { m.Hello.Token = strings.Repeat("u", 43) }))
		p.wait(time.Millisecond)
		p.send("x")
	})
}

// Each hello brings the token of the next claim.
func TestResume_ClaimsWithTheNewestToken(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		u := s.dial(hurry())
		for range 2 {
			u.drop(false)
			time.Sleep(1500 * time.Millisecond)
		}
		if got := s.claim(); got != "alice 0 u" {
			t.Errorf("the client claims %q", got)
		}
	}, greets(), greets(resumed(0, 0), func(m *control.Message) { m.Hello.Token = strings.Repeat("u", 43) }))
}

// What has been sent is sent again as often as the connection breaks before it is accepted, and control messages say
// where they stand.
func TestResume_AgainAndAgain(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		u := s.dial(hurry())
		u.say("a", "b")
		s.hears("ack:0@0 a b")
		for range 3 {
			u.drop(false)
			time.Sleep(1500 * time.Millisecond)
			s.hears("ack:0@0 a b")
		}
		_ = u.Close()
		s.hears("bye@2 close:1000")
	}, greets(), greets(resumed(0, 0)))
}

// The server acknowledges on a transport what came by the one before.
func TestResume_AcknowledgedLater(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		u := s.dial(hurry())
		u.say("a", "b")
		synctest.Wait()
		u.drop(false)
		time.Sleep(1500 * time.Millisecond)
		if n := u.Pending(); n != 2 {
			t.Errorf("%d pending", n)
		}
		time.Sleep(time.Second)
		if n := u.Pending(); n != 0 {
			t.Errorf("%d pending", n)
		}
	}, greets(), func(p *peer) { p.say(welcome(resumed(2, 0))); p.wait(time.Second); p.say(ack(2, 0)) })
}

// What has not been processed is what is behind the recv of the tombstone, or the last ack, and what was sent. What was
// never sent belongs to the new session.
func TestSessionLost_Unprocessed(t *testing.T) {
	for recv, want := range map[uint64]string{0: "b,c", 1: "b,c", 2: "c", 3: "", 9: ""} {
		t.Run(fmt.Sprintf("recv=%d", recv), func(t *testing.T) {
			play(t, func(t *testing.T, s *script) {
				u := s.dial(hurry())
				u.say("a", "b", "c")
				time.Sleep(1100 * time.Millisecond)
				u.drop(false)
				s.heard.take()
				u.say("d")
				time.Sleep(1500 * time.Millisecond)
				u.expect(fmt.Sprintf("drop lost:expired(%s) restore", want))
				s.hears("ack:0@0 d")
				if n := u.Pending(); n != 1 {
					t.Errorf("%d pending", n)
				}
				_ = u.Close()
				s.hears("bye@1 close:1000")
			}, func(p *peer) { p.say(welcome()); p.wait(time.Second); p.say(ack(1, 0)) }, greets(lost("expired", recv)))
		})
	}
}

func TestSessionLost_Reasons(t *testing.T) {
	for _, reason := range strings.Fields("expired kicked closed memory shutdown duplicate count token identity") {
		play(t, func(t *testing.T, s *script) {
			u := s.dial(hurry())
			u.drop(false)
			time.Sleep(1500 * time.Millisecond)
			u.expect("drop lost:" + reason + "() restore")
			if u.ID() != "carol" {
				t.Error(u.ID())
			}
		}, greets(), greets(lost(reason, 0), func(m *control.Message) { m.Hello.ID = "carol" }))
	}
}

// A server without sessions acknowledges nothing, and nobody acknowledges to it. What was written is gone.
func TestSessionLost_WhatWasBeingWritten(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		u := s.dial(hurry())
		u.say("a")
		time.Sleep(2 * time.Second)
		s.hears("a")
		u.conn().Upstream(wstest.Faults{Window: wstest.Unbuffered, BlackHole: true})
		u.say("b", "c")
		synctest.Wait()
		if n := u.Pending(); n != 2 {
			t.Errorf("%d pending", n)
		}
		u.drop(false)
		time.Sleep(1500 * time.Millisecond)
		u.expect("x drop lost:dropped(b) restore x")
		s.hears("c")
	}, func(p *peer) { p.say(welcome(noWindow)); p.send("x") })
}

func TestGap_IsToldInOrderAndCounts(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		u := s.dial(hurry())
		u.expect("x gap:3 y gap:1 gap:2")
		u.drop(false)
		time.Sleep(1500 * time.Millisecond)
		if got := s.claim(); got != "alice 8 t" {
			t.Errorf("the client claims %q", got)
		}
		u.expect("drop restore z")
	}, func(p *peer) {
		p.say(welcome())
		p.send("x")
		p.say(gap(3, 1))
		p.send("y")
		p.say(gap(1, 5))
		p.say(gap(2, 6))
	}, func(p *peer) {
		p.say(welcome(resumed(0, 8)))
		p.send("z")
		p.say(control.Message{Type: control.Ping, At: 9})
	})
}

func TestHeartbeat_DeadAfter(t *testing.T) {
	for name, options := range map[string][]client.Option{
		"50s":   nil,
		"12.5s": {client.WithHeartbeat(5 * time.Second)},
	} {
		play(t, func(t *testing.T, s *script) {
			died := make(chan time.Time, 1)
			start := time.Now()
			s.dial(append(options, client.WithOnTransportDrop(func(_ client.Client, err error) {
				if !strings.Contains(err.Error(), "too long") {
					t.Error(err)
				}
				died <- time.Now()
			}))...)
			if got := (<-died).Sub(start).String(); got != name {
				t.Errorf("dead after %s, want %s", got, name)
			}
		}, greets())
	}
}

// Anything that comes is life.
func TestHeartbeat_Lives(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		u := s.dial()
		time.Sleep(5 * time.Minute)
		u.expect("")
	}, func(p *peer) {
		p.say(welcome())
		for range 10 {
			p.wait(40 * time.Second)
			p.say(control.Message{Type: control.Ping})
		}
	})
}

// A server that reads slowly has its reasons: as long as it is heard, what is being written waits.
func TestHeartbeat_SlowServer(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		u := s.dial()
		u.conn().Upstream(wstest.Faults{Window: wstest.Unbuffered, BlackHole: true})
		u.say("a")
		time.Sleep(2 * time.Minute)
		u.expect("")
		u.conn().Upstream(wstest.Faults{})
		s.hears("ack:0@0 a pong()")
	}, func(p *peer) {
		p.say(welcome())
		for range 10 {
			p.wait(20 * time.Second)
			_ = p.ws.WriteControl(websocket.PingMessage, nil, time.Time{})
		}
	})
}

func TestDrained(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		u := s.dial()
		s.must(u.Drained(t.Context()))
		u.say("a", "b")
		start := time.Now()
		soon, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		if err := u.Drained(soon); !errors.Is(err, context.DeadlineExceeded) || u.Pending() != 1 {
			t.Errorf("%v, %d pending", err, u.Pending())
		}
		s.must(u.Drained(t.Context()))
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("drained after %v", took)
		}
		u.say("c")
		ended := make(chan error)
		go func() { ended <- u.Drained(context.Background()) }()
		synctest.Wait()
		s.must(u.Close())
		if err := <-ended; err != nil { // the answer to the close frame acknowledges
			t.Error(err)
		}
	}, func(p *peer) {
		p.say(welcome())
		p.wait(time.Second)
		p.say(ack(1, 0))
		p.wait(time.Second)
		p.say(ack(2, 0))
	})
}

func TestDrained_TheClientEnds(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		u := s.dial()
		u.say("a")
		if err := u.Drained(t.Context()); !errors.Is(err, client.ErrConnectionClosed) || u.Pending() != 1 {
			t.Errorf("%v, %d pending", err, u.Pending())
		}
	}, func(p *peer) {
		p.say(welcome())
		p.wait(time.Second)
		p.say(control.Message{Type: control.Bye})
		p.close(1000, "")
	})
}

// A message of the server's choice: as many as it lets are under way, also behind those that are sent again.
func TestSend_Inflight(t *testing.T) {
	few := func(m *control.Message) { m.Hello.Inflight = 2 }
	play(t, func(t *testing.T, s *script) {
		u := s.dial(hurry(), client.WithSendBuffer(2))
		u.say("a", "b")
		s.hears("ack:0@0 a b")
		u.say("c", "d")
		if err := u.Send(client.Frame{Event: "e"}); !errors.Is(err, client.ErrSendBufferFull) {
			t.Error(err)
		}
		u.drop(false)
		time.Sleep(1500 * time.Millisecond)
		s.hears("ack:0@0 a b")
		time.Sleep(time.Second)
		s.hears("c")
		if n := u.Pending(); n != 3 {
			t.Errorf("%d pending", n)
		}
	}, greets(few), func(p *peer) { p.say(welcome(few, resumed(0, 0))); p.wait(time.Second); p.say(ack(1, 0)) })
}

// The payload is the caller's again, whatever the codec does with it.
type bareCodec struct{}

func (bareCodec) Encode(f client.Frame) ([]byte, error)    { return f.Payload, nil }
func (bareCodec) Decode(data []byte) (client.Frame, error) { return client.Frame{Payload: data}, nil }
func (bareCodec) FrameType() int                           { return wspulse.TextMessage }

func TestSend_KeepsNothingOfTheCaller(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		u := s.dial(client.WithCodec(bareCodec{}), hurry())
		u.drop(true)
		payload := []byte(`{"event":"a"}`)
		s.must(u.Send(client.Frame{Payload: payload}))
		clear(payload)
		u.heal()
		time.Sleep(1500 * time.Millisecond)
		s.hears("ack:0@0 ack:0@0 a")
	}, greets(), greets(resumed(0, 0)))
}

func TestSend_NotUTF8(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		u := s.dial()
		if err := u.Send(client.Frame{Payload: []byte("\"\xff\"")}); err == nil || !strings.Contains(err.Error(), "UTF-8") {
			t.Error(err)
		}
		if err := u.Send(client.Frame{Payload: []byte("{")}); err == nil || u.Pending() != 0 {
			t.Error(err)
		}
	}, greets())
}
