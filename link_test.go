package wspulse

import (
	"net"
	"testing"

	"github.com/wspulse/server/internal/wire"
)

func TestLink_Subprotocol(t *testing.T) {
	h, _ := newQuietHub(0, 1, NoopCollector{})
	h.cfg.subprotocols = []string{"chat.v2", "chat.v1"}
	for _, protocol := range []string{"", "chat.v2", "chat.v1", "wspulse.v1"} {
		conn, peer := net.Pipe()
		l := newLink(h, conn)
		if got := l.subprotocol(); got != "" {
			t.Errorf("before the upgrade: %q", got)
		}
		l.upgraded(nil, wire.Chosen{Protocol: protocol})
		if got := l.subprotocol(); got != protocol {
			t.Errorf("got %q, want %q", got, protocol)
		}
		conn.Close()
		peer.Close()
	}
}
