package peers

import (
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"net"
	"net/http"
)

// The floors do what no server can do without: a queue and a goroutine for each connection, and the system call.

// Why the floors cannot run some scenarios.
const (
	floorBlind    = "it does not decode"
	floorPatience = "it knows nothing of slow peers"
	floorAlone    = "one message in flight leaves nothing to batch"
)

var floorEntry = Entry{
	Name:    "floor",
	About:   "Writes prebuilt frames to the socket, one write for each. Raw bytes. No deadlines, no pings. Echo: the goroutine that reads a message writes the same bytes, without a look at them.",
	Dialect: jsonDialect,
	Cannot:  map[string]string{"fanin": floorBlind, "resume": noSessions, "slow": floorPatience, "heartbeat": noPings, "callbacks": noCallbacks},
	New:     func(cfg Config) (Peer, error) { return &floorPeer{cfg: cfg, batch: 1}, nil },
}

var batchFloorEntry = Entry{
	Name:   "floor64",
	About:  "The same with up to 64 queued frames copied into one write.",
	Cannot: map[string]string{"echo": floorAlone, "fanin": floorBlind, "resume": noSessions, "slow": floorPatience, "heartbeat": noPings, "callbacks": noCallbacks},
	New:    func(cfg Config) (Peer, error) { return &floorPeer{cfg: cfg, batch: 64}, nil },
}

type floorPeer struct {
	cfg   Config
	batch int
	rooms rooms[*floorClient]
}

type floorClient struct {
	conn net.Conn
	send chan []byte // never closed
}

func (p *floorPeer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	const guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" // RFC 6455, section 1.3
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + guid))
	_, err = conn.Write([]byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(sum[:]) + "\r\n\r\n"))
	if err != nil {
		_ = conn.Close()
		return
	}
	c := &floorClient{conn: conn, send: make(chan []byte, p.cfg.Queue)}
	p.rooms.join(r.URL.Query().Get("room"), c)
	p.cfg.Joined()
	switch {
	case p.cfg.Echo:
		go c.echo()
	case p.batch == 1:
		go c.writeEach()
	default:
		go c.writeBatches(p.batch)
	}
}

// echo answers what comes in one read with one write. The messages are small, and the next comes after the answer.
func (c *floorClient) echo() {
	const smallHeader, largeHeader, maskSize = 2, 4, 4 // RFC 6455, section 5.2
	buf := make([]byte, BufferSize)
	for {
		n, err := c.conn.Read(buf)
		if err != nil {
			return
		}
		header := smallHeader
		if buf[1]&0x7f == 126 {
			header = largeHeader
		}
		mask, payload := buf[header:header+maskSize], buf[header+maskSize:n]
		for i := range payload {
			payload[i] ^= mask[i%maskSize]
		}
		reply := buf[maskSize:n] // the header takes the place of the mask
		copy(reply, buf[:header])
		reply[1] &= 0x7f
		if _, err := c.conn.Write(reply); err != nil {
			return
		}
	}
}

func (c *floorClient) writeEach() {
	for frame := range c.send {
		if _, err := c.conn.Write(frame); err != nil {
			return
		}
	}
}

func (c *floorClient) writeBatches(limit int) {
	var buf []byte
	for frame := range c.send {
		out := frame
		if len(c.send) > 0 {
			buf = append(buf[:0], frame...)
			for n := 1; n < limit && len(c.send) > 0; n++ {
				buf = append(buf, <-c.send...)
			}
			out = buf
		}
		if _, err := c.conn.Write(out); err != nil {
			return
		}
	}
}

func (p *floorPeer) Speaker(room string, size int) Speaker {
	message := Form{string(textHeader(size)), ""}.Stamped(size + len(textHeader(size)))
	return func(seq uint32, now int64) error {
		frame := message(seq, now)
		p.rooms.each(room, func(c *floorClient) { c.send <- frame })
		return nil
	}
}

func (p *floorPeer) Unicaster(room string, size int) Speaker {
	message := Form{string(textHeader(size)), ""}.Stamped(size + len(textHeader(size)))
	return unicast(p.rooms.list(room), message, func(c *floorClient, frame []byte) error {
		c.send <- frame
		return nil
	})
}

// textHeader is the header of an unmasked text message (RFC 6455, section 5.2).
func textHeader(size int) []byte {
	const final, text = 0x80, 0x1
	switch {
	case size < 126:
		return []byte{final | text, byte(size)}
	case size < 1<<16:
		return binary.BigEndian.AppendUint16([]byte{final | text, 126}, uint16(size))
	default:
		return binary.BigEndian.AppendUint64([]byte{final | text, 127}, uint64(size))
	}
}
