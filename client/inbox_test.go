package client_test

import (
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/client"
	"github.com/wspulse/server/internal/control"
)

// blocked is OnMessage that waits until it is released, and then does what the other one does.
func blocked(u **user) (option client.Option, release chan struct{}) {
	release = make(chan struct{})
	return client.WithOnMessage(func(_ client.Client, f client.Frame) {
		<-release
		(*u).events.add("%s", f.Event)
	}), release
}

// many are n messages.
func many(n int) []string { return slices.Repeat([]string{"m"}, n) }

func TestAck_OnReceipt(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		var u *user
		block, release := blocked(&u)
		u = s.dial(block)
		s.hears("ack:0@0")
		time.Sleep(2*time.Second - time.Nanosecond)
		s.hears("")
		time.Sleep(time.Nanosecond)
		s.hears("ack:2@0")
		time.Sleep(time.Minute)
		s.hears("")
		close(release)
		u.expect("a b")
	}, func(p *peer) {
		p.say(welcome(func(m *control.Message) { m.Hello.Heartbeat = 60_000 }))
		p.wait(time.Second)
		p.send("a", "b")
	})
}

func TestAck_After64Messages(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		s.dial()
		time.Sleep(1100 * time.Millisecond)
		s.hears("ack:0@0 ack:64@0")
		time.Sleep(time.Second)
		s.hears("")
		time.Sleep(time.Second)
		s.hears("ack:65@0")
	}, func(p *peer) {
		p.say(welcome())
		p.wait(time.Second)
		p.send(many(64)...)
		p.wait(time.Second)
		p.send("m")
	})
}

func TestAck_After32KiB(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		s.dial()
		time.Sleep(1100 * time.Millisecond)
		s.hears("ack:0@0 ack:2@0")
	}, func(p *peer) {
		p.say(welcome())
		p.wait(time.Second)
		p.send(strings.Repeat("x", 16<<10), strings.Repeat("x", 16<<10))
	})
}

// Callbacks that block hold acknowledgements back, and nothing else: pings are answered, and acknowledgements heard.
func TestInbox_FullHoldsAcknowledgementsBack(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		var u *user
		block, release := blocked(&u)
		u = s.dial(block)
		time.Sleep(3 * time.Second)
		words := strings.Fields(s.heard.take())
		if last := words[len(words)-1]; last != "ack:1023@0" && last != "ack:1024@0" {
			t.Errorf("the server heard %q", words)
		}
		u.say("a")
		time.Sleep(time.Minute)
		s.hears("a pong(still there?)")
		if n := u.Pending(); n != 0 {
			t.Errorf("%d pending", n)
		}
		close(release)
		synctest.Wait()
		if got := strings.Fields(s.heard.take()); len(got) != 1 || got[0] != "ack:1100@1" {
			t.Errorf("the server heard %q", got)
		}
	}, func(p *peer) {
		p.say(welcome(func(m *control.Message) { m.Hello.Heartbeat = 60_000 }))
		p.wait(time.Second)
		p.send(many(1100)...)
		p.wait(30 * time.Second)
		_ = p.ws.WriteControl(9, []byte("still there?"), time.Time{})
		p.say(ack(1, 1100))
	})
}

// What waits for callbacks has a bound all the same: a server that keeps no sessions waits for it.
func TestInbox_Bounded(t *testing.T) {
	const messages = 20_000
	play(t, func(t *testing.T, s *script) {
		release, got := make(chan struct{}), 0
		s.dial(client.WithOnMessage(func(client.Client, client.Frame) { <-release; got++ }))
		time.Sleep(2 * time.Second)
		s.hears("")
		close(release)
		s.hears("all sent")
		if got != messages {
			t.Errorf("%d came", got)
		}
	}, func(p *peer) {
		p.say(welcome(noWindow))
		p.wait(time.Second)
		p.send(many(messages)...)
		p.heard.add("all sent")
	})
}

// Messages of a session that is lost wait for their callbacks. They are none of the new session's.
func TestSessionLost_WhileItsMessagesWait(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		var u *user
		block, release := blocked(&u)
		u = s.dial(block, hurry())
		synctest.Wait()
		s.heard.take()
		u.drop(false)
		time.Sleep(2 * time.Second)
		close(release)
		time.Sleep(2 * time.Second)
		s.hears("ack:0@0")
		u.expect("a b drop lost:expired() restore")
	}, func(p *peer) { p.say(welcome()); p.send("a", "b") }, greets(lost("expired", 0)))
}

func TestPanic_InACallbackIsLogged(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		core, logs := observer.New(zap.WarnLevel)
		u := s.dial(client.WithLogger(zap.New(core)), hurry(),
			client.WithOnTransportDrop(func(client.Client, error) { panic("drop") }),
			client.WithOnTransportRestore(func(client.Client) { panic("restore") }),
			client.WithOnGap(func(client.Client, int) { panic("gap") }),
			client.WithOnSessionLost(func(client.Client, client.Lost) { panic("lost") }),
			client.WithOnDisconnect(func(client.Client, error) { panic("disconnect") }))
		synctest.Wait()
		u.drop(false)
		time.Sleep(2 * time.Second)
		_ = u.Close()
		<-u.Done()
		u.expect("x y")
		var panics []string
		for _, entry := range logs.All() {
			if text, ok := entry.ContextMap()["panic"].(string); ok {
				panics = append(panics, text)
			}
		}
		if got := strings.Join(panics, " "); got != "gap drop lost restore disconnect" {
			t.Errorf("logged %q", got)
		}
	}, func(p *peer) { p.say(welcome()); p.send("x"); p.say(gap(1, 1)); p.send("y") }, greets(lost("expired", 0)))
}

func TestCallbacks_EndTheirGoroutine(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		var got journal
		s.dial(client.WithOnMessage(func(_ client.Client, f client.Frame) {
			if f.Event == "a" {
				runtime.Goexit()
			}
			got.add("%s", f.Event)
		}))
		time.Sleep(2 * time.Second)
		if words := got.take(); words != "b" {
			t.Errorf("the client heard %q", words)
		}
	}, func(p *peer) { p.say(welcome()); p.wait(time.Second); p.send("a", "b") })
}

// A codec that panics poisons one message.
type poisonCodec struct{ client.Codec }

func (c poisonCodec) Decode(data []byte) (client.Frame, error) {
	if strings.Contains(string(data), "poison") {
		panic("poison")
	}
	return c.Codec.Decode(data)
}

func TestPanic_InTheCodec(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		u := s.dial(client.WithCodec(poisonCodec{wspulse.JSONCodec}))
		time.Sleep(2 * time.Second)
		u.expect("a b")
		s.hears("ack:0@0 ack:3@0")
	}, func(p *peer) { p.say(welcome()); p.wait(time.Second); p.send("a", "poison", "b") })
}
