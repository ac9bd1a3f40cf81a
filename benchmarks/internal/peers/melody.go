package peers

import (
	"net/http"

	"github.com/olahol/melody"
)

var melodyEntry = Entry{
	Name:    "melody",
	Module:  "github.com/olahol/melody",
	About:   "Broadcast where there is one room; where there are many, BroadcastMultiple over the application's room list, since BroadcastFilter visits every session. Raw bytes; echo through encoding/json and Session.Write.",
	Dialect: jsonDialect,
	Cannot:  map[string]string{"resume": noSessions},
	New:     newMelody,
}

type melodyPeer struct {
	*melody.Melody
	cfg   Config
	rooms rooms[*melody.Session]
}

func newMelody(cfg Config) (Peer, error) {
	p := &melodyPeer{Melody: melody.New(), cfg: cfg}
	p.Config.WriteWait = writeWait
	p.Config.PingPeriod = cfg.Ping
	p.Config.PongWait = cfg.Pong
	p.Config.MaxMessageSize = int64(max(cfg.Size, 512))
	p.Config.MessageBufferSize = cfg.Queue
	p.HandleConnect(func(s *melody.Session) {
		p.rooms.join(s.Request.URL.Query().Get("room"), s)
		cfg.Joined()
	})
	p.HandleDisconnect(func(s *melody.Session) { p.rooms.leave(s.Request.URL.Query().Get("room"), s) })
	if cfg.Echo || cfg.Count != nil {
		p.HandleMessage(p.receive)
	}
	return p, nil
}

func (p *melodyPeer) ServeHTTP(w http.ResponseWriter, r *http.Request) { _ = p.HandleRequest(w, r) }

func (p *melodyPeer) receive(s *melody.Session, data []byte) {
	reply, err := p.cfg.recode(data)
	switch {
	case err != nil:
		_ = s.Close()
	case p.cfg.Echo:
		_ = s.Write(reply)
	default:
		p.cfg.Count()
	}
}

func (p *melodyPeer) Speaker(room string, size int) Speaker {
	message := Form{}.Stamped(size)
	if len(p.cfg.Rooms) == 1 {
		return func(seq uint32, now int64) error { return p.Broadcast(message(seq, now)) }
	}
	return func(seq uint32, now int64) error {
		p.rooms.mu.RLock()
		defer p.rooms.mu.RUnlock()
		return p.BroadcastMultiple(message(seq, now), p.rooms.members[room])
	}
}

func (p *melodyPeer) Unicaster(room string, size int) Speaker {
	return unicast(p.rooms.list(room), Form{}.Stamped(size), (*melody.Session).Write)
}
