package client_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wspulse/server/client"
	"github.com/wspulse/server/internal/control"
)

func ack(n, at uint64) control.Message { return control.Message{Type: control.Ack, N: n, At: at} }
func gap(n, at uint64) control.Message { return control.Message{Type: control.Gap, N: n, At: at} }

// What a server may not do ends the transport. The session goes on by the next one.
func TestProtocol_Broken(t *testing.T) {
	for name, act := range map[string]func(*peer){
		"an ack from the future":     func(p *peer) { p.say(ack(7, 0)) },
		"no JSON":                    func(p *peer) { p.raw("what?") },
		"an unknown type":            func(p *peer) { p.raw(`{"t":"what","at":0}`) },
		"no at":                      func(p *peer) { p.raw(`{"t":"ping"}`) },
		"a second hello":             func(p *peer) { p.say(welcome()) },
		"a gap of nothing":           func(p *peer) { p.say(gap(0, 0)) },
		"more than 4 KiB":            func(p *peer) { p.raw(`{"t":"ping","at":0,"x":"` + strings.Repeat("x", 4<<10) + `"}`) },
		"a number that is no number": func(p *peer) { p.raw(`{"t":"ack","n":1e3,"at":0}`) },
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, s *script) {
				u := s.dial(hurry())
				s.heard.take() // the ack right after hello may or may not get through
				time.Sleep(2 * time.Second)
				if got := s.claim(); got != "alice 0 t" {
					t.Errorf("the client claims %q", got)
				}
				u.expect("drop restore")
				s.hears("ack:0@0")
			}, func(p *peer) { p.say(welcome()); act(p) }, greets(resumed(0, 0)))
		})
	}
}

func TestProtocol_BrokenSaysSo(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		u := s.dial()
		s.hears("ack:0@0")
		u.say("a")
		time.Sleep(1200 * time.Millisecond)
		s.hears("a close:4400protocol")
	}, func(p *peer) {
		p.say(welcome())
		p.wait(time.Second)
		p.say(ack(2, 0))
	})
}

func TestProtocol_AckGoesBackwards(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		u := s.dial()
		u.say("a", "b")
		time.Sleep(1200 * time.Millisecond)
		s.hears("ack:0@0 a b close:4400protocol")
	}, func(p *peer) {
		p.say(welcome())
		p.wait(time.Second)
		p.say(ack(2, 0))
		p.say(ack(1, 0))
	})
}

// Where the two ends count differently the session can't go on: it is not claimed, and the client says what it cost.
func TestCount_Differs(t *testing.T) {
	for name, m := range map[string]control.Message{
		"ping": {Type: control.Ping, At: 2},
		"ack":  ack(0, 0),
		"gap":  gap(1, 2),
		"pong": {Type: control.Pong},
		"bye":  {Type: control.Bye, At: 2, Reconnect: true},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, s *script) {
				u := s.dial(hurry())
				u.say("a", "b")
				time.Sleep(1200 * time.Millisecond)
				s.hears("ack:0@0 a b bye@2 close:4400count")
				time.Sleep(3 * time.Second)
				if got := s.claim(); got != "" {
					t.Errorf("the client claims %q", got)
				}
				u.expect("x drop lost:count(a,b) restore")
				if n := u.Pending(); n != 0 {
					t.Errorf("%d pending", n)
				}
			}, func(p *peer) {
				p.say(welcome())
				p.wait(time.Second)
				p.send("x")
				p.say(m)
			}, greets())
		})
	}
}

// A hello that counts wrongly is one that the client cannot go on from; the next claims nothing.
func TestCount_HelloDiffers(t *testing.T) {
	for name, second := range map[string]control.Message{
		"accepted less than it acknowledged": welcome(resumed(0, 1)),
		"accepted what was never sent":       welcome(resumed(3, 1)),
		"goes on too early":                  welcome(resumed(2, 0)),
		"goes on too late":                   welcome(resumed(2, 2)),
		"resumes another session":            welcome(resumed(2, 1), func(m *control.Message) { m.Hello.ID = "bob" }),
		"a new session that has a past":      welcome(func(m *control.Message) { m.At = 1 }),
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, s *script) {
				u := s.dial(hurry())
				u.say("a", "b")
				time.Sleep(1200 * time.Millisecond)
				u.drop(false)
				s.heard.take()
				time.Sleep(1200 * time.Millisecond)
				s.hears("close:4400count")
				time.Sleep(5 * time.Second)
				u.expect("x drop lost:count(b) restore")
				if got := s.claim(); got != "" {
					t.Errorf("the client claims %q", got)
				}
			}, func(p *peer) {
				p.say(welcome())
				p.send("x")
				p.wait(time.Second)
				p.say(ack(1, 1))
			}, func(p *peer) { p.say(second) }, greets())
		})
	}
}

func TestDial_HelloResumesWhatWasNotClaimed(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		if _, err := s.tryDial(); err == nil || !strings.Contains(err.Error(), "not claimed") {
			t.Error(err)
		}
		s.hears("close:4400count")
	}, greets(resumed(0, 0)))
}

// What stands where the hello is to stand is an error of Dial.
func TestDial_NoHello(t *testing.T) {
	for name, act := range map[string]func(*peer){
		"a message":           func(p *peer) { p.send("x") },
		"a control message":   func(p *peer) { p.say(control.Message{Type: control.Ping}) },
		"no JSON":             func(p *peer) { p.raw("hello") },
		"nothing":             func(p *peer) {},
		"the end":             func(p *peer) { _ = p.ws.NetConn().Close() },
		"a close without bye": func(p *peer) { p.close(4429, "full") },
		"more than 4 KiB":     func(p *peer) { p.raw(strings.Repeat(" ", 5<<10)) },
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, s *script) {
				start := time.Now()
				_, err := s.tryDial()
				var refused *client.RefusedError
				if isClose := name == "a close without bye"; err == nil || errors.As(err, &refused) != isClose ||
					isClose && (refused.Code != 4429 || refused.Reason != "full" || !refused.Reconnect) {
					t.Error(err)
				}
				if took := time.Since(start); name == "nothing" && took != 10*time.Second {
					t.Errorf("took %v", took)
				}
				synctest.Wait()
			}, act)
		})
	}
}

// The ten seconds are for all of a dial.
func TestDial_TakesTenSeconds(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		start := time.Now()
		_, err := s.tryDial(client.WithProtocols(func() ([]string, error) {
			time.Sleep(4 * time.Second)
			return nil, nil
		}))
		if took := time.Since(start); err == nil || took != 10*time.Second {
			t.Errorf("took %v: %v", took, err)
		}
	}, func(*peer) {})
}

// A hello is larger than the messages that the client takes.
func TestDial_SmallMessages(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		u := s.dial(client.WithMaxMessageSize(16), hurry())
		time.Sleep(2 * time.Millisecond)
		u.expect("x gap:1 drop")
		s.hears("ack:0@0 close:1009")
		time.Sleep(1200 * time.Millisecond)
		if got := s.claim(); got != "alice 2 t" {
			t.Errorf("the client claims %q", got)
		}
	}, func(p *peer) {
		p.say(welcome())
		p.wait(time.Millisecond)
		p.send("x", "12345678901234567890")
	}, greets(resumed(0, 2)))
}
