package peers

import (
	"net/http"
	"time"

	"github.com/lxzan/gws"
)

var gwsEntry = Entry{
	Name:    "gws",
	Module:  "github.com/lxzan/gws",
	About:   "One Broadcaster for each message over the application's room list; its queues have no bound. Deadlines are moved by the client's pings, as its documentation does it. Raw bytes; echo through encoding/json and WriteMessage.",
	Dialect: jsonDialect,
	Cannot:  map[string]string{"resume": noSessions, "heartbeat": "it leaves the pings to its clients"},
	Notes:   map[string]string{"unicast": "by Conn.WriteAsync, which does not wait for the peer"},
	New:     newGws,
}

type gwsPeer struct {
	gws.BuiltinEventHandler
	cfg      Config
	upgrader *gws.Upgrader
	rooms    rooms[*gws.Conn]
}

func newGws(cfg Config) (Peer, error) {
	p := &gwsPeer{cfg: cfg}
	p.upgrader = gws.NewUpgrader(p, &gws.ServerOption{ReadBufferSize: BufferSize})
	return p, nil
}

func (p *gwsPeer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	socket, err := p.upgrader.Upgrade(w, r)
	if err != nil {
		return
	}
	socket.Session().Store("room", r.URL.Query().Get("room"))
	go socket.ReadLoop()
}

func (p *gwsPeer) OnOpen(socket *gws.Conn) {
	_ = socket.SetDeadline(time.Now().Add(p.cfg.Pong))
	p.rooms.join(roomOf(socket), socket)
	p.cfg.Joined()
}

func (p *gwsPeer) OnClose(socket *gws.Conn, _ error) { p.rooms.leave(roomOf(socket), socket) }

func (p *gwsPeer) OnPing(socket *gws.Conn, payload []byte) {
	_ = socket.SetDeadline(time.Now().Add(p.cfg.Pong))
	_ = socket.WritePong(payload)
}

func (p *gwsPeer) OnMessage(socket *gws.Conn, message *gws.Message) {
	defer func() { _ = message.Close() }()
	if !p.cfg.Echo && p.cfg.Count == nil {
		return
	}
	reply, err := p.cfg.recode(message.Bytes())
	switch {
	case err != nil:
		socket.WriteClose(1003, nil)
	case p.cfg.Echo:
		_ = socket.WriteMessage(gws.OpcodeText, reply)
	default:
		p.cfg.Count()
	}
}

func (p *gwsPeer) Speaker(room string, size int) Speaker {
	message := Form{}.Stamped(size)
	return func(seq uint32, now int64) error {
		b := gws.NewBroadcaster(gws.OpcodeText, message(seq, now))
		p.rooms.each(room, func(socket *gws.Conn) { _ = b.Broadcast(socket) })
		return b.Close()
	}
}

func (p *gwsPeer) Unicaster(room string, size int) Speaker {
	return unicast(p.rooms.list(room), Form{}.Stamped(size), func(socket *gws.Conn, data []byte) error {
		socket.WriteAsync(gws.OpcodeText, data, nil)
		return nil
	})
}

func roomOf(socket *gws.Conn) string {
	room, _ := socket.Session().Load("room")
	name, _ := room.(string)
	return name
}
