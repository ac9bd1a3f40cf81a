package guide

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/client"
	"github.com/wspulse/server/wstest"
)

// A town is a server of the guide on a network.
type town struct {
	*wstest.Server
	t        *testing.T
	sessions wspulse.Server
}

func newTown(t *testing.T, connect wspulse.ConnectFunc, options ...wspulse.ServerOption) *town {
	t.Helper()
	v := &town{t: t}
	r := newRouter(func() wspulse.Server { return v.sessions })
	v.sessions = wspulse.NewServer(connect, append([]wspulse.ServerOption{
		wspulse.WithOnMessage(func(c wspulse.Connection, f wspulse.Frame) { r.Dispatch(c, f) })}, options...)...)
	mux := http.NewServeMux()
	mux.Handle("GET /ws/{room}", v.sessions)
	mux.HandleFunc("POST /ticket", giveTicket)
	v.Server = wstest.NewServer(t, mux)
	t.Cleanup(func() { _ = v.sessions.Shutdown(context.Background()) })
	return v
}

func with(name, value string) wstest.DialOption { return wstest.WithHeader(http.Header{name: {value}}) }

// refused returns the status, and what a page reads.
func (v *town) refused(path string, options ...wstest.DialOption) (status int, code string) {
	v.t.Helper()
	_, response, err := v.TryDial(path, options...)
	if err == nil {
		v.t.Errorf("%s was let in", path)
		return 0, ""
	}
	page := v.NewSession(path, options...).Connect()
	<-page.Done()
	heard := strings.Fields(page.Heard())
	return response.StatusCode, page.Bade().Reason + " " + heard[len(heard)-1]
}

func TestConnect_Cookie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logins.Store("ann's", User{Name: "ann"})
		v := newTown(t, connect)
		if status, code := v.refused("/ws/lunch"); status != 401 || code != "log in first close:4401" {
			t.Error(status, code)
		}
		guess := with("Cookie", "login=guess")
		if status, code := v.refused("/ws/lunch", guess); status != 401 || code != "log in first close:4401" {
			t.Error(status, code)
		}
		if status, code := v.refused("/ws/hall"); status != 503 || code != "the hall is full close:4002" {
			t.Error(status, code)
		}
		v.Dial("/ws/lunch", with("Cookie", "login=ann's"))
		synctest.Wait()
		if n := len(v.sessions.GetUser("ann")); n != 1 {
			t.Errorf("ann has %d sessions", n)
		}
	})
}

func TestConnect_Token(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logins.Store("secret.x-y_z", User{Name: "ann"})
		v := newTown(t, connectByToken)
		if status, _ := v.refused("/ws/lunch"); status != 401 {
			t.Error(status)
		}
		v.Dial("/ws/lunch", with("Authorization", "Bearer secret.x-y_z"))
		v.NewSession("/ws/lunch").Offer("wspulse.v1", "token.secret.x-y_z")
		synctest.Wait()
		if n := len(v.sessions.GetUser("ann")); n != 2 {
			t.Errorf("ann has %d sessions", n)
		}
	})
}

func TestConnect_Ticket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logins.Store("secret", User{Name: "ann"})
		v := newTown(t, connectByTicket)
		fetch := func() string {
			r, err := http.NewRequest("POST", "http://wstest/ticket", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer secret")
			transport := &http.Transport{DialContext: v.Listener.DialContext, DisableKeepAlives: true}
			response, err := transport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			ticket, _ := io.ReadAll(response.Body)
			return string(ticket)
		}
		path := "/ws/lunch?ticket=" + fetch()
		v.Dial(path)
		if status, _ := v.refused(path); status != 401 {
			t.Errorf("a ticket that is used: %d", status)
		}
		path = "/ws/lunch?ticket=" + fetch()
		time.Sleep(31 * time.Second)
		if status, _ := v.refused(path); status != 401 {
			t.Errorf("a ticket that is old: %d", status)
		}
	})
}

func TestSignOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logins.Store("secret", User{Name: "ann"})
		v := newTown(t, connectByCookie)
		cookie := with("Cookie", "login=secret")
		tabs := []*wstest.Client{v.Dial("/ws/a", cookie), v.Dial("/ws/b", cookie)}
		synctest.Wait()
		signOut(v.sessions, "ann", "you have signed out")
		for _, tab := range tabs {
			tab.ExpectClose(4001, "you have signed out")
		}
	})
}

