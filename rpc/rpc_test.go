package rpc_test

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wspulse/core/router"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/rpc"
	"github.com/wspulse/server/wstest"
)

// Say is what a peer says. It must be said.
type Say struct{ Text string }

// Validate implements what Handle looks for.
func (s *Say) Validate() error {
	switch s.Text {
	case "":
		return errors.New("text must not be empty")
	case "panic":
		panic("in Validate")
	case "loud":
		return fmt.Errorf("refused: %w", &rpc.Error{Code: "loud", Message: "quiet, please"})
	}
	return nil
}

// Said is the answer.
type Said struct{ Heard string }

func say(_ *router.Context, in Say) (Said, error) {
	switch in.Text {
	case "full":
		return Said{}, fmt.Errorf("say: %w", &rpc.Error{Code: "full", Message: "no room"})
	case "fail":
		return Said{}, errors.New("the password of the database is wrong")
	case "crash":
		panic("in fn")
	}
	return Said{in.Text}, nil
}

// onServer runs a story in a bubble, with a client of a server that dispatches to r.
func onServer(t *testing.T, r *router.Router, story func(t *testing.T, server *wstest.Server, c *wstest.Client),
	options ...wspulse.ServerOption) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		server := wspulse.NewServer(func(*http.Request) (roomID, connectionID string, err error) {
			return "lobby", "alice", nil
		}, append(options, wspulse.WithOnMessage(func(c wspulse.Connection, f wspulse.Frame) { r.Dispatch(c, f) }))...)
		web := wstest.NewServer(t, server)
		story(t, web, web.Dial("/"))
	})
}

// answers sends frames, and returns what comes back, a line each.
func answers(c *wstest.Client, frames ...wspulse.Frame) string {
	c.Send(frames...)
	synctest.Wait()
	var lines []string
	for _, f := range c.Received() {
		lines = append(lines, fmt.Sprintf("%s %s %s", f.ID, f.Event, f.Payload))
	}
	return strings.Join(lines, "\n")
}

// said is a request "say" with that payload, and the same as its ID.
func said(payload string) wspulse.Frame {
	return wspulse.Frame{ID: payload, Event: "say", Payload: []byte(payload)}
}

func TestHandle(t *testing.T) {
	var noticed, reported []string
	r := router.New()
	r.Use(router.Recovery(), func(ctx *router.Context) {
		ctx.Next()
		if err, ok := ctx.Get(rpc.ErrorKey); ok {
			noticed = append(noticed, err.(error).Error())
		}
	})
	r.On("say", rpc.Handle(say, rpc.OnError(func(ctx *router.Context, err error) {
		reported = append(reported, ctx.Frame.ID+": "+err.Error())
	})))
	onServer(t, r, func(t *testing.T, _ *wstest.Server, c *wstest.Client) {
		for payload, want := range map[string]string{
			`{"Text":"hi"}`:   `ack {"Heard":"hi"}`,
			`{"Text":"full"}`: `error {"code":"full","message":"no room"}`,
			`{"Text":"fail"}`: `error {"code":"internal","message":"internal error"}`,
			`{"Text":7}`: `error {"code":"invalid","message":"json: cannot unmarshal number into Go struct ` +
				`field Say.Text of type string"}`,
			`{}`:               `error {"code":"invalid","message":"text must not be empty"}`,
			`{"Text":"loud"}`:  `error {"code":"loud","message":"quiet, please"}`,
			`{"Text":"panic"}`: `error {"code":"internal","message":"internal error"}`,
			`{"Text":"crash"}`: `error {"code":"internal","message":"internal error"}`,
		} {
			noticed, reported = nil, nil
			if got := answers(c, said(payload)); got != payload+" "+want {
				t.Errorf("%s: got %s, want %s", payload, got, want)
			}
			wantReport := ""
			if strings.Contains(payload, "fail") {
				wantReport = payload + ": the password of the database is wrong"
			}
			if got := strings.Join(reported, ","); got != wantReport {
				t.Errorf("%s: reported %q", payload, got)
			}
			recovered := strings.Contains(payload, "panic") || strings.Contains(payload, "crash")
			if failed := strings.HasPrefix(want, "error") && !recovered; len(noticed) == 1 != failed {
				t.Errorf("%s: middleware noticed %q", payload, noticed)
			}
		}
		for _, f := range []wspulse.Frame{said(`{"Text":"hi"}`), said(`{"Text":"fail"}`), said(`7`), said(`{"Text":"crash"}`)} {
			f.ID = ""
			if got := answers(c, f); got != "" {
				t.Errorf("a frame without an ID got %q", got)
			}
		}
		if got := answers(c, wspulse.Frame{ID: "1", Event: "say"}); !strings.Contains(got, "must not be empty") {
			t.Errorf("no payload: got %q", got)
		}
	})
}

