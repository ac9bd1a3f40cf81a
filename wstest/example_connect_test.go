package wstest_test

import (
	"errors"
	"fmt"
	"net/http"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/wstest"
)

// connectMember is a ConnectFunc to be tested.
func connectMember(r *http.Request) (roomID, connectionID string, err error) {
	cookie, err := r.Cookie("user")
	if err != nil {
		return "", "", &wspulse.Refusal{Status: http.StatusForbidden, Text: "members only"}
	}
	wspulse.Attach(r, wspulse.Details{UserID: cookie.Value, Rooms: []string{"news"}})
	return r.URL.Query().Get("room"), "", nil
}

// A test of a ConnectFunc needs no server.
func ExampleRequest() {
	r := wstest.Request("/ws?room=lobby")
	_, _, err := connectMember(r)
	var refused *wspulse.Refusal
	fmt.Println(errors.As(err, &refused), err)

	r.AddCookie(&http.Cookie{Name: "user", Value: "alice"})
	room, _, err := connectMember(r)
	details, _ := wstest.Attached(r)
	fmt.Println(room, details.UserID, details.Rooms, err)
	// Output:
	// true refused with 403: members only
	// lobby alice [news] <nil>
}

func ExampleFromQuery() {
	r := wstest.Request("/?id=7&user=alice&room=lobby&room=news")
	room, id, err := wstest.FromQuery(r)
	details, _ := wstest.Attached(r)
	fmt.Println(room, id, err, details.UserID, details.Rooms)
	// Output: lobby 7 <nil> alice [news]
}

func ExampleAttached() {
	r := wstest.Request("/")
	_, attached := wstest.Attached(r)
	fmt.Println(attached)
	wspulse.Attach(r, wspulse.Details{UserID: "alice"})
	details, attached := wstest.Attached(r)
	fmt.Println(attached, details.UserID)
	// Output:
	// false
	// true alice
}
