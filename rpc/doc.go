// Package rpc replies to requests: to frames with an ID, by frames with the same ID, as Connection.Request of package
// wspulse and Client.Request of package client expect them. It goes with the router of github.com/wspulse/core/router,
// where a typed handler is one line:
//
//	r := router.New()
//	r.Use(router.Recovery())
//	r.On("say", rpc.Handle(func(ctx *router.Context, in Say) (Said, error) {
//		if !allowed(ctx.Connection, in) {
//			return Said{}, &rpc.Error{Code: "forbidden", Message: "say please"}
//		}
//		return Said{ID: store(in)}, nil
//	}))
//
// The reply has the event "ack" and the JSON of what the handler returns; or "error", and {"code","message"}. The names
// are those of wspulse.WithReplyEvents. Payloads are JSON, whatever the codec makes of frames.
package rpc
