package rpc

import (
	"errors"
	"strings"

	"github.com/wspulse/core/router"

	"github.com/wspulse/server/internal/ask"
)

// joiner is a connection that can be in several rooms.
type joiner interface {
	Join(roomID string) error
	Leave(roomID string) error
}

// Rooms lets peers join and leave rooms by themselves: it handles the requests "join" and "leave" with the payload
// {"room": …}, which Client.Join and Client.Leave of package client make. The reply has no payload.
//
// allow says whether a peer may join a room: nil is yes. Of an error the peer is told "forbidden", or what it says
// where it is an [*Error]; another one goes to [OnError]. allow runs before each join, on the goroutine of OnMessage,
// and must not be nil: a peer that may join any room reads what is sent there. To leave needs no permission.
//
// What Join or Leave of the connection refuse is "invalid", with their words; where the connection has no such methods,
// the reply is "unsupported".
//
// Rooms panics where r has a handler for one of the events already, or allow is nil.
func Rooms(r *router.Router, allow func(c router.Connection, roomID string) error, options ...Option) {
	if allow == nil {
		panic("wspulse: rpc: Rooms: allow must not be nil: return nil from it to let every peer into every room")
	}
	c := newConfig(options)
	r.On(ask.Join, Handle(func(ctx *router.Context, in room) (any, error) {
		if err := allow(ctx.Connection, in.Room); err != nil {
			return nil, c.forbidden(ctx, err)
		}
		return nil, in.do(ctx, joiner.Join)
	}, options...))
	r.On(ask.Leave, Handle(func(ctx *router.Context, in room) (any, error) {
		return nil, in.do(ctx, joiner.Leave)
	}, options...))
}

// A room is the payload of both events.
type room ask.Room

// Validate says that a room has to be named.
func (v room) Validate() error {
	if v.Room == "" {
		return errors.New("room must not be empty")
	}
	return nil
}

// do joins or leaves.
func (v room) do(ctx *router.Context, method func(c joiner, roomID string) error) error {
	c, ok := ctx.Connection.(joiner)
	if !ok {
		return &Error{CodeUnsupported, "rooms can't be joined or left here"}
	}
	if err := method(c, v.Room); err != nil {
		return &Error{CodeInvalid, strings.TrimPrefix(err.Error(), "wspulse: ")}
	}
	return nil
}

// forbidden is what the peer is told of an error of allow.
func (c *config) forbidden(ctx *router.Context, err error) error {
	if known(err) != nil {
		return err
	}
	c.onError(ctx, err)
	return &Error{CodeForbidden, "that room is not open to you"}
}
