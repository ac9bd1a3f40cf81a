package main

import (
	"net"
	"time"

	"golang.org/x/sys/unix"

	"github.com/wspulse/server/wstest"
)

// The ailments, each a part of a sick peer's life. They may end at any time.
var ailments = [...]struct {
	name   string
	suffer func(*sickPeer)
}{
	{"cut", (*sickPeer).cut},
	{"reset", (*sickPeer).reset},
	{"black hole", (*sickPeer).blackHole},
	{"gap in the line", (*sickPeer).gap},
	{"delay", (*sickPeer).delay},
	{"throttle", (*sickPeer).throttle},
	{"slow reader", (*sickPeer).slow},
	{"deaf", (*sickPeer).deaf},
	{"mute", (*sickPeer).mute},
	{"flood", (*sickPeer).flood},
	{"storm", (*sickPeer).storm},
	{"gibberish", (*sickPeer).gibber},
	{"twin", (*sickPeer).twin},
	{"resume", (*sickPeer).resume},
	{"late", (*sickPeer).late},
	{"none", (*sickPeer).nothing},
}

const (
	tightWindow = 2 << 10 // of the network in front of a peer that reads too little, in bytes
	someBytes   = 20 << 10
	handshake   = 300 // bytes, about
)

// someWhile is how long most links last, if they do.
func (p *sickPeer) someWhile() time.Duration {
	return p.between(p.ward.plan.window/10, 3*p.ward.plan.window)
}

// bytes is after how many bytes a connection breaks: often within the handshake.
func (p *sickPeer) bytes() int64 {
	if p.random.IntN(3) == 0 {
		return 1 + p.random.Int64N(handshake)
	}
	return 1 + p.random.Int64N(someBytes)
}

// directions returns faults as those of one direction, the other, or both.
func (p *sickPeer) directions(f wstest.Faults) (up, down wstest.Faults) {
	n := p.random.IntN(3)
	if n != 0 {
		up = f
	}
	if n != 1 {
		down = f
	}
	return up, down
}

// with keeps a link with these faults for a while.
func (p *sickPeer) with(up, down wstest.Faults) {
	if l := p.dial(up, down); l != nil {
		p.stay(l, p.someWhile())
		p.part(l)
	}
}

func (p *sickPeer) cut()   { p.with(p.directions(wstest.Faults{CutAfter: p.bytes()})) }
func (p *sickPeer) reset() { p.with(p.directions(wstest.Faults{ResetAfter: p.bytes()})) }

func (p *sickPeer) delay() {
	p.with(wstest.Faults{Latency: p.between(0, 300*time.Millisecond)}, wstest.Faults{Latency: p.between(0, 300*time.Millisecond)})
}

func (p *sickPeer) throttle() {
	rate := wstest.Rate{Bytes: 128 + p.random.IntN(1024), Every: 100 * time.Millisecond}
	p.with(p.directions(wstest.Faults{Throttle: rate, Window: tightWindow}))
}

// vanish connects, and loses the network after a while without a word. It returns nil where it could not connect.
func (p *sickPeer) vanish() *link {
	l := p.dialWell()
	if l == nil {
		return nil
	}
	p.stay(l, p.between(0, p.ward.plan.window/3))
	up, down := p.directions(wstest.Faults{BlackHole: true})
	l.network.Upstream(up)
	l.network.Downstream(down)
	return l
}

// blackHole vanishes. The server has to find out.
func (p *sickPeer) blackHole() {
	l := p.vanish()
	if l == nil {
		return
	}
	p.stay(l, p.ward.plan.pong+p.ward.plan.ping)
	p.part(l)
}

// gap loses the network for less than the server's patience.
func (p *sickPeer) gap() {
	l := p.vanish()
	if l == nil {
		return
	}
	p.sleep(p.between(0, p.ward.plan.pong/2))
	l.network.Upstream(wstest.Faults{})
	l.network.Downstream(wstest.Faults{})
	p.stay(l, p.someWhile())
	p.part(l)
}

// slow reads a frame now and then.
func (p *sickPeer) slow() {
	pause := p.between(20*time.Millisecond, 500*time.Millisecond)
	l := p.dial(wstest.Faults{}, wstest.Faults{Window: tightWindow}, func(l *link) {
		l.before = func() {
			if !l.leaving.Load() {
				time.Sleep(pause)
			}
		}
	})
	if l != nil {
		p.stay(l, 2*p.someWhile())
		p.part(l)
	}
}

// deaf stops reading for good.
func (p *sickPeer) deaf() {
	reads, over := p.random.IntN(10), make(chan struct{})
	l := p.dial(wstest.Faults{}, wstest.Faults{Window: tightWindow}, func(l *link) {
		l.before = func() {
			if reads--; reads < 0 {
				<-over
			}
		}
	})
	if l != nil {
		p.stay(l, p.between(0, 2*p.ward.plan.window+p.ward.plan.writeWait))
		close(over)
		p.part(l)
	}
}

