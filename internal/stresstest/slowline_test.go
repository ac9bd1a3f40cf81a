package stresstest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"testing"
	"time"

	wspulse "github.com/wspulse/server"
)

// A client that uploads one message for several times pongWait is not cut: bytes that come in are life.
func TestSlowLine_Upload(t *testing.T) {
	got := make(chan int, 1)
	w := newNetWorld(t, wspulse.WithHeartbeat(100*time.Millisecond, 300*time.Millisecond), wspulse.WithMaxMessageSize(1<<20),
		wspulse.WithOnMessage(func(_ wspulse.Connection, f wspulse.Frame) { got <- len(f.Payload) }))
	p := dialRaw(t, w)
	payload := `{"payload":"` + string(bytes.Repeat([]byte("u"), 20<<10)) + `"}`
	for message := masked(finText, payload); len(message) > 0; message = message[min(512, len(message)):] {
		p.Write(message[:min(512, len(message))])
		time.Sleep(50 * time.Millisecond) // 2 s in all, and no pong
	}
	select {
	case n := <-got:
		if n != 20<<10+2 {
			t.Errorf("%d bytes", n)
		}
	case <-time.After(patience):
		t.Error("the message has not come")
	}
}

// A byte now and then is life too, but WithMessageTimeout bounds it.
func TestSlowLine_ByteNowAndThen(t *testing.T) {
	w := newNetWorld(t, wspulse.WithHeartbeat(100*time.Millisecond, 300*time.Millisecond),
		wspulse.WithMessageTimeout(900*time.Millisecond))
	p := dialRaw(t, w)
	session := w.session("r", "mallory")
	start := time.Now()
	for _, b := range masked(finText, "some words that never end, of forty bytes") {
		if _, err := p.Conn.Write([]byte{b}); err != nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	<-session.Done()
	if took := time.Since(start); took < 900*time.Millisecond || took > 5*time.Second {
		t.Errorf("cut after %v", took)
	}
	p.ExpectClose(1008)
}

// A slowConn reads some 100 KiB a second.
type slowConn struct{ net.Conn }

func (c slowConn) Read(p []byte) (int, error) {
	time.Sleep(20 * time.Millisecond)
	return c.Conn.Read(p[:min(2<<10, len(p))])
}

// A client that downloads all the time, so that its pongs are late, is not cut; nor is a frame that takes longer than writeWait,
// and what stands behind it arrives.
func TestSlowLine_Download(t *testing.T) {
	needKernel(t)
	w := newNetWorld(t, wspulse.WithHeartbeat(300*time.Millisecond, time.Second),
		wspulse.WithWriteWait(time.Second))
	w.listener.buffers.Store(8 << 10)
	dialer := w.dialer()
	dialer.NetDialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := w.listener.dial(ctx, network, addr)
		return slowConn{c}, err
	}
	alice := w.dialWith(dialer, "r", "alice")
	session := w.session("r", "alice")
	large, _ := json.Marshal(string(bytes.Repeat([]byte("d"), 400<<10)))
	for _, f := range []wspulse.Frame{{Event: "large", Payload: large}, ev("behind")} {
		if err := session.Send(f); err != nil {
			t.Fatal(err)
		}
	}
	for _, event := range []string{"large", "behind"} {
		if err := hear(alice, event); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-session.Done():
		t.Error("the session has ended")
	default:
	}
}

// A peer that takes nothing and says nothing is found in pongWait after a ping, though frames wait for it.
func TestSlowLine_DeadPeerIsFound(t *testing.T) {
	w := newNetWorld(t, wspulse.WithHeartbeat(100*time.Millisecond, 300*time.Millisecond))
	w.listener.buffers.Store(4 << 10)
	w.dial("r", "alice")
	session := w.session("r", "alice")
	start := time.Now()
	large, _ := json.Marshal(string(bytes.Repeat([]byte("d"), 1<<20)))
	for range 5 {
		_ = session.Send(wspulse.Frame{Event: "large", Payload: large})
	}
	<-session.Done()
	// What its TCP takes after a ping gives it time: no more than a receive buffer, at 4 KiB a second.
	if took := time.Since(start); took < 300*time.Millisecond || took > 15*time.Second {
		t.Errorf("found after %v", took)
	}
}

// aheadOf returns a connection to what is behind a proxy that takes up to 2 MiB ahead of its client, and passes on some
// 1 MiB a second.
func aheadOf(server net.Conn) net.Conn {
	client, near := net.Pipe()
	taken := make(chan []byte, 128)
	go func() {
		defer close(taken)
		for {
			p := make([]byte, 16<<10)
			n, err := server.Read(p)
			if err != nil {
				return
			}
			taken <- p[:n]
		}
	}()
	go func() {
		for p := range taken {
			time.Sleep(time.Duration(len(p)) * time.Second / (1 << 20))
			_, _ = near.Write(p) // reading goes on where this fails
		}
		_ = near.Close()
	}()
	go func() {
		_, _ = io.Copy(server, near)
		_ = server.Close()
	}()
	return client
}

// A client that downloads through a proxy, in which its pings wait for seconds, is not cut.
func TestSlowLine_DownloadThroughAProxy(t *testing.T) {
	needKernel(t)
	w := newNetWorld(t, wspulse.WithHeartbeat(200*time.Millisecond, time.Second))
	dialer := w.dialer()
	dialer.NetDialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := w.listener.dial(ctx, network, addr)
		return aheadOf(c), err
	}
	alice := w.dialWith(dialer, "r", "alice")
	session := w.session("r", "alice")
	const frames, ahead = 70, 36 // what the proxy takes, and what the kernels do
	large, _ := json.Marshal(string(bytes.Repeat([]byte("d"), 64<<10)))
	for i := range frames + ahead {
		if i >= ahead { // each frame that leaves the proxy lets another one in
			if err := hear(alice, "large"); err != nil {
				t.Fatalf("frame %d: %v", i-ahead, err)
			}
		}
		if i < frames && session.Send(wspulse.Frame{Event: "large", Payload: large}) != nil {
			t.Fatalf("frame %d: the session has ended", i)
		}
	}
	if session.Send(ev("more")) != nil {
		t.Error("the session has ended") // and what has been read was in the proxy
	}
}
