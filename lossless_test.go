package wspulse

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"testing"

	"github.com/wspulse/server/internal/control"
	"github.com/wspulse/server/internal/wire"
)

// A numberedPeer is what a client of wspulse.v1 counts.
type numberedPeer struct {
	got      []int  // numbers of messages, in the order in which they came
	received uint64 // messages and gaps
	lost     uint64 // in gaps
}

// read takes what the peer gets by a transport, from the beginning, and checks what the control messages say.
func (p *numberedPeer) read(stream []byte) (rest []byte, err error) {
	for len(stream) >= 2 {
		opcode, header, size := wire.Opcode(stream[0]&0xf), 2, int(stream[1])
		if size == 126 {
			if len(stream) < 4 {
				break
			}
			header, size = 4, int(stream[2])<<8|int(stream[3])
		}
		if len(stream) < header+size {
			break
		}
		payload := stream[header : header+size]
		stream = stream[header+size:]
		if opcode == wire.OpText {
			n, _ := strconv.Atoi(string(payload))
			p.got = append(p.got, n)
			p.received++
			continue
		}
		m, err := control.Parse(payload, control.Hello, control.Gap, control.Ack, control.Ping, control.Pong)
		switch {
		case err != nil:
			return nil, err
		case m.At != p.received:
			return nil, fmt.Errorf("%s at %d, the peer has %d", m.Type, m.At, p.received)
		case m.Type == control.Gap:
			p.received += m.N
			p.lost += m.N
		}
	}
	return stream, nil
}