// Validate may be a method of In itself, and In a pointer.
type mood string

func (m mood) Validate() error {
	if m == "bad" {
		return errors.New("cheer up")
	}
	return nil
}

func TestHandle_Types(t *testing.T) {
	r := router.New()
	r.On("mood", rpc.Handle(func(_ *router.Context, m mood) (any, error) { return nil, nil }))
	r.On("pointer", rpc.Handle(func(_ *router.Context, s *Say) (*Said, error) { return &Said{s.Text}, nil }))
	r.On("many", rpc.Handle(func(_ *router.Context, n []int) (int, error) { return len(n), nil }))
	r.On("nan", rpc.Handle(func(*router.Context, struct{}) (float64, error) { return math.NaN(), nil }))
	onServer(t, r, func(t *testing.T, _ *wstest.Server, c *wstest.Client) {
		for _, tc := range []struct{ event, payload, want string }{
			{"mood", `"good"`, "1 ack "},
			{"mood", `"bad"`, `1 error {"code":"invalid","message":"cheer up"}`},
			{"pointer", `{"Text":"hi"}`, `1 ack {"Heard":"hi"}`},
			{"pointer", `{}`, `1 error {"code":"invalid","message":"text must not be empty"}`},
			{"pointer", `null`, `1 error {"code":"invalid","message":"there is no payload"}`},
			{"pointer", ``, `1 error {"code":"invalid","message":"there is no payload"}`},
			{"many", `[1,2]`, "1 ack 2"},
			{"many", ``, "1 ack 0"},
			{"nan", ``, `1 error {"code":"internal","message":"internal error"}`},
		} {
			if got := answers(c, wspulse.Frame{ID: "1", Event: tc.event, Payload: []byte(tc.payload)}); got != tc.want {
				t.Errorf("%s %s: got %s, want %s", tc.event, tc.payload, got, tc.want)
			}
		}
	})
}

// Without Recovery a panic is the server's, as ever, and ends the connection. The reply outlives that as the session
// does.
func TestHandle_PanicIsTheServers(t *testing.T) {
	r := router.New()
	r.On("say", rpc.Handle(say))
	onServer(t, r, func(t *testing.T, server *wstest.Server, c *wstest.Client) {
		got := answers(c, said(`{"Text":"crash"}`))
		c.ExpectClose(1011, "the server failed in handling a message")
		got += answers(server.Dial("/"))
		if got != `{"Text":"crash"} error {"code":"internal","message":"internal error"}` {
			t.Errorf("got %q", got)
		}
	}, wspulse.WithResumeWindow(time.Minute))
}

func TestReplyEvents(t *testing.T) {
	r := router.New()
	r.On("say", rpc.Handle(say))
	onServer(t, r, func(t *testing.T, _ *wstest.Server, c *wstest.Client) {
		got := answers(c, said(`{"Text":"hi"}`), said(`{}`))
		if got != `{"Text":"hi"} ok {"Heard":"hi"}`+"\n"+`{} nok {"code":"invalid","message":"text must not be empty"}` {
			t.Errorf("got %s", got)
		}
	}, wspulse.WithReplyEvents("ok", "nok"))
}

// A fake is a connection of a test, which knows nothing of this package.
type fake struct {
	sent []string
	full bool
}

func (*fake) ID() string            { return "" }
func (*fake) RoomID() string        { return "" }
func (*fake) Close() error          { return nil }
func (*fake) Done() <-chan struct{} { return nil }
func (c *fake) Send(f wspulse.Frame) error {
	if c.full {
		return wspulse.ErrSendBufferFull
	}
	c.sent = append(c.sent, fmt.Sprintf("%s %s %s", f.ID, f.Event, f.Payload))
	return nil
}

