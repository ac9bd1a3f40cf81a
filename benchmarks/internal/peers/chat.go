package peers

import (
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/gorilla/websocket"
)

var chatEntry = Entry{
	Name:    "chat",
	Module:  "github.com/gorilla/websocket",
	About:   "The chat pattern on gorilla/websocket: a hub goroutine with maps, a read and a write pump for each connection, one WriteMessage for each message. Raw bytes; echo through encoding/json.",
	Dialect: jsonDialect,
	Cannot:  map[string]string{"resume": noSessions},
	New:     newChat,
}

const writeWait = 10 * time.Second // for one write

type chatHub struct {
	cfg        Config
	upgrader   websocket.Upgrader
	register   chan *chatClient
	unregister chan *chatClient
	broadcast  chan chatMessage
	direct     chan chatDirect
	roster     chan chatRoster
	rooms      map[string]map[*chatClient]bool // owned by run
}

type chatMessage struct {
	room string
	data []byte
}

type chatDirect struct {
	client *chatClient
	data   []byte
}

// A chatRoster asks for the members of a room.
type chatRoster struct {
	room    string
	members chan<- []*chatClient // of capacity 1, never closed
}

type chatClient struct {
	hub  *chatHub
	room string
	ws   *websocket.Conn
	send chan []byte // closed by the hub
}

func newChat(cfg Config) (Peer, error) {
	h := &chatHub{
		cfg: cfg,
		upgrader: websocket.Upgrader{
			ReadBufferSize:  BufferSize,
			WriteBufferSize: BufferSize,
			CheckOrigin:     func(*http.Request) bool { return true },
		},
		register:   make(chan *chatClient),
		unregister: make(chan *chatClient),
		broadcast:  make(chan chatMessage),
		direct:     make(chan chatDirect),
		roster:     make(chan chatRoster),
		rooms:      make(map[string]map[*chatClient]bool),
	}
	go h.run()
	return h, nil
}

func (h *chatHub) run() {
	for {
		select {
		case c := <-h.register:
			if h.rooms[c.room] == nil {
				h.rooms[c.room] = make(map[*chatClient]bool)
			}
			h.rooms[c.room][c] = true
			h.cfg.Joined()
		case c := <-h.unregister:
			h.remove(c)
		case m := <-h.broadcast:
			for c := range h.rooms[m.room] {
				h.queue(c, m.data)
			}
		case m := <-h.direct:
			if h.rooms[m.client.room][m.client] {
				h.queue(m.client, m.data)
			}
		case q := <-h.roster:
			q.members <- slices.Collect(maps.Keys(h.rooms[q.room]))
		}
	}
}

func (h *chatHub) queue(c *chatClient, data []byte) {
	select {
	case c.send <- data:
	default:
		h.remove(c)
	}
}

// remove ends a client that has gone, or that does not keep up.
func (h *chatHub) remove(c *chatClient) {
	if h.rooms[c.room][c] {
		delete(h.rooms[c.room], c)
		close(c.send)
	}
}

func (h *chatHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ws, err := h.upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	c := &chatClient{hub: h, room: r.URL.Query().Get("room"), ws: ws, send: make(chan []byte, h.cfg.Queue)}
	h.register <- c
	go c.writePump()
	go c.readPump()
}

func (c *chatClient) readPump() {
	defer func() {
		c.hub.unregister <- c
		_ = c.ws.Close()
	}()
	cfg := &c.hub.cfg
	c.ws.SetReadLimit(int64(max(cfg.Size, 512)))
	expectPong := func(string) error { return c.ws.SetReadDeadline(time.Now().Add(cfg.Pong)) }
	_ = expectPong("")
	c.ws.SetPongHandler(expectPong)
	for {
		_, data, err := c.ws.ReadMessage()
		if err != nil {
			return
		}
		if !cfg.Echo && cfg.Count == nil {
			continue
		}
		reply, err := cfg.recode(data)
		switch {
		case err != nil:
			return
		case cfg.Echo:
			c.send <- reply
		default:
			cfg.Count()
		}
	}
}

func (c *chatClient) writePump() {
	ping := time.NewTicker(c.hub.cfg.Ping)
	defer func() {
		ping.Stop()
		_ = c.ws.Close()
	}()
	for {
		select {
		case data, ok := <-c.send:
			_ = c.ws.SetWriteDeadline(time.Now().Add(writeWait))
			if !ok {
				_ = c.ws.WriteMessage(websocket.CloseMessage, nil)
				return
			}
			if c.ws.WriteMessage(websocket.TextMessage, data) != nil {
				return
			}
		case <-ping.C:
			_ = c.ws.SetWriteDeadline(time.Now().Add(writeWait))
			if c.ws.WriteMessage(websocket.PingMessage, nil) != nil {
				return
			}
		}
	}
}

func (h *chatHub) Speaker(room string, size int) Speaker {
	message := Form{}.Stamped(size)
	return func(seq uint32, now int64) error {
		h.broadcast <- chatMessage{room, message(seq, now)}
		return nil
	}
}

func (h *chatHub) Unicaster(room string, size int) Speaker {
	members := make(chan []*chatClient, 1)
	h.roster <- chatRoster{room, members}
	return unicast(<-members, Form{}.Stamped(size), func(c *chatClient, data []byte) error {
		h.direct <- chatDirect{c, data}
		return nil
	})
}
