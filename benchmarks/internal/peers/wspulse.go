package peers

import (
	"net/http"
	"sync/atomic"
	"time"

	wspulse "github.com/wspulse/server"
)

var wspulseEntry = Entry{
	Name:    "wspulse",
	Module:  "github.com/wspulse/server",
	About:   "Server.Broadcast of a Frame through JSONCodec: `{\"event\":\"m\",\"payload\":\"…\"}`. Echo through OnMessage and Connection.Send.",
	Dialect: jsonDialect,
	New:     newWspulse,
}

// wspulseV1Entry is the same server with clients that speak wspulse.v1, and with what that needs: a resume window.
var wspulseV1Entry = Entry{
	Name:    "wspulse-v1",
	Module:  "github.com/wspulse/server",
	About:   "The same with WithResumeWindow of 30 s and clients that speak wspulse.v1: every message is kept until it is acknowledged.",
	Dialect: Dialect{Echo: jsonForm, Count: jsonForm, Protocol: "wspulse.v1"},
	Cannot:  map[string]string{"resume": "the load generator has no claims"},
	New: func(cfg Config) (Peer, error) {
		cfg.Resume = max(cfg.Resume, 30*time.Second)
		if cfg.Left == nil {
			cfg.Left = func() {}
		}
		return newWspulse(cfg)
	},
}

type wspulsePeer struct {
	wspulse.Server
	*writeCounter
}

// A writeCounter counts successful writes of messages.
type writeCounter struct {
	wspulse.NoopCollector
	n atomic.Int64
}

func (c *writeCounter) SendBufferUtilization(_, _ string, _, _ int) { c.n.Add(1) }

// Writes returns how many writes there were; see serve.
func (c *writeCounter) Writes() int64 { return c.n.Load() }

func newWspulse(cfg Config) (Peer, error) {
	writes := &writeCounter{}
	options := []wspulse.ServerOption{
		wspulse.WithMetrics(writes),
		wspulse.WithHeartbeat(cfg.Ping, cfg.Pong),
		wspulse.WithSendBufferSize(cfg.Queue),
		wspulse.WithMaxMessageSize(int64(max(cfg.Size, 512))),
		wspulse.WithResumeWindow(cfg.Resume),
		wspulse.WithOnConnect(func(wspulse.Connection) { cfg.Joined() }),
	}
	if cfg.Resume > 0 {
		options = append(options, wspulse.WithOnTransportDrop(func(wspulse.Connection, error) { cfg.Left() }))
	}
	switch {
	case cfg.Echo:
		options = append(options, wspulse.WithOnMessage(func(c wspulse.Connection, f wspulse.Frame) {
			cfg.Work()
			_ = c.Send(f)
		}))
	case cfg.Count != nil:
		options = append(options, wspulse.WithOnMessage(func(wspulse.Connection, wspulse.Frame) { cfg.Count() }))
	}
	return wspulsePeer{writeCounter: writes, Server: wspulse.NewServer(func(r *http.Request) (roomID, connectionID string, err error) {
		query := r.URL.Query()
		return query.Get("room"), query.Get("id"), nil
	}, options...)}, nil
}

func (p wspulsePeer) Speaker(room string, size int) Speaker {
	payload := payload(size)
	return func(seq uint32, now int64) error {
		return p.Broadcast(room, wspulse.Frame{Event: "m", Payload: payload(seq, now)})
	}
}

func (p wspulsePeer) Unicaster(room string, size int) Speaker {
	return unicast(p.GetConnections(room), payload(size), func(c wspulse.Connection, payload []byte) error {
		return c.Send(wspulse.Frame{Event: "m", Payload: payload})
	})
}

// payload returns a function that makes payloads with which a message has that size.
func payload(size int) func(seq uint32, now int64) []byte {
	envelope := len(`{"event":"m","payload":}`)
	return Form{`"`, `"`}.Stamped(size - envelope)
}