func TestAsk_JoinsAndRooms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logins.Store("secret", User{Name: "ann"})
		v := newTown(t, connectByToken, withNames())
		said := make(chan string, 10)
		c, err := client.Dial(t.Context(), "ws://wstest/ws/hall", client.WithDialer(v.Listener.DialContext),
			client.WithHeader(func() (http.Header, error) { return http.Header{"Authorization": {"Bearer secret"}}, nil }),
			client.WithOnMessage(func(_ client.Client, f client.Frame) {
				if f.Event != "presence" {
					said <- f.Event + string(f.Payload)
				}
			}))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close(); <-c.Done() }()
		if err := ask(t.Context(), c, "soup?"); err != nil { // joins
			t.Fatal(err)
		}
		if err := ask(t.Context(), c, "soup?"); err != nil {
			t.Fatal(err)
		}
		if got := <-said; got != `said{"from":"ann","text":"soup?"}` {
			t.Error(got)
		}
		var refused *client.ReplyError
		if err := ask(t.Context(), c, ""); !errors.As(err, &refused) || refused.Message != "there is no text" {
			t.Error(err)
		}
		if err := c.Join(t.Context(), "staff.kitchen"); !errors.As(err, &refused) || refused.Code != "forbidden" {
			t.Error(err)
		}
	})
}

func TestPresence_InfoOfTheGuide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logins.Store("secret", User{Name: "ann", Admin: true})
		v := newTown(t, connectByCookie, withNames())
		ann := v.Dial("/ws/lunch", with("Cookie", "login=secret"))
		got := string(ann.Receive().Payload)
		if !strings.Contains(got, `"full":true`) || !strings.Contains(got, `"user":"ann","info":{"admin":true}}],"count":1}`) {
			t.Error(got)
		}
	})
}

func TestRenew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logins.Store("old", User{Name: "ann", Until: time.Now().Add(time.Minute)})
		logins.Store("new", User{Name: "ann", Until: time.Now().Add(time.Hour)})
		logins.Store("bob's", User{Name: "bob", Until: time.Now().Add(24 * time.Hour)})
		v := newTown(t, connectByCookie)
		ann := v.Dial("/ws/lunch", with("Cookie", "login=old"))
		other := v.Dial("/ws/lunch", with("Cookie", "login=old"))
		ann.Send(wspulse.Frame{ID: "1", Event: "renew", Payload: []byte(`{"token":"bob's"}`)},
			wspulse.Frame{ID: "2", Event: "renew", Payload: []byte(`{"token":"new"}`)})
		ann.Expect("error", "ack")
		time.Sleep(2 * time.Minute)
		if other.ExpectClose(4401, "expired"); ann.Err() != nil {
			t.Errorf("ann's connection has ended: %v", ann.Err())
		}
		time.Sleep(time.Hour)
		ann.ExpectClose(4401, "expired")
	})
}

// Without a resume window a page that offers wspulse.v1 need not say a word of it.
func TestPage_SilentWithoutWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logins.Store("secret", User{Name: "ann"})
		v := newTown(t, connectByCookie, withNames())
		page := v.NewSession("/ws/lunch", with("Cookie", "login=secret"))
		page.WithholdAcks(true)
		page.Connect()
		synctest.Wait()
		for range 5000 { // more than any window
			if err := v.sessions.Broadcast("lunch", wspulse.Frame{Event: "news"}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		time.Sleep(time.Hour)
		heard := page.Heard()
		if n := strings.Count(heard, "news"); n != 5000 || strings.Contains(heard, "close") {
			t.Errorf("the page heard %d news, and then …%s", n, heard[max(0, len(heard)-100):])
		}
	})
}

func TestServe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logins.Store("secret", User{Name: "ann"})
		server := newServer()
		mux := http.NewServeMux()
		mux.Handle("GET /ws/{room}", server)
		listener := wstest.Listen()
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- serve(ctx, listener, &http.Server{Handler: mux}, server) }()
		dialer := websocket.Dialer{NetDialContext: listener.DialContext}
		header := http.Header{"Cookie": {"login=secret"}}
		ann, _, err := dialer.DialContext(t.Context(), "ws://wstest/ws/lunch", header)
		if err != nil {
			t.Fatal(err)
		}
		defer ann.Close()
		stop()
		for err == nil {
			_, _, err = ann.ReadMessage()
		}
		if !websocket.IsCloseError(err, websocket.CloseGoingAway) {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestServeStats(t *testing.T) {
	server := newServer()
	defer server.Close()
	answer := httptest.NewRecorder()
	serveStats(server)(answer, httptest.NewRequest("GET", "/stats", nil))
	if got := answer.Body.String(); !strings.HasPrefix(got, "0 sessions (0 suspended) in 0 rooms, 0 bytes queued, up 0s") {
		t.Error(got)
	}
}

func TestWithLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logins.Store("secret", User{Name: "ann"})
		v := newTown(t, connectByCookie, withLimits())
		cookie := http.Header{"Cookie": {"login=secret"}, "X-Forwarded-For": {"203.0.113.9"}}
		for range 50 {
			v.Dial("/ws/lunch", wstest.WithHeader(cookie), wstest.WithLocalAddr(net.JoinHostPort("10.0.0.1", "1234")))
		}
		_, response, err := v.TryDial("/ws/lunch", wstest.WithHeader(cookie), wstest.WithLocalAddr("10.0.0.1:1234"))
		if err == nil || response == nil || response.StatusCode != 429 {
			t.Errorf("one more: %v", err)
		}
		v.Dial("/ws/lunch", with("Cookie", "login=secret"), wstest.WithLocalAddr("10.0.0.1:1234"))
	})
}
