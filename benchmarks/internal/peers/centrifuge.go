package peers

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/centrifugal/centrifuge"
)

var centrifugeEntry = Entry{
	Name:   "centrifuge",
	Module: "github.com/centrifugal/centrifuge",
	About: "Node.Publish with the memory broker, to server-side subscriptions, over its JSON protocol: `{\"push\":{\"channel\":…,\"pub\":{\"data\":\"…\"}}}`, of which it joins up to 16 to a frame; pooled write buffers. " +
		"Its queues are bounded in bytes: 256 messages. Echo by RPC, count by send. Resume from a history of 256 messages.",
	Dialect: Dialect{
		Hello:    `{"id":1,"connect":{}}`,
		Rejoin:   `{"id":1,"connect":{"subs":{"r0":{"recover":true,"epoch":"%s","offset":0}}}}`,
		Echo:     Form{`{"id":2,"rpc":{"data":"`, `"}}`},
		Count:    Form{`{"send":{"data":"`, `"}}`},
		Joined:   true,
		TextPing: true,
	},
	New: newCentrifuge,
}

type centrifugePeer struct {
	cfg     Config
	node    *centrifuge.Node
	handler http.Handler
}

type roomKey struct{}

func newCentrifuge(cfg Config) (Peer, error) {
	node, err := centrifuge.New(centrifuge.Config{
		LogLevel:           centrifuge.LogLevelNone,
		ClientQueueMaxSize: max(1<<20, cfg.Queue*(cfg.Size+64)),
	})
	if err != nil {
		return nil, err
	}
	p := &centrifugePeer{cfg: cfg, node: node}
	node.OnConnecting(func(ctx context.Context, _ centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		room, _ := ctx.Value(roomKey{}).(string)
		return centrifuge.ConnectReply{
			Credentials:   &centrifuge.Credentials{},
			Subscriptions: map[string]centrifuge.SubscribeOptions{room: {EnableRecovery: cfg.Resume > 0}},
		}, nil
	})
	node.OnConnect(p.connected)
	p.handler = centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{
		CheckOrigin:        func(*http.Request) bool { return true },
		ReadBufferSize:     BufferSize,
		UseWriteBufferPool: true,
		MessageSizeLimit:   max(cfg.Size, 512),
		WriteTimeout:       writeWait,
		// What its documentation recommends for large numbers of idle connections.
		ProcessCommandsOffReadLoop: cfg.Idle,
		PingPongConfig:             centrifuge.PingPongConfig{PingInterval: cfg.Ping, PongTimeout: min(cfg.Pong, cfg.Ping) - time.Second},
	})
	return p, node.Run()
}

func (p *centrifugePeer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx := context.WithValue(r.Context(), roomKey{}, r.URL.Query().Get("room"))
	p.handler.ServeHTTP(w, r.WithContext(ctx))
}

func (p *centrifugePeer) connected(c *centrifuge.Client) {
	if p.cfg.Echo {
		c.OnRPC(func(e centrifuge.RPCEvent, reply centrifuge.RPCCallback) {
			p.cfg.Work()
			reply(centrifuge.RPCReply{Data: e.Data}, nil)
		})
	}
	if p.cfg.Count != nil {
		c.OnMessage(func(centrifuge.MessageEvent) { p.cfg.Count() })
	}
	if p.cfg.Left != nil {
		c.OnDisconnect(func(centrifuge.DisconnectEvent) { p.cfg.Left() })
	}
	p.cfg.Joined()
}

func (p *centrifugePeer) Speaker(room string, size int) Speaker {
	push := len(`{"push":{"channel":"","pub":{"data":}}}`) + len(room)
	data := Form{`"`, `"`}.Stamped(size - push)
	var options []centrifuge.PublishOption
	if p.cfg.Resume > 0 {
		options = append(options, centrifuge.WithHistory(p.cfg.Queue, p.cfg.Resume))
	}
	return func(seq uint32, now int64) error {
		_, err := p.node.Publish(room, data(seq, now), options...)
		return err
	}
}

func (p *centrifugePeer) Unicaster(_ string, size int) Speaker {
	push := len(`{"push":{"message":{"data":}}}`)
	clients := slices.Collect(maps.Values(p.node.Hub().Connections()))
	return unicast(clients, Form{`"`, `"`}.Stamped(size-push), (*centrifuge.Client).Send)
}