func TestReplyAndFail(t *testing.T) {
	c := &fake{}
	f := wspulse.Frame{ID: "7", Event: "say"}
	for _, err := range []error{rpc.Reply(c, f, 1), rpc.Reply(c, f, nil), rpc.Fail(c, f, "full", "no room"),
		rpc.Reply(c, wspulse.Frame{}, 1), rpc.Fail(c, wspulse.Frame{}, "full", "no room")} {
		if err != nil {
			t.Error(err)
		}
	}
	if got := strings.Join(c.sent, "; "); got != `7 ack 1; 7 ack ; 7 error {"code":"full","message":"no room"}` {
		t.Errorf("sent %s", got)
	}
	if err := rpc.Reply(c, f, math.NaN()); err == nil || len(c.sent) != 3 {
		t.Errorf("NaN: %v", err)
	}
	c.full = true
	if err := rpc.Reply(c, f, 1); err != wspulse.ErrSendBufferFull {
		t.Errorf("full: %v", err)
	}
}

// A reply that can't be sent is reported once.
func TestOnError_ReplyNotSent(t *testing.T) {
	var reported []error
	r := router.New()
	r.On("say", rpc.Handle(say, rpc.OnError(func(_ *router.Context, err error) { reported = append(reported, err) })))
	for _, text := range []string{"hi", "full", "fail"} {
		reported = nil
		r.Dispatch(&fake{full: true}, said(`{"Text":"`+text+`"}`))
		if len(reported) != 1 || errors.Is(reported[0], wspulse.ErrSendBufferFull) != (text != "fail") {
			t.Errorf("%s: reported %v", text, reported)
		}
	}
}

func TestPanicsOnNil(t *testing.T) {
	for name, fn := range map[string]func(){
		"Handle":  func() { rpc.Handle[Say, Said](nil) },
		"OnError": func() { rpc.OnError(nil) },
		"Rooms":   func() { rpc.Rooms(router.New(), nil) },
	} {
		func() {
			defer func() {
				if v := recover(); !strings.HasPrefix(fmt.Sprint(v), "wspulse: rpc: "+name+": ") {
					t.Errorf("%s: %v", name, v)
				}
			}()
			fn()
		}()
	}
}

// A roomy is a fake that can be in several rooms.
type roomy struct {
	fake
	calls []string
}

func (c *roomy) Join(roomID string) error {
	c.calls = append(c.calls, "join "+roomID)
	if roomID == "full" {
		return errors.New("wspulse: too many rooms")
	}
	return nil
}

func (c *roomy) Leave(roomID string) error { c.calls = append(c.calls, "leave "+roomID); return nil }

func TestRooms(t *testing.T) {
	var reported []string
	r := router.New()
	rpc.Rooms(r, func(_ router.Connection, roomID string) error {
		switch roomID {
		case "private":
			return errors.New("not a friend")
		case "vip":
			return &rpc.Error{Code: "payment", Message: "tickets, please"}
		}
		return nil
	}, rpc.OnError(func(_ *router.Context, err error) { reported = append(reported, err.Error()) }))
	for _, tc := range []struct{ event, room, calls, want string }{
		{"join", `{"room":"chess"}`, "join chess", "1 ack "},
		{"leave", `{"room":"chess"}`, "leave chess", "1 ack "},
		{"leave", `{"room":"private"}`, "leave private", "1 ack "},
		{"join", `{"room":"private"}`, "", `1 error {"code":"forbidden","message":"that room is not open to you"}`},
		{"join", `{"room":"vip"}`, "", `1 error {"code":"payment","message":"tickets, please"}`},
		{"join", `{"room":"full"}`, "join full", `1 error {"code":"invalid","message":"too many rooms"}`},
		{"join", `{}`, "", `1 error {"code":"invalid","message":"room must not be empty"}`},
		{"leave", ``, "", `1 error {"code":"invalid","message":"room must not be empty"}`},
	} {
		c := &roomy{}
		f := wspulse.Frame{ID: "1", Event: tc.event, Payload: []byte(tc.room)}
		r.Dispatch(c, f)
		if calls, sent := strings.Join(c.calls, ","), strings.Join(c.sent, ","); calls != tc.calls || sent != tc.want {
			t.Errorf("%s %s: calls %q, sent %s", tc.event, tc.room, calls, sent)
		}
		if tc.calls != "" {
			bare := &fake{}
			r.Dispatch(bare, f)
			if len(bare.sent) != 1 || !strings.Contains(bare.sent[0], `"unsupported"`) {
				t.Errorf("%s %s: sent %s", tc.event, tc.room, bare.sent)
			}
		}
	}
	if got := strings.Join(reported, ","); got != "not a friend" {
		t.Errorf("reported %q", got)
	}
}
