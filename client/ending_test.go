package client_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wspulse/server/client"
	"github.com/wspulse/server/internal/control"
	"github.com/wspulse/server/wstest"
)

// bye is an act that says hello, and a second later bye.
func bye(m control.Message, code int) func(*peer) {
	return func(p *peer) {
		p.say(welcome())
		p.wait(time.Second)
		m.Type = control.Bye
		p.say(m)
		p.close(code, "")
	}
}

func TestBye_NoReconnect(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		u := s.dial()
		<-u.Done()
		u.expect("disconnect(kicked 1000)")
		if err := u.Send(client.Frame{}); !errors.Is(err, client.ErrConnectionClosed) {
			t.Error(err)
		}
		time.Sleep(time.Hour)
		if n := len(u.dialed()); n != 1 {
			t.Errorf("%d dials", n)
		}
	}, bye(control.Message{Reason: "kicked"}, 1000))
}

// What was said counts also when the close frame does not come.
func TestBye_WithoutACloseFrame(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		u := s.dial()
		<-u.Done()
		u.expect("disconnect(duplicate 0)")
	}, func(p *peer) {
		p.say(welcome())
		p.wait(time.Second)
		p.say(control.Message{Type: control.Bye, Reason: "duplicate"})
		_ = p.ws.NetConn().Close()
	})
}

func TestBye_AfterWins(t *testing.T) {
	for name, c := range map[string]struct {
		after       [2]int64
		least, most time.Duration
	}{
		"exactly":  {[2]int64{7000, 7000}, 7 * time.Second, 7 * time.Second},
		"a range":  {[2]int64{20_000, 40_000}, 20 * time.Second, 40 * time.Second},
		"the past": {[2]int64{-5, 1}, 0, time.Millisecond},
		"for ever": {[2]int64{1 << 52, 1 << 53}, time.Hour, time.Hour},
		"nothing":  {[2]int64{}, time.Second, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, s *script) {
				u := s.dial(hurry())
				start := time.Now().Add(time.Second)
				time.Sleep(2 * time.Hour)
				u.expect("drop lost:shutdown() restore")
				if waited := u.dialed()[1].Sub(start); waited < c.least || waited > c.most {
					t.Errorf("waited for %v", waited)
				}
			}, bye(control.Message{Reason: "shutdown", Reconnect: true, After: c.after}, 1001), func(p *peer) {
				p.say(welcome(lost("shutdown", 0)))
				for range 500 {
					p.wait(20 * time.Second)
					p.say(control.Message{Type: control.Ping})
				}
			})
		})
	}
}

// A close frame without a bye is a drop.
func TestBye_None(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		u := s.dial(hurry())
		time.Sleep(3 * time.Second)
		u.expect("drop restore")
		if got := s.claim(); got != "alice 0 t" {
			t.Errorf("the client claims %q", got)
		}
	}, func(p *peer) { p.say(welcome()); p.wait(time.Second); p.close(1000, "") }, greets(resumed(0, 0)))
}

// A session that is closed with 4401 is tried once more at once; then the client backs off.
func TestBye_Unauthorized(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		u := s.dial(client.WithReconnect(-1, time.Second, 4*time.Second), client.WithJitter(0))
		time.Sleep(10 * time.Second)
		var waits []time.Duration
		dials := u.dialed()
		for i := 1; i < len(dials); i++ {
			waits = append(waits, dials[i].Sub(dials[i-1]))
		}
		if want := []time.Duration{time.Second, 2 * time.Second, 4 * time.Second}; !equal(waits, want) {
			t.Errorf("dials after %v, want %v", waits, want)
		}
	}, bye(control.Message{Reason: "unauthorized", Reconnect: true}, 4401), func(p *peer) {
		p.say(control.Message{Type: control.Bye, Reason: "unauthorized", Reconnect: true})
		p.close(4401, "")
	})
}

// It is so for each outage.
func TestReconnect_AtOnceAfterAGoodSession(t *testing.T) {
	expired := func(p *peer) {
		p.say(control.Message{Type: control.Bye, Reason: "unauthorized", Reconnect: true})
		p.close(4401, "")
	}
	play(t, func(t *testing.T, s *script) {
		u := s.dial(hurry())
		for range 2 {
			time.Sleep(6 * time.Second)
			u.drop(false)
			start := time.Now()
			time.Sleep(1500 * time.Millisecond)
			dials := u.dialed()
			if took := dials[len(dials)-1].Sub(start); took != time.Second {
				t.Errorf("back after %v", took)
			}
			u.expect("drop restore")
		}
	}, greets(), expired, greets(resumed(0, 0)), expired, greets(resumed(0, 0)))
}

// A refusal that is final ends a client that wants to come back.
func TestReconnect_Refused(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		u := s.dial(hurry())
		u.drop(false)
		<-u.Done()
		u.expect("drop disconnect(origin 4403)")
	}, greets(), func(p *peer) { p.say(control.Message{Type: control.Bye, Reason: "origin"}); p.close(4403, "") })
}

func TestReconnect_NotAtAll(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		u := s.dial(client.WithReconnect(0, time.Second, time.Second))
		u.drop(false)
		<-u.Done()
		u.expect("disconnect(network)")
	}, greets())
}

