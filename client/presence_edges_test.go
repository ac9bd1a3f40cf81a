package client_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/wspulse/server/client"
)

// presence sends frames with those payloads.
func (p *peer) presence(payloads ...string) {
	for _, payload := range payloads {
		_ = p.ws.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"event":"presence","payload":%s}`, payload))
	}
}

// plays has a server say hello, and what act says, and compares what the callbacks have said.
func plays(t *testing.T, want string, act func(p *peer), options ...client.Option) (log *observer.ObservedLogs) {
	t.Helper()
	core, log := observer.New(zap.WarnLevel)
	play(t, func(t *testing.T, s *script) {
		u := &user{}
		watching := client.WithOnPresence(func(_ client.Client, p client.Presence) { u.events.add("%s", told(p)) })
		_, err := s.tryDialAs(u, append([]client.Option{watching, client.WithLogger(zap.New(core))}, options...)...)
		s.must(err)
		u.hears(want)
		time.Sleep(time.Second)
		u.hears("")
	}, func(p *peer) {
		p.say(welcome())
		p.wait(time.Millisecond)
		act(p)
	})
	return log
}

// OnPresence has its turn among messages.
func TestPresence_InOrder(t *testing.T) {
	plays(t, "a r!:x b r+y:x,y c", func(p *peer) {
		p.send("a")
		p.presence(`{"room":"r","full":true,"join":[{"id":"x"}],"count":1}`)
		p.send("b")
		p.presence(`{"room":"r","join":[{"id":"y"}],"count":2}`)
		p.send("c")
	})
}

// What is no payload of presence is logged and dropped, whatever it is, and the next one counts.
func TestPresence_BadPayloads(t *testing.T) {
	bad := []string{`null`, `7`, `""`, `[]`, `{}`, `{"room":"r"}`, `{"count":1}`, `{"room":7,"count":1}`,
		`{"room":null,"count":1}`, `{"room":"r","count":-1}`, `{"room":"r","count":1.5}`, `{"room":"r","count":null}`,
		`{"room":"r","count":99999999999999999999}`, `{"room":"r","full":1,"count":1}`, `{"room":"r","back":{},"count":1}`,
		`{"room":"r","join":{"id":"x"},"count":1}`, `{"room":"r","join":[{}],"count":1}`,
		`{"room":"r","join":[null],"count":1}`,
		`{"room":"r","join":["x"],"count":1}`, `{"room":"r","join":[{"id":7}],"count":1}`,
		`{"room":"r","leave":[7],"count":1}`, `{"room":"r","away":"x","count":1}`}
	log := plays(t, "r!:x", func(p *peer) {
		p.presence(bad...)
		_ = p.ws.WriteMessage(websocket.TextMessage, []byte(`{"event":"presence"}`))
		p.presence(`{"room":"r","full":true,"join":[{"id":"x"}],"count":1}`)
	})
	if n := log.FilterMessage("wspulse: client: malformed presence dropped").Len(); n != len(bad)+1 || n != log.Len() {
		t.Errorf("%d of %d are logged: %v", n, len(bad)+1, log.All())
	}
}

// What a server of ours would not say does no harm.
func TestPresence_OddPayloads(t *testing.T) {
	const list = `{"room":"r","full":true,"join":[{"id":"x"},{"id":"y"}],"count":2}`
	for name, tc := range map[string]struct{ payloads, want string }{
		"another count":         {`{"room":"r","full":true,"join":[{"id":"x"}],"count":9}`, "r!:x"},
		"nobody":                {`{"room":"r","full":true,"count":0}`, ""},
		"a room without a name": {`{"room":"","full":true,"join":[{"id":"x"}],"count":1}`, "!:x"},
		"one twice":             {`{"room":"r","full":true,"join":[{"id":"x"},{"id":"x","away":true}],"count":1}`, "r!:x?"},
		"fields of tomorrow":    {`{"room":"r","full":true,"join":[{"id":"x","age":7}],"count":1,"moved":[1]}`, "r!:x"},
		"news before a list":    {`{"room":"r","join":[{"id":"x"}],"count":1} ` + list, "r!:x,y"},
		"news of strangers":     {list + ` {"room":"r","leave":["z"],"away":["z"],"back":["z"],"count":2}`, "r!:x,y"},
		"the same list":         {list + " " + list, "r!:x,y"},
		"all at once": {list + ` {"room":"r","join":[{"id":"z"}],"leave":["x"],"away":["y"],"count":2}`,
			"r!:x,y r+z-x<y:y?,z"},
		"joins, and is away": {list + ` {"room":"r","join":[{"id":"z","away":true}],"count":3}`, "r!:x,y r+z:x,y,z?"},
		"joins, and leaves":  {list + ` {"room":"r","join":[{"id":"z"}],"leave":["z"],"count":2}`, "r!:x,y"},
		"a count of as many": {list + ` {"room":"r","count":2}`, "r!:x,y r#2"},
		"a count of nobody":  {`{"room":"r","count":0}`, "r#0"},
		"a count, and again": {`{"room":"r","count":7} {"room":"r","count":7} {"room":"r","count":8}`, "r#7 r#8"},
		"a count, and news": {list + ` {"room":"r","count":7} {"room":"r","leave":["x"],"count":6} ` + list,
			"r!:x,y r#7 r!:x,y"},
		"not the payload of all": {list + ` {"room":"s","count":1} {"room":"r","leave":["x"],"count":1}`, "r!:x,y s#1 r-x:y"},
	} {
		t.Run(name, func(t *testing.T) {
			log := plays(t, tc.want, func(p *peer) { p.presence(strings.Split(tc.payloads, " ")...) })
			if log.Len() > 0 {
				t.Error(log.All())
			}
		})
	}
}

// A callback that panics is logged by its name, and the lists are its own.
func TestPresence_CallbackMisbehaves(t *testing.T) {
	var heard []string
	log := plays(t, "", func(p *peer) {
		p.presence(`{"room":"r","full":true,"join":[{"id":"x"}],"count":1}`, `{"room":"r","join":[{"id":"y"}],"count":2}`)
	}, client.WithOnPresence(func(c client.Client, p client.Presence) {
		heard = append(heard, told(p))
		p.Members[0].ID, c.Presence("r")[0].ID = "changed", "changed"
		panic("no")
	}))
	if got := strings.Join(heard, " "); got != "r!:x r+y:x,y" {
		t.Errorf("heard %s", got)
	}
	if log.Len() != 2 || log.All()[0].ContextMap()["callback"] != "OnPresence" {
		t.Error(log.All())
	}
}
