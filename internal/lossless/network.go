package lossless

import (
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/wspulse/server/wstest"
)

// A Network is what is between one client and the server: a proxy. It ends with the test.
type Network struct {
	t      testing.TB
	server string
	faults *Faults

	mu       sync.Mutex
	addr     string
	listener net.Listener // nil: it is killed
	carries  map[*carry]struct{}
	last     *carry
	lose     int // answers to dials that are lost
	dials    int
	most     int // connections at once
}

// A carry is one connection through the network.
type carry struct {
	client *net.TCPConn
	conn   *wstest.Conn // to the server
	gone   bool         // what the client does is not told to the server any more. Guarded by the network's mu
}

// NewNetwork starts one between a client and the server.
func (p *Proof) NewNetwork() *Network {
	n := &Network{t: p.t, server: p.addr, faults: &p.Faults, addr: "127.0.0.1:0", carries: make(map[*carry]struct{})}
	n.Restart()
	p.t.Cleanup(n.Kill)
	return n
}

// URL returns where the client is to connect.
func (n *Network) URL() string { return "ws://" + n.addr + "/ws" }

// Restart begins to listen again, at the same address.
func (n *Network) Restart() {
	n.t.Helper()
	listener, err := net.Listen("tcp", n.addr)
	if err != nil {
		n.t.Fatal(err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.addr, n.listener = listener.Addr().String(), listener
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go n.carry(client.(*net.TCPConn))
		}
	}()
}

// Kill resets all connections. Nobody listens from then on.
func (n *Network) Kill() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listener != nil {
		n.listener.Close()
		n.listener = nil
	}
	for c := range n.carries {
		c.conn.Reset()
		_ = c.client.SetLinger(0)
		c.client.Close()
	}
}

// Dials returns how many connections there have been.
func (n *Network) Dials() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dials
}

// Most returns how many connections have been there at once at the most, without those whose client has given them up.
func (n *Network) Most() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.most
}

// carry carries bytes both ways until there is an end to it.
func (n *Network) carry(client *net.TCPConn) {
	defer client.Close()
	tcp, err := net.Dial("tcp", n.server)
	if err != nil {
		return
	}
	c := n.add(client, tcp)
	defer n.remove(c)
	up := make(chan struct{})
	go func() {
		defer close(up)
		_, err := io.Copy(c.conn, client)
		n.mu.Lock()
		defer n.mu.Unlock()
		switch {
		case c.gone:
			delete(n.carries, c)
		case err == nil:
			_ = c.conn.CloseWrite()
		default:
			c.conn.Reset()
		}
	}()
	if _, err := io.Copy(client, c.conn); err != nil {
		_ = client.SetLinger(0)
	}
	client.Close()
	<-up
}

func (n *Network) add(client *net.TCPConn, tcp net.Conn) *carry {
	n.mu.Lock()
	defer n.mu.Unlock()
	var down wstest.Faults
	if n.lose > 0 {
		n.lose--
		down = HelloFaults()
		n.faults.Note(HelloLost)
	}
	c := &carry{client: client, conn: wstest.Wrap(tcp, wstest.Faults{}, down)}
	n.carries[c] = struct{}{}
	n.last = c
	n.dials++
	n.most = max(n.most, len(n.carries))
	return c
}

func (n *Network) remove(c *carry) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.carries, c)
	if !c.gone {
		c.conn.Close()
	}
}

// Strike has a fault happen to the connection of now. It does nothing when there has been none, or when that is in a
// black hole, which the client is to find out.
func (n *Network) Strike(kind Fault) {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := n.last
	if c == nil || c.gone {
		return
	}
	if kind == BlackHole {
		c.gone = true
		n.t.Cleanup(func() { c.conn.Close() })
	}
	if kind == HelloLost {
		n.lose += 1 + rand.IntN(4) // they are counted where they happen
	} else {
		n.faults.Note(kind)
	}
	kind.Strike(c.conn)
}

// Suffer has faults happen, a pause apart on average, until quit is closed, and heals what they have left. They come in
// rounds of all kinds, in random order; the first is of that kind.
func (n *Network) Suffer(kind Fault, pause time.Duration, quit <-chan struct{}) {
	var round []int
	for {
		select {
		case <-time.After(time.Duration(rand.Int64N(int64(2*pause)) + 1)):
			n.Strike(kind)
			if len(round) == 0 {
				round = rand.Perm(int(Kinds))
			}
			kind, round = Fault(round[0]), round[1:]
		case <-quit:
			n.heal()
			return
		}
	}
}

func (n *Network) heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lose = 0
	for c := range n.carries {
		if !c.gone {
			c.conn.Upstream(wstest.Faults{})
			c.conn.Downstream(wstest.Faults{})
		}
	}
}