// A function that panics on the client's goroutine is an attempt that failed.
func TestPanic_InAFunctionOfAnOption(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		n := 0
		u := s.dial(hurry(), client.WithURL(func() (string, error) {
			if n++; n == 2 {
				panic("mine")
			}
			return "ws://wstest/", nil
		}))
		u.drop(false)
		time.Sleep(2500 * time.Millisecond)
		u.expect("drop restore")
	}, greets(), greets(resumed(0, 0)))
}

// Each dial takes ten seconds at most, and there is one at a time.
func TestReconnect_OneSocketAtATime(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		u := s.dial(hurry())
		u.drop(false)
		time.Sleep(13 * time.Second)
		dials := u.dialed()
		if len(dials) != 3 || dials[2].Sub(dials[1]) != 11*time.Second {
			t.Errorf("dials at %v", dials)
		}
	}, greets(), func(*peer) {}, greets(resumed(0, 0)))
}

// The server knows that a session is over, and the client that all has come.
func TestClose_SaysBye(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		u := s.dial()
		u.say("a")
		start := time.Now()
		s.must(u.Close())
		s.hears("ack:0@0 a bye@1 close:1000")
		if took := time.Since(start); took != 0 || u.Pending() != 0 {
			t.Errorf("took %v, %d pending", took, u.Pending())
		}
		<-u.Done()
		u.expect("disconnect(nil)")
	}, greets())
}

// A server that does not answer is waited for within bounds.
func TestClose_NoAnswer(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		u := s.dial()
		u.conn().Upstream(wstest.Faults{BlackHole: true})
		u.say("a")
		start := time.Now()
		time.AfterFunc(time.Second, func() {
			if err := u.Send(client.Frame{}); !errors.Is(err, client.ErrConnectionClosed) {
				t.Error(err)
			}
		})
		s.must(u.Close())
		if took := time.Since(start); took != 5*time.Second || u.Pending() != 1 {
			t.Errorf("took %v, %d pending", took, u.Pending())
		}
		u.expect("disconnect(nil)")
		u.conn().Reset() // the server has not seen the end
	}, greets())
}

// Close waits for no callback, and Done for all of them.
func TestClose_OrderOfTheEnd(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		var words journal
		release := make(chan struct{})
		u := s.dial(client.WithOnMessage(func(c client.Client, f client.Frame) {
			_ = c.Close()
			words.add("%s", f.Event)
			<-release
		}), client.WithOnDisconnect(func(c client.Client, err error) {
			time.Sleep(time.Second)
			select {
			case <-c.Done():
				words.add("early")
			default:
				words.add("disconnect(%s)", name(err))
			}
			_ = c.Close()
		}))
		s.must(u.Close())
		words.add("closed")
		close(release)
		<-u.Done()
		if got := words.take(); !strings.HasSuffix(got, "disconnect(nil)") || strings.Contains(got, "early") {
			t.Errorf("%q", got)
		}
	}, func(p *peer) { p.say(welcome()); p.send("x", "y") })
}

// Nothing is dialed any more once the client is closed, wherever it stands.
func TestClose_WhileItDials(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		u := s.dial(hurry())
		u.drop(false)
		time.Sleep(3 * time.Second)
		start := time.Now()
		s.must(u.Close())
		if took := time.Since(start); took != 0 {
			t.Errorf("took %v", took)
		}
		<-u.Done()
		u.expect("drop disconnect(nil)")
		time.Sleep(time.Minute)
		if n := len(u.dialed()); n != 2 {
			t.Errorf("%d dials", n)
		}
	}, greets(), func(*peer) {})
}

func TestClose_WhileAFunctionBlocks(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		n := 0
		release := make(chan struct{})
		u := s.dial(hurry(), client.WithURL(func() (string, error) {
			if n++; n > 1 {
				<-release
			}
			return "ws://wstest/", nil
		}))
		u.drop(false)
		time.Sleep(3 * time.Second)
		start := time.Now()
		s.must(u.Close())
		if took := time.Since(start); took != 6*time.Second {
			t.Errorf("took %v", took)
		}
		close(release)
		<-u.Done()
		synctest.Wait()
	}, greets())
}

// What happens is told in the order in which it happened, also when it has happened long ago.
func TestCallbacks_Order(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		var u *user
		block, release := blocked(&u)
		u = s.dial(hurry(), block)
		u.say("a")
		time.Sleep(8 * time.Second)
		u.expect("")
		close(release)
		u.expect("x gap:2 y drop restore z drop lost:expired() restore w disconnect(kicked 1000)")
	}, func(p *peer) {
		p.say(welcome())
		p.send("x")
		p.say(gap(2, 1))
		p.send("y")
		p.wait(time.Second)
		_ = p.ws.NetConn().Close()
	}, func(p *peer) {
		p.say(welcome(resumed(1, 4)))
		p.send("z")
		p.wait(time.Second)
		_ = p.ws.NetConn().Close()
	}, func(p *peer) {
		p.say(welcome(lost("expired", 1)))
		p.send("w")
		p.wait(time.Second)
		p.say(control.Message{Type: control.Bye, Reason: "kicked", At: 1})
		p.close(1000, "")
	})
}
