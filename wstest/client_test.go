package wstest_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/wstest"
)

// A verdict is a test whose failure is expected.
type verdict struct {
	testing.TB
	text string
}

// stop ends a test that has failed for good.
type stop struct{}

func (v *verdict) Helper() {}

func (v *verdict) Errorf(format string, args ...any) { v.text += fmt.Sprintf(format, args...) }

func (v *verdict) Fatalf(format string, args ...any) {
	v.Errorf(format, args...)
	panic(stop{})
}

// A talk is a client and what it talks to.
type talk struct {
	v        *verdict
	sessions wspulse.Server
	server   *wstest.Server
	client   *wstest.Client
	start    time.Time
}

// onTalk runs a story in a bubble, with a client that reads all the time and with an idle one.
func onTalk(t *testing.T, story func(t *testing.T, k *talk)) {
	t.Helper()
	for name, options := range map[string][]wstest.DialOption{"reading": nil, "idle": {wstest.WithIdle()}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := &talk{v: &verdict{TB: t}, sessions: wspulse.NewServer(fromQuery)}
				k.server = wstest.NewServer(k.v, k.sessions)
				k.client = k.server.Dial("/?room=r&id=alice", options...)
				synctest.Wait()
				k.start = time.Now()
				story(t, k)
			})
		})
	}
}

func (k *talk) say(events ...string) {
	for _, event := range events {
		_ = k.sessions.Send("alice", ev(event))
	}
	synctest.Wait()
}

// fails runs what has to fail the test, with that text, at that time.
func (k *talk) fails(t *testing.T, what func(), text string, at time.Duration) {
	t.Helper()
	func() {
		defer func() {
			if v := recover(); v != nil && v != any(stop{}) {
				panic(v)
			}
		}()
		what()
	}()
	if took := time.Since(k.start); !strings.Contains(k.v.text, text) || k.v.text == "" || took != at {
		t.Errorf("after %v it says %q, want %q after %v", took, k.v.text, text, at)
	}
	k.v.text = ""
}

func (k *talk) passes(t *testing.T) {
	t.Helper()
	if k.v.text != "" {
		t.Error(k.v.text)
	}
}

func TestClient_Receive(t *testing.T) {
	onTalk(t, func(t *testing.T, k *talk) {
		k.say("1", "2", "3", "4")
		if f := k.client.Receive(); f.Event != "1" {
			t.Errorf("received %q", f.Event)
		}
		k.client.Expect("2", "3")
		k.passes(t)
		k.fails(t, func() { k.client.Expect("5") }, `received ["4"], want ["5"]`, 0)
	})
}

func TestClient_ReceiveIsBounded(t *testing.T) {
	for name, what := range map[string]func(c *wstest.Client){
		"Receive":     func(c *wstest.Client) { c.Receive() },
		"Expect":      func(c *wstest.Client) { c.Expect("x") },
		"ExpectClose": func(c *wstest.Client) { c.ExpectClose(1000, "") },
	} {
		t.Run(name, func(t *testing.T) {
			onTalk(t, func(t *testing.T, k *talk) {
				k.fails(t, func() { what(k.client) }, "timeout", 10*time.Second)
			})
		})
	}
}

func TestClient_FramesBeforeTheEndAreReceived(t *testing.T) {
	onTalk(t, func(t *testing.T, k *talk) {
		k.say("1", "2")
		go k.sessions.Kick("alice")
		k.client.ExpectClose(1000, "kicked")
		k.client.Expect("1", "2")
		k.passes(t)
		k.fails(t, func() { k.client.Receive() }, "kicked", 0)
		k.fails(t, func() { k.client.ExpectClose(1000, "") }, `want close 1000 ""`, 0)
		k.fails(t, func() { k.client.ExpectClose(1001, "kicked") }, "want close 1001", 0)
		k.fails(t, func() { k.client.Send(ev("x")) }, "client sends", 0)
		k.client.StartReading() // of nothing
		synctest.Wait()
	})
}