// mute hears everything, and after a while answers no ping. It is in the quiet room, since the broadcasts that its TCP
// takes would give it time.
func (p *sickPeer) mute() {
	p = p.quiet
	l := p.dialWell()
	if l == nil {
		return
	}
	p.stay(l, p.between(0, p.ward.plan.window/3))
	l.network.Upstream(wstest.Faults{BlackHole: true})
	p.stay(l, p.ward.plan.pong+2*p.ward.plan.ping)
	p.part(l)
}

// flood says a lot, and reads none of the echoes meanwhile.
func (p *sickPeer) flood() {
	over := make(chan struct{})
	l := p.dial(wstest.Faults{}, wstest.Faults{Window: tightWindow}, func(l *link) {
		l.before = func() { <-over }
	})
	if l == nil {
		return
	}
	for range 100 + p.random.IntN(100) {
		if l.say(large) != nil {
			break
		}
	}
	p.sleep(p.between(0, time.Second))
	if p.random.IntN(2) == 0 {
		l.network.Reset() // in the middle of a write of the server
	}
	close(over)
	p.stay(l, p.someWhile()/2)
	p.part(l)
}

// storm connects many times, and vanishes at some point of the handshake.
func (p *sickPeer) storm() {
	request := "GET /?id=" + p.account.id + " HTTP/1.1\r\nHost: soak\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
	dialer := net.Dialer{Timeout: patience, Control: kernelBuffers(unix.SO_RCVBUF)}
	for range 5 + p.random.IntN(10) {
		conn, err := dialer.DialContext(p.ctx, "tcp4", p.ward.host.addr)
		if err != nil {
			return
		}
		_, _ = conn.Write([]byte(request[:min(p.random.IntN(2*len(request)), len(request))]))
		p.sleep(p.between(0, 5*time.Millisecond))
		if p.random.IntN(2) == 0 {
			_ = conn.(*net.TCPConn).SetLinger(0) // closing resets
		}
		conn.Close()
	}
}

// gibber breaks the protocol.
func (p *sickPeer) gibber() {
	l := p.dialWell()
	if l == nil {
		return
	}
	p.stay(l, p.between(0, p.ward.plan.window/3))
	for range 1 + p.random.IntN(5) {
		_ = l.ws.NetConn().SetWriteDeadline(time.Now().Add(writeTime))
		if _, err := l.ws.NetConn().Write(p.gibberish()); err != nil {
			break
		}
		p.sleep(p.between(0, 50*time.Millisecond))
	}
	p.stay(l, p.someWhile()/2)
	p.part(l)
}

// gibberish is random bytes, or a frame of them with random flags and a random opcode.
func (p *sickPeer) gibberish() []byte {
	const masked, longest = 0x80, 125 // RFC 6455, section 5.2
	if p.random.IntN(2) == 0 {
		return p.noise(1 + p.random.IntN(maxMessage/4))
	}
	n := p.random.IntN(longest + 1)
	return append([]byte{byte(p.random.Uint32()), masked | byte(n)}, p.noise(4+n)...)
}

func (p *sickPeer) noise(n int) []byte {
	noise := make([]byte, n)
	for i := range noise {
		noise[i] = byte(p.random.Uint32())
	}
	return noise
}

// twin connects again while the old connection is alive, or looks so.
func (p *sickPeer) twin() {
	old := p.dialWell()
	if old == nil {
		return
	}
	p.stay(old, p.between(0, p.ward.plan.window))
	if p.random.IntN(2) == 0 {
		old.network.Upstream(wstest.Faults{BlackHole: true})
		old.network.Downstream(wstest.Faults{BlackHole: true})
	}
	l := p.dialWell()
	if l != nil {
		p.stay(l, p.someWhile())
	}
	p.part(old, l)
}

// resume loses one connection after the other, and comes back at once.
func (p *sickPeer) resume() {
	for range 2 + p.random.IntN(5) {
		l := p.dialWell()
		if l == nil {
			return
		}
		p.stay(l, p.between(0, p.ward.plan.window/2))
		if p.random.IntN(2) == 0 {
			l.network.Reset()
		}
		p.part(l)
	}
}

// late comes back after the window.
func (p *sickPeer) late() {
	p.nothing()
	p.sleep(p.ward.plan.window + p.between(0, p.ward.plan.window/4))
	p.nothing()
}

// nothing is wrong.
func (p *sickPeer) nothing() {
	if l := p.dialWell(); l != nil {
		p.stay(l, p.someWhile())
		l.leave()
		p.part(l)
	}
}
