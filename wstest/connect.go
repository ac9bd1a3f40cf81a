package wstest

import (
	"net/http"
	"net/http/httptest"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/internal/attachment"
)

// FromQuery is a wspulse.ConnectFunc for tests that are not about who may come in. It takes each peer for whom its URL
// names: "/?id=7&user=alice&room=lobby&room=news" is the session 7 of the user alice, at home in the lobby, and in the
// room news besides. All of it may be left out. So whatever connects, a [Client], a [Session] or one of package client,
// is who the test likes.
//
// Danger: it believes everybody. It is for tests.
func FromQuery(r *http.Request) (roomID, connectionID string, err error) {
	q := r.URL.Query()
	d := wspulse.Details{UserID: q.Get("user")}
	if rooms := q["room"]; len(rooms) > 1 {
		d.Rooms = rooms[1:]
	}
	wspulse.Attach(r, d)
	return q.Get("room"), q.Get("id"), nil
}

// Request returns an upgrade request, as a Server gives it to ConnectFunc, for a test that calls that by itself. target
// is a path and a query such as "/ws?room=lobby"; the test sets headers and cookies. [Attached] tells what ConnectFunc
// has attached. It panics where target is none.
func Request(target string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, target, http.NoBody)
	r.Host = "wstest"
	for name, value := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket",
		"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="} { // RFC 6455, section 1.3
		r.Header.Set(name, value)
	}
	r, _ = attachment.With[wspulse.Details](r)
	return r
}

// Attached returns what the last wspulse.Attach has attached to a request that [Request] has made, or to one that was
// made of that by WithContext; false: nothing. What a Server would refuse of it, such as too many rooms, is there all
// the same. It panics with another request.
func Attached(r *http.Request) (d wspulse.Details, ok bool) {
	held := attachment.Of[wspulse.Details](r)
	switch {
	case held == nil:
		panic("wstest: Attached: the request is not one of wstest.Request")
	case held.Details == nil:
		return d, false
	}
	return *held.Details, true
}
