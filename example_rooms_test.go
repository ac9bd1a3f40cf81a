package wspulse_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"time"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/client"
)

// A hall is a server for the examples.
type hall struct {
	wspulse.Server
	web *httptest.Server
}

func open(connect wspulse.ConnectFunc, options ...wspulse.ServerOption) *hall {
	server := wspulse.NewServer(connect, append([]wspulse.ServerOption{anyOrigin}, options...)...)
	return &hall{server, httptest.NewServer(server)}
}

func (h *hall) close() {
	h.Close()
	h.web.Close()
}

// dial connects a client, which passes on the events that it hears.
func (h *hall) dial(query string, options ...client.Option) (c client.Client, heard chan string, err error) {
	heard = make(chan string, 16)
	options = append(options, client.WithOnMessage(func(_ client.Client, f client.Frame) { heard <- f.Event }),
		client.WithOnDisconnect(func(_ client.Client, err error) { heard <- fmt.Sprint(err) }))
	c, err = client.Dial(context.Background(), "ws"+strings.TrimPrefix(h.web.URL, "http")+query, options...)
	for err == nil && h.Stats().Sessions == 0 { // a plain client is connected a moment before its session is there
		time.Sleep(time.Millisecond)
	}
	return c, heard, err
}

// ConnectFunc says who a peer is, beside where it is.
func ExampleAttach() {
	type account struct{ Name string }
	accounts := map[string]account{"token-of-ada": {"Ada"}}
	h := open(func(r *http.Request) (roomID, connectionID string, err error) {
		user, ok := accounts[r.URL.Query().Get("token")]
		if !ok {
			return "", "", errors.New("no such token")
		}
		wspulse.Attach(r, wspulse.Details{
			UserID:  user.Name,
			Data:    user,
			Rooms:   []string{"news"},
			Expires: time.Now().Add(time.Hour),
		})
		return "lobby", "", nil
	})
	defer h.close()
	if _, _, err := h.dial("?token=token-of-ada"); err != nil {
		fmt.Println(err)
		return
	}
	for _, c := range h.GetUser("Ada") {
		fmt.Println(c.UserID(), c.Data().(account).Name, c.Rooms(), !c.Expires().IsZero())
	}
	// Output: Ada Ada [lobby news] true
}

// A peer that is refused is told why: by HTTP, and by a close code and a reason where it is a page.
func ExampleRefusal() {
	h := open(func(r *http.Request) (roomID, connectionID string, err error) {
		return "", "", &wspulse.Refusal{
			Status:     http.StatusServiceUnavailable,
			Code:       4900,
			Reason:     "the board is closed for the night",
			RetryAfter: 8 * time.Hour,
		}
	})
	defer h.close()
	_, _, err := h.dial("")
	var refused *client.RefusedError
	if errors.As(err, &refused) {
		fmt.Println(refused.Code, refused.Reason, refused.Reconnect)
	}
	// Output: 4900 the board is closed for the night true
}

// A session is in further rooms for as long as it likes.
func ExampleConnection_Join() {
	h := open(fromQuery)
	defer h.close()
	_, heard, _ := h.dial("?room=lobby&id=ada")
	ada, err := h.GetConnection("ada")
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = ada.Join("chess")
	_ = h.Broadcast("chess", wspulse.Frame{Event: "your move"})
	fmt.Println(<-heard, ada.Rooms(), h.RoomSize("chess"))
	_ = ada.Leave("chess")
	fmt.Println(ada.Leave("lobby"))
	fmt.Println(h.Rooms())
	// Output:
	// your move [lobby chess] 1
	// wspulse: a session leaves its home only by ending
	// [lobby]
}

// The callbacks of rooms run in the order of the others.
func ExampleWithOnJoin() {
	said := make(chan string, 16)
	h := open(fromQuery, wspulse.WithMaxRooms(3),
		wspulse.WithOnConnect(func(c wspulse.Connection) { said <- "connect" }),
		wspulse.WithOnJoin(func(c wspulse.Connection, roomID string) { said <- "join " + roomID }),
		wspulse.WithOnLeave(func(c wspulse.Connection, roomID string) { said <- "leave " + roomID }),
		wspulse.WithOnDisconnect(func(c wspulse.Connection, err error) { said <- "disconnect" }))
	_, _, _ = h.dial("?room=lobby&id=ada")
	ada, _ := h.GetConnection("ada")
	_ = ada.Join("chess")
	_ = h.Shutdown(context.Background())
	h.web.Close()
	close(said)
	for word := range said {
		fmt.Println(word)
	}
	// Output:
	// connect
	// join lobby
	// join chess
	// leave chess
	// leave lobby
	// disconnect
}

// Everybody but who has said it hears it; and everybody in every room, once.
func ExampleServer_BroadcastExcept() {
	h := open(fromQuery)
	defer h.close()
	_, ada, _ := h.dial("?room=lobby&id=ada")
	_, bob, _ := h.dial("?room=lobby&id=bob")
	_ = h.BroadcastExcept("lobby", wspulse.Frame{Event: "ada is typing"}, "ada")
	_ = h.BroadcastAll(wspulse.Frame{Event: "a new version is there"})
	fmt.Println(<-bob)
	fmt.Println(<-bob)
	fmt.Println(<-ada)
	// Output:
	// ada is typing
	// a new version is there
	// a new version is there
}

// A user has a session for each tab and device.
func ExampleServer_SendUser() {
	h := open(fromQuery)
	defer h.close()
	_, phone, _ := h.dial("?room=a&id=phone&user=ada")
	_, laptop, _ := h.dial("?room=b&id=laptop&user=ada")
	sent, err := h.SendUser("ada", wspulse.Frame{Event: "mail"})
	fmt.Println(sent, err, <-phone, <-laptop)
	fmt.Println(h.KickUser("ada"), len(h.GetUser("ada")))
	_, err = h.SendUser("ada", wspulse.Frame{Event: "mail"})
	fmt.Println(err)
	// Output:
	// 2 <nil> mail mail
	// 2 0
	// wspulse: connection not found
}