func TestClient_Received(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sessions := wspulse.NewServer(fromQuery)
		server := wstest.NewServer(t, sessions)
		reading, idle := server.Dial("/?room=r"), server.Dial("/?room=r", wstest.WithIdle())
		synctest.Wait()
		for _, event := range []string{"1", "2"} {
			_ = sessions.Broadcast("r", ev(event))
		}
		synctest.Wait()
		if got := fmt.Sprint(len(reading.Received()), len(reading.Received()), len(idle.Received())); got != "2 0 0" {
			t.Errorf("received %s frames", got)
		}
		idle.Expect("1")
		idle.StartReading()
		idle.StartReading()          // again changes nothing
		time.Sleep(20 * time.Second) // longer than Expect would have waited
		if n := len(idle.Received()); n != 1 || idle.Err() != nil {
			t.Errorf("received %d frames, %v", n, idle.Err())
		}
	})
}

func TestClient_EndsOfAConnection(t *testing.T) {
	for name, tc := range map[string]struct {
		end  func(k *talk)
		code int // 0: no close frame
		err  string
	}{
		"Server.Close": {func(k *talk) { go k.sessions.Close() }, 1001, ""},
		"Close":        {func(k *talk) { k.client.Close(4001, "mine") }, 4001, ""},
		"Close, 1005":  {func(k *talk) { k.client.Close(1005, "") }, 1005, ""},
		"Drop":         {func(k *talk) { k.client.Drop() }, 0, "closed"},
		"Reset":        {func(k *talk) { k.client.Conn.Reset() }, 0, "ECONNRESET"},
		"cut":          {func(k *talk) { k.client.Conn.Downstream(wstest.Faults{CutAfter: 1}); k.say("x") }, 1006, ""},
	} {
		t.Run(name, func(t *testing.T) {
			onTalk(t, func(t *testing.T, k *talk) {
				if k.client.Err() != nil {
					t.Errorf("before the end: %v", k.client.Err())
				}
				tc.end(k)
				k.client.StartReading()
				<-k.client.Done()
				var closed *websocket.CloseError
				switch err := k.client.Err(); {
				case tc.code == 0 && cause(err) != tc.err, tc.code != 0 && (!errors.As(err, &closed) || closed.Code != tc.code):
					t.Errorf("got %v", err)
				}
				k.passes(t)
			})
		})
	}
}

// upper is a codec that shouts, in binary messages.
type upper struct{}

func (upper) FrameType() int                         { return wspulse.BinaryMessage }
func (upper) Encode(f wspulse.Frame) ([]byte, error) { return []byte(strings.ToUpper(f.Event)), nil }
func (upper) Decode(data []byte) (wspulse.Frame, error) {
	if string(data) != strings.ToUpper(string(data)) {
		return wspulse.Frame{}, errors.New("nobody shouts")
	}
	return wspulse.Frame{Event: strings.ToLower(string(data))}, nil
}

func TestClient_Codec(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := wstest.NewServer(t, wspulse.NewServer(fromQuery, wspulse.WithCodec(upper{}), wspulse.WithOnMessage(echo)))
		alice := server.Dial("/", wstest.WithCodec(upper{}))
		alice.Send(ev("hello"))
		alice.Expect("hello")

		inJSON := wspulse.NewServer(fromQuery)
		bob := wstest.NewServer(t, inJSON).Dial("/?id=bob", wstest.WithCodec(upper{}))
		synctest.Wait()
		_ = inJSON.Send("bob", ev("hello"))
		<-bob.Done()
		if err := bob.Err(); err == nil || err.Error() != "nobody shouts" {
			t.Errorf("got %v", err)
		}
	})
}

// An idle client answers no ping, one that reads does.
func TestClient_Pongs(t *testing.T) {
	onTalk(t, func(t *testing.T, k *talk) {
		idle := !strings.HasSuffix(t.Name(), "/reading")
		time.Sleep(time.Hour)
		if there := len(k.sessions.GetConnections("r")) == 1; there == idle {
			t.Errorf("idle %v, there %v", idle, there)
		}
	})
}

func TestDial_FailsTheTest(t *testing.T) {
	onTalk(t, func(t *testing.T, k *talk) {
		k.fails(t, func() { k.server.Dial("/?refuse") }, "dial /?refuse: 401 Unauthorized", 0)
		k.sessions.Close()
		k.start = time.Now()
		k.fails(t, func() { k.server.Dial("/?id=late") }, "503", 0)
	})
}