// Whatever is queued, written in part, acknowledged, dropped, and however often the transport is lost: the peer gets
// each message once and in order, or is told that it was dropped.
func TestOutbox_Numbered(t *testing.T) {
	for seed := range uint64(3000) {
		random := rand.New(rand.NewPCG(seed, 1))
		h, _ := newQuietHub(0, 1+random.IntN(8), NoopCollector{})
		if random.IntN(2) == 0 {
			h.bound.bytes = 15 + random.IntN(20)
		}
		s := newSession(h, "alice", "")
		o := &s.outbox
		o.ledger = newLedger(s)
		o.ledger.most, o.ledger.keeps = ackWindow{1 + random.IntN(8), 1 << 20}, true
		var (
			peer     numberedPeer
			offered  int
			dropped  int
			sent     int // as the collector is told
			link     *link
			batch    = h.batches.Get(false, false)
			network  []byte // what is under way
			stream   []byte // what has come of a message
			steps    []string
			accepted []int
		)
		note := func(format string, args ...any) { steps = append(steps, fmt.Sprintf(format, args...)) }
		message := func() *wire.Frame {
			offered++
			return wire.New(wire.OpText, fmt.Appendf(nil, "%0*d", 1+random.IntN(20), offered))
		}
		fail := func(err error) {
			t.Fatalf("seed %d: %v\n%q", seed, err, steps[max(0, len(steps)-30):])
		}
		reconnect := func(afterClaim func()) {
			_, late, ok := o.claim(peer.received)
			if !ok {
				fail(fmt.Errorf("the claim of %d is refused; %+v", peer.received, o.ledger))
			}
			sent += notGaps(late)
			afterClaim()
			link = newTestLink(h)
			network, stream = nil, nil
			o.attach(link, &control.Welcome{})
			note("reconnect at %d", peer.received)
		}
		count := func(fresh []*wire.Frame, _, _ int) { sent += notGaps(fresh) }
		deliver := func(n int) {
			var err error
			if stream, err = peer.read(append(stream, network[:n]...)); err != nil {
				fail(err)
			}
			network = network[n:]
		}
		var write func(whole, goesOn, takenOver bool) (over bool)
		write = func(whole, goesOn, takenOver bool) (over bool) {
			if task := o.take(link, batch); task == taskNothing {
				return true
			}
			for p := batch.Next(); len(p) > 0; p = batch.Next() {
				n := len(p)
				if !whole {
					n = random.IntN(len(p) + 1)
				}
				network = append(network, p[:n]...)
				if batch.Wrote(n); n < len(p) {
					break
				}
			}
			messages, rest, message := batch.Sent(), []byte(nil), (*wire.Frame)(nil)
			if goesOn && batch.Begun() > 0 {
				rest, message = batch.Rest()
			}
			writer := link
			if takenOver {
				deliver(random.IntN(len(network) + 1))
				messages = slices.Clone(messages)
				batch.Reset()
				if random.IntN(2) == 0 {
					reconnect(func() {})
				} else {
					reconnect(func() { count(o.written(writer, messages, message != nil)) })
					messages = nil
				}
				for over := false; !over; over = write(true, true, false) {
				}
			}
			note("wrote %d messages, and %d bytes", len(messages), len(rest))
			count(o.written(writer, messages, message != nil))
			batch.Reset()
			if writer != link {
				if !o.more(writer) || o.pumping {
					fail(errors.New("a writer that was replaced is mistaken for the one in its place"))
				}
				return false
			}
			if network = append(network, rest...); message != nil {
				count(o.written(writer, []*wire.Frame{message}, false))
			}
			if n, _ := o.window.Numbered(); n > o.ledger.most.frames+1 { // with a gap
				fail(fmt.Errorf("%d are numbered", n))
			}
			return false
		}
		reconnect(func() {})
		for range 60 {
			switch random.IntN(11) {
			case 8, 9:
				deliver(random.IntN(len(network) + 1))
				note("the peer has %d", peer.received)
			case 0, 1:
				f := message()
				if _, err := o.offer(f); err == nil {
					accepted = append(accepted, offered)
				}
				note("offer %d", offered)
			case 2:
				var frames []*wire.Frame
				for range random.IntN(4) {
					frames = append(frames, message())
					accepted = append(accepted, offered)
				}
				_, lost, _ := o.push(frames)
				dropped += lost
				note("push %d, %d lost", len(frames), lost)
			case 3, 4:
				write(true, true, false)
			case 6:
				write(false, true, random.IntN(4) == 0)
			case 5:
				write(false, false, false) // and the transport is lost
				o.detach()
				reconnect(func() {})
			case 7:
				n := o.ledger.acknowledged + uint64(random.IntN(int(peer.received-o.ledger.acknowledged)+1))
				if o.ledger.hello != nil {
					break // the peer has not got it
				}
				l, _, err := o.hear(link, control.Message{Type: control.Ack, N: n})
				if l != nil && l != link || err != nil && n == peer.received {
					fail(fmt.Errorf("of %d: %v", n, err))
				}
				note("acknowledge %d", n)
			default:
				o.ledger.ping, o.ledger.ack = true, random.IntN(2) == 0
			}
		}
		for range 1000 {
			over := write(true, true, false)
			deliver(len(network))
			if over && o.waiting() == 0 && o.ledger.lost == 0 {
				break
			}
			if o.ledger.hello == nil {
				if _, _, err := o.hear(link, control.Message{Type: control.Ack, N: peer.received}); err != nil {
					fail(err)
				}
			}
		}
		want := slices.DeleteFunc(slices.Clone(accepted), func(n int) bool { return !slices.Contains(peer.got, n) })
		if !slices.Equal(peer.got, want) {
			fail(fmt.Errorf("got %v", peer.got))
		}
		if untold := uint64(o.ledger.lost); untold > 0 || uint64(dropped) != peer.lost || len(peer.got)+dropped != len(accepted) {
			fail(fmt.Errorf("%d were dropped, the peer was told of %d, and is to be told of %d", dropped, peer.lost, untold))
		}
		if sent+dropped != len(accepted) {
			fail(fmt.Errorf("of %d messages %d count as sent and %d as dropped", len(accepted), sent, dropped))
		}
	}
}

// A link says bye when its peer is back: with what it has sent itself.
func TestOutbox_ByeOfALinkWhosePeerIsBack(t *testing.T) {
	h, _ := newQuietHub(0, 8, NoopCollector{})
	s := newSession(h, "alice", "")
	o := &s.outbox
	o.ledger = newLedger(s)
	o.ledger.most, o.ledger.keeps = ackWindow{8, 1 << 20}, true
	old, batch := newTestLink(h), h.batches.Get(false, false)
	old.session = s
	o.attach(old, &control.Welcome{})
	for range 3 {
		_, _ = o.offer(wire.New(wire.OpText, []byte("x")))
	}
	o.take(old, batch)
	batch.Wrote(len(batch.Next()))
	o.written(old, batch.Sent(), false)
	o.detach()
	if _, _, ok := o.claim(1); !ok {
		t.Fatal("the claim is refused")
	}
	o.attach(newTestLink(h), &control.Welcome{})
	last := old.farewell(control.Message{Reason: "x"}, wire.Close(1000, ""))
	if want := []byte(`"at":3}`); !bytes.Contains(last.Bytes, want) {
		t.Errorf("%q, want %s", last.Bytes, want)
	}
}

func newTestLink(h *hub) *link {
	conn, _ := net.Pipe()
	return &link{hub: h, socket: wire.NewSocket(conn), v1: &numbering{}}
}
