package wspulse_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/gorilla/websocket"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/wstest"
)

// A countedConn counts the bytes that a client reads.
type countedConn struct {
	net.Conn
	read int
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.read += n
	return n, err
}

// dialCompressed connects a peer that offers permessage-deflate and reads when the test does.
func (w *world) dialCompressed(id string) (*peer, *countedConn) {
	w.t.Helper()
	var conn *countedConn
	p, response, err := w.upgrade("?room=r&id="+id, nil, wstest.WithDialer(func(d *websocket.Dialer) {
		dial := d.NetDialContext
		d.EnableCompression = true
		d.NetDialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dial(ctx, network, addr)
			conn = &countedConn{Conn: c}
			return conn, err
		}
	}))
	if err != nil {
		w.t.Fatalf("dial %s: %v", id, err)
	}
	if got := response.Header.Get("Sec-WebSocket-Extensions"); !strings.HasPrefix(got, "permessage-deflate;") {
		w.t.Errorf("extensions %q", got)
	}
	conn.read = 0
	return p, conn
}

// Long messages go out compressed to the members that have negotiated it, and plain to the others.
func TestCompression_Broadcast(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithCompression(6, 100))
		alice, read := w.dialCompressed("alice")
		bob := w.dialIdle("r", "bob")
		for _, tc := range []struct {
			payload string
			least   int // bytes that alice reads
			most    int
		}{
			{strings.Repeat("compress me ", 1000), 20, 400},
			{strings.Repeat("x", 60), 60, 100}, // under the threshold
			{randomText(2000), 1500, 2100},
		} {
			frame := wspulse.Frame{Event: "e", Payload: []byte(`"` + tc.payload + `"`)}
			w.must(w.server.Broadcast("r", frame))
			read.read = 0
			for _, p := range []*peer{alice, bob} {
				_, data, err := p.WebSocket.ReadMessage()
				got, _ := wspulse.JSONCodec.Decode(data)
				if err != nil || !bytes.Equal(got.Payload, frame.Payload) {
					t.Fatalf("read %d bytes: %v", len(data), err)
				}
			}
			if read.read < tc.least || read.read > tc.most {
				t.Errorf("%d bytes on the wire for %.20q of %d", read.read, tc.payload, len(tc.payload))
			}
		}
	})
}

func randomText(n int) string {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte('0' + rand.IntN(75))
		if p[i] == '\\' {
			p[i] = 'x'
		}
	}
	return string(p)
}

// What a peer sends is inflated before the codec and before the size limit.
func TestCompression_Inbound(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithCompression(1, 0), wspulse.WithMaxMessageSize(10_000))
		alice, _ := w.dialCompressed("alice")
		alice.send("hello")
		long := strings.Repeat("a", 9_900)
		alice.send(long)
		w.expect("alice:connect alice:message(hello) alice:message(" + long + ")")
		alice.send(strings.Repeat("a", 10_000))
		if code := alice.readClose(); code != 1009 {
			t.Errorf("close code %d for a message that inflates to more than the limit", code)
		}
		w.expect("alice:disconnect(too-large)")
	})
}

// A few KiB that inflate to a GiB end with 1009 and cost no more memory than the limit.
func TestCompression_Bomb(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithCompression(1, 0), wspulse.WithMaxMessageSize(1<<20))
		alice, _ := w.dialCompressed("alice")
		go func() {
			writer, err := alice.WebSocket.NextWriter(websocket.TextMessage)
			for range 1 << 10 {
				if err == nil {
					_, err = writer.Write(make([]byte, 1<<20))
				}
			}
			if err == nil {
				_ = writer.Close()
			}
		}()
		if code := alice.readClose(); code != 1009 {
			t.Errorf("close code %d", code)
		}
	})
}

// A session keeps its queue when its next WebSocket has negotiated something else.
func TestCompression_AcrossAResume(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithCompression(6, 0), wspulse.WithResumeWindow(1<<40))
		alice, _ := w.dialCompressed("alice")
		alice.Conn.Close()
		synctest.Wait()
		text := strings.Repeat("again and ", 100)
		w.send("alice", text, "2")
		plain := w.dial("r", "alice")
		plain.expect(text + " 2")
		plain.drop()
		w.send("alice", text, "4")
		alice, read := w.dialCompressed("alice")
		alice.StartReading()
		alice.expect(text + " 4")
		if read.read > 200 {
			t.Errorf("%d bytes on the wire", read.read)
		}
	})
}

// Without the option the offer is not taken, and a compressed message breaks the protocol.
func TestCompression_OffByDefault(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		alice, response, err := w.upgrade("?room=r&id=alice",
			map[string][]string{"Sec-WebSocket-Extensions": {"permessage-deflate"}})
		if err != nil || response.Header.Get("Sec-WebSocket-Extensions") != "" {
			t.Fatalf("extensions %v: %v", response.Header, err)
		}
		alice.Conn.Write([]byte{0xC1, 0x81, 0, 0, 0, 0, 'x'})
		if code := alice.readClose(); code != 1002 {
			t.Errorf("close code %d", code)
		}
	})
}
