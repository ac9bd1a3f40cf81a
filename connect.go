package wspulse

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/wspulse/server/internal/attachment"
)

// Details say more of a peer than what ConnectFunc returns. See [Attach].
type Details struct {
	// UserID is who the peer is, on whatever devices and in whatever tabs; "" is nobody in particular. A session is not
	// resumed by another user: that is a new session.
	UserID string

	// Data is the application's own. Connection.Data returns it.
	Data any

	// Rooms are joined when the session opens, beside the one that ConnectFunc returns. For a resume they are ignored:
	// the session is in the rooms that it was in. More than WithMaxRooms allows with the home, or a longer ID than
	// WithMaxIDLength, is answered 500.
	Rooms []string

	// Expires is when what let the peer in is good no more, such as its token; zero is never. The session ends then
	// (close code 4401). It is the time of the wall clock that counts. A request with one that has passed is answered
	// 401.
	Expires time.Time
}

// Attach says more of a peer than ConnectFunc's results can. ConnectFunc calls it, with its request or one that was
// made of that by WithContext. The last call counts. For a session that is resumed, the new Details are in the place of
// the old ones.
//
// It panics with a request that is not ConnectFunc's. Where that is called in a test without a server, package wstest
// has a request for it: wstest.Request.
func Attach(r *http.Request, d Details) {
	held := attachment.Of[Details](r)
	if held == nil {
		panic("wspulse: Attach: the request is not one that a Server has given to ConnectFunc")
	}
	held.Details = &d
}

// copied returns Details that share nothing with the request: see request.
func (d *Details) copied() *Details {
	if d == nil {
		return nil
	}
	c := *d
	c.UserID = strings.Clone(d.UserID)
	c.Rooms = make([]string, len(d.Rooms))
	for i, room := range d.Rooms {
		c.Rooms[i] = strings.Clone(room)
	}
	return &c
}

// checkID says what is wrong with the ID of a room, a user or a connection, which what names.
func (c *serverConfig) checkID(what, id string) error {
	if len(id) <= c.maxIDLength {
		return nil
	}
	return fmt.Errorf("%w: the %s has %d bytes, %d are allowed (WithMaxIDLength)", ErrIDTooLong, what, len(id), c.maxIDLength)
}

// check says what is wrong with Details. homeID is the room that they come beside.
func (d *Details) check(c *serverConfig, homeID string) error {
	if err := c.checkID("UserID", d.UserID); err != nil {
		return err
	}
	rooms := map[string]bool{homeID: true}
	for _, id := range d.Rooms {
		if err := c.checkID("room", id); err != nil {
			return err
		}
		rooms[id] = true
	}
	if len(rooms) > c.maxRooms {
		return fmt.Errorf("%w: Details.Rooms makes %d with the home, %d are allowed (WithMaxRooms)",
			ErrTooManyRooms, len(rooms), c.maxRooms)
	}
	return nil
}
