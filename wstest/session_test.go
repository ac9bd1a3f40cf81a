package wstest_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/wstest"
)

// inLobby runs a story with a server whose sessions outlive their connections, and a client of it.
func inLobby(t *testing.T, story func(t *testing.T, sessions wspulse.Server, alice *wstest.Session)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		sessions := wspulse.NewServer(func(*http.Request) (roomID, connectionID string, err error) {
			return "lobby", "alice", nil
		}, wspulse.WithResumeWindow(time.Minute), wspulse.WithMaxMessageSize(100))
		story(t, sessions, wstest.NewServer(t, sessions).NewSession("/"))
	})
}

func say(t *testing.T, sessions wspulse.Server, events ...string) {
	t.Helper()
	for _, event := range events {
		if err := sessions.Send("alice", wspulse.Frame{Event: event}); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Wait()
}

func heard(t *testing.T, s *wstest.Session, want string) {
	t.Helper()
	synctest.Wait()
	if got := s.Heard(); got != want {
		t.Errorf("heard %q, want %q", got, want)
	}
}

func TestSession_ComesBack(t *testing.T) {
	inLobby(t, func(t *testing.T, sessions wspulse.Server, alice *wstest.Session) {
		alice.Connect()
		synctest.Wait()
		say(t, sessions, "a", "b")
		alice.Send("x")
		heard(t, alice, "hello:new a b")
		alice.Drop()
		synctest.Wait()
		say(t, sessions, "c")
		alice.Connect()
		heard(t, alice, "hello:resumed ack:1 c")
		if c := alice.Claim(); c.ID != "alice" || c.Received != 3 || c.Token != alice.Hello().Token {
			t.Errorf("claims %+v", c)
		}
		alice.Bye()
		heard(t, alice, "close:1000")
	})
}

func TestSession_LosesHellosAndWithholdsAcks(t *testing.T) {
	inLobby(t, func(t *testing.T, sessions wspulse.Server, alice *wstest.Session) {
		alice.WithholdAcks(true)
		alice.Connect()
		synctest.Wait()
		say(t, sessions, "a")
		claim := alice.Claim()
		alice.LoseHello(true)
		for range 3 {
			alice.Drop()
			synctest.Wait()
			alice.Connect()
			synctest.Wait()
		}
		if alice.Claim() != claim {
			t.Errorf("claims %+v", alice.Claim())
		}
		alice.LoseHello(false)
		alice.Drop()
		synctest.Wait()
		alice.Connect()
		heard(t, alice, "hello:new a hello:resumed")
	})
}

func TestSession_SaysWhatItLikes(t *testing.T) {
	inLobby(t, func(t *testing.T, _ wspulse.Server, alice *wstest.Session) {
		alice.Connect()
		synctest.Wait()
		alice.Ping()
		heard(t, alice, "hello:new pong")
		alice.SetSent(5)
		alice.Ping()
		heard(t, alice, "bye:count close:4400")
		if bye := alice.Bade(); bye.Reason != "count" || !bye.Reconnect {
			t.Errorf("bade %+v", bye)
		}
		<-alice.Done()
		alice.Offer("wspulse.v1", "wspulse.v1.resume.nonsense")
		synctest.Wait()
		alice.SendControl("{")
		heard(t, alice, "hello:new bye:protocol close:4400")
	})
}

// A hello, a gap or a bye that counts other messages than the client fails the test.
func TestSession_ChecksTheServersCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &verdict{TB: t}
		server := wstest.NewServer(v, http.HandlerFunc(miscount))
		alice := server.NewSession("/")
		alice.Connect()
		<-alice.Done()
		if want := `wstest: {"t":"ping","at":3}: 0 messages have come`; v.text != want {
			t.Errorf("failed with %q, want %q", v.text, want)
		}
	})
}

// miscount is a server that counts messages which it has not sent.
func miscount(w http.ResponseWriter, r *http.Request) {
	upgrader := websocket.Upgrader{Subprotocols: []string{"wspulse.v1"}, CheckOrigin: func(*http.Request) bool { return true }}
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer ws.Close()
	for _, text := range []string{`{"t":"hello","id":"alice","resumed":false,"recv":0,"window":0,"at":0}`, `{"t":"ping","at":3}`} {
		_ = ws.WriteMessage(websocket.BinaryMessage, []byte(text))
	}
}

// What comes by an old connection when the next one has made its claim comes by that one too, and counts once.
func TestSession_TakesOver(t *testing.T) {
	inLobby(t, func(t *testing.T, sessions wspulse.Server, alice *wstest.Session) {
		alice.Connect()
		synctest.Wait()
		old := alice.Client()
		old.Conn.Downstream(wstest.Faults{Latency: time.Second})
		say(t, sessions, "a", "b")
		alice.Connect()
		heard(t, alice, "hello:new hello:resumed a b")
		time.Sleep(2 * time.Second)
		heard(t, alice, "a b bye:conflict close:4409")
		if n := alice.Claim().Received; n != 2 || alice.Client() == old {
			t.Errorf("%d messages have come", n)
		}
		say(t, sessions, "c")
		heard(t, alice, "c")
	})
}