// All tabs of a user are closed, and show why.
func ExampleServer_KickUserWith() {
	h := open(fromQuery)
	defer h.close()
	_, tab, _ := h.dial("?room=a&id=tab&user=ada")
	_, other, _ := h.dial("?room=b&id=other&user=ada")
	fmt.Println(h.KickUserWith("ada", 4001, "be nice"))
	fmt.Println(<-tab == <-other)
	// Output:
	// 2 <nil>
	// true
}

// A page shows why it was sent away.
func ExampleServer_KickWith() {
	h := open(fromQuery)
	defer h.close()
	_, ada, _ := h.dial("?room=lobby&id=ada")
	if err := h.KickWith("ada", 4001, "be nice to each other"); err != nil {
		fmt.Println(err)
	}
	fmt.Println(<-ada)
	_, bob, _ := h.dial("?room=lobby&id=bob")
	c, _ := h.GetConnection("bob")
	_ = c.CloseWith(4002, "the game is over")
	fmt.Println(<-bob)
	fmt.Println(c.CloseWith(1001, "no"))
	// Output:
	// wspulse: client: the server has refused: be nice to each other (close code 4001); to come back will not help
	// wspulse: client: the server has refused: the game is over (close code 4002); to come back will not help
	// wspulse: CloseWith: close code 1001 is neither 1000 nor in [3000, 4999]
}

// A session ends when its token does, unless the peer shows a new one in time.
func ExampleConnection_SetExpires() {
	ended := make(chan error, 1)
	h := open(fromQuery, wspulse.WithOnDisconnect(func(_ wspulse.Connection, err error) { ended <- err }))
	defer h.close()
	_, _, _ = h.dial("?room=lobby&id=ada&ttl=1h")
	ada, _ := h.GetConnection("ada")
	ada.SetExpires(time.Now().Add(2 * time.Hour)) // it has shown a new one
	ada.SetExpires(time.Now())                    // it has been revoked
	fmt.Println(<-ended, ada.Context().Err())
	// Output: wspulse: the session has expired context canceled
}

// The members of a room are told who is there.
func ExampleWithPresence() {
	h := open(fromQuery, wspulse.WithPresence(func(c wspulse.Connection) any {
		return map[string]string{"color": "blue"}
	}))
	defer h.close()
	_, heard, _ := h.dial("?room=lobby&id=ada&user=Ada")
	for _, member := range h.Presence("lobby") {
		fmt.Println(member.ID, member.UserID, member.Info, member.Away)
	}
	fmt.Println(<-heard == wspulse.EventPresence)
	// Output:
	// ada Ada map[color:blue] false
	// true
}

// What OnDisconnect saves is saved when Shutdown returns.
func ExampleServer_Shutdown() {
	var saved []string
	h := open(fromQuery, wspulse.WithOnDisconnect(func(c wspulse.Connection, _ error) {
		time.Sleep(10 * time.Millisecond)
		saved = append(saved, c.ID())
	}))
	defer h.web.Close()
	_, _, _ = h.dial("?room=lobby&id=ada")
	stats := h.Stats()
	fmt.Println(stats.Sessions, stats.Suspended, stats.Rooms)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	fmt.Println(h.Shutdown(ctx), saved)
	// Output:
	// 1 0 1
	// <nil> [ada]
}

// A client that comes back to another room moves there, with its session.
func ExampleWithRoomOnResume() {
	restored := make(chan []string, 1)
	h := open(fromQuery, wspulse.WithResumeWindow(time.Minute), wspulse.WithRoomOnResume(wspulse.FollowRoom),
		wspulse.WithDuplicatePolicy(wspulse.Resume),
		wspulse.WithOnTransportRestore(func(c wspulse.Connection) { restored <- c.Rooms() }))
	defer h.close()
	_, _, _ = h.dial("?room=lobby&id=ada", client.WithoutProtocol())
	_, _, _ = h.dial("?room=garden&id=ada", client.WithoutProtocol())
	fmt.Println(<-restored)
	// Output: [garden]
}

// What the server logs goes to log/slog.
func ExampleWithSlog() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
	open(fromQuery, wspulse.WithSlog(logger)).close()
	// Output:
	// level=INFO msg="wspulse: server started" resumeWindow=0s
	// level=INFO msg="wspulse: server closed"
}

// The application's own subprotocol is selected where a client offers it.
func ExampleWithSubprotocols() {
	h := open(fromQuery, wspulse.WithSubprotocols("chess.v2", "chess.v1"))
	defer h.close()
	_, _, err := h.dial("?room=lobby&id=ada", client.WithoutProtocol(),
		client.WithProtocols(func() ([]string, error) { return []string{"chess.v1", "chess.v0"}, nil }))
	ada, _ := h.GetConnection("ada")
	fmt.Println(ada.Subprotocol(), err)
	// Output: chess.v1 <nil>
}

// IDs may be any bytes, but not any number of them.
func ExampleWithMaxIDLength() {
	h := open(fromQuery, wspulse.WithMaxIDLength(16))
	defer h.close()
	_, _, _ = h.dial("?room=lobby&id=ada")
	ada, _ := h.GetConnection("ada")
	err := ada.Join(strings.Repeat("x", 17))
	fmt.Println(errors.Is(err, wspulse.ErrIDTooLong), slices.Contains(ada.Rooms(), "lobby"))
	// Output: true true
}
