package peers

import (
	"context"
	"net/http"

	"github.com/coder/websocket"
)

var coderEntry = Entry{
	Name:    "coder",
	Module:  "github.com/coder/websocket",
	About:   "The plainest server: a channel and a writing goroutine for each connection, its handler's goroutine reads, a room list under a lock; a write has a context with a timeout. No pings. Raw bytes; echo through encoding/json.",
	Dialect: jsonDialect,
	Cannot:  map[string]string{"resume": noSessions, "heartbeat": noPings},
	New:     newCoder,
}

type coderPeer struct {
	cfg   Config
	rooms rooms[*coderClient]
}

type coderClient struct {
	ws   *websocket.Conn
	send chan []byte // never closed
}

func newCoder(cfg Config) (Peer, error) { return &coderPeer{cfg: cfg}, nil }

func (p *coderPeer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		CompressionMode:    websocket.CompressionDisabled,
		InsecureSkipVerify: true,
	})
	if err != nil {
		return
	}
	defer func() { _ = ws.CloseNow() }()
	ws.SetReadLimit(int64(max(p.cfg.Size, 512)))
	c := &coderClient{ws: ws, send: make(chan []byte, p.cfg.Queue)}
	room := r.URL.Query().Get("room")
	p.rooms.join(room, c)
	defer p.rooms.leave(room, c)
	p.cfg.Joined()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go c.write(ctx)
	p.read(ctx, c)
}

func (p *coderPeer) read(ctx context.Context, c *coderClient) {
	for {
		_, data, err := c.ws.Read(ctx)
		if err != nil {
			return
		}
		if !p.cfg.Echo && p.cfg.Count == nil {
			continue
		}
		reply, err := p.cfg.recode(data)
		switch {
		case err != nil:
			return
		case p.cfg.Echo:
			c.send <- reply
		default:
			p.cfg.Count()
		}
	}
}

func (c *coderClient) write(ctx context.Context) {
	for {
		select {
		case data := <-c.send:
			if c.writeOne(ctx, data) != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

func (c *coderClient) writeOne(ctx context.Context, data []byte) error {
	ctx, cancel := context.WithTimeout(ctx, writeWait)
	defer cancel()
	return c.ws.Write(ctx, websocket.MessageText, data)
}

func (p *coderPeer) Speaker(room string, size int) Speaker {
	message := Form{}.Stamped(size)
	return func(seq uint32, now int64) error {
		data := message(seq, now)
		p.rooms.each(room, func(c *coderClient) { c.queue(data) })
		return nil
	}
}

func (p *coderPeer) Unicaster(room string, size int) Speaker {
	return unicast(p.rooms.list(room), Form{}.Stamped(size), func(c *coderClient, data []byte) error {
		c.queue(data)
		return nil
	})
}

func (c *coderClient) queue(data []byte) {
	select {
	case c.send <- data:
	default:
		go c.ws.Close(websocket.StatusPolicyViolation, "too slow")
	}
}
