package serve

import (
	"encoding/binary"
	"io"
	"net"
	"time"
)

// acks is the connection on which the load generator reports how far all members of a room have read, and on which it
// is told how many messages the server has received.
type acks struct {
	server   *server
	listener net.Listener
}

const (
	ackSize     = 8 // bytes: the room and a count, both 32 bits
	reportEvery = time.Millisecond
)

func listenForAcks(s *server) (*acks, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	a := &acks{server: s, listener: listener}
	go a.accept()
	return a, nil
}

func (a *acks) addr() string { return a.listener.Addr().String() }

func (a *acks) accept() {
	for {
		conn, err := a.listener.Accept()
		if err != nil {
			return
		}
		go a.read(conn)
		if a.server.receives {
			go a.report(conn)
		}
	}
}

func (a *acks) read(conn net.Conn) {
	buf := make([]byte, 512*ackSize)
	for {
		n, err := io.ReadAtLeast(conn, buf, ackSize)
		if err != nil {
			return
		}
		if odd := n % ackSize; odd > 0 {
			if _, err := io.ReadFull(conn, buf[n:n+ackSize-odd]); err != nil {
				return
			}
			n += ackSize - odd
		}
		for b := buf[:n]; len(b) > 0; b = b[ackSize:] {
			a.server.rooms[binary.LittleEndian.Uint32(b)].acknowledge(binary.LittleEndian.Uint32(b[4:]))
		}
	}
}

// report tells the load generator how many messages have been received, whenever that has changed.
func (a *acks) report(conn net.Conn) {
	var told int64
	for range time.Tick(reportEvery) {
		n := a.server.received.Load()
		if n == told {
			continue
		}
		if _, err := conn.Write(binary.LittleEndian.AppendUint64(nil, uint64(n))); err != nil {
			return
		}
		told = n
	}
}
