package router_test

import (
	"fmt"

	wspulse "github.com/wspulse/core"
	"github.com/wspulse/core/router"
)

func Example() {
	r := router.New(router.WithFallback(func(c *router.Context) {
		fmt.Println("unknown event", c.Frame.Event)
	}))
	r.Use(router.Recovery())
	r.Use(func(c *router.Context) { // runs before the handlers of every event
		user := c.Connection.ID()
		if user == "mallory" {
			fmt.Println("not you,", user)
			c.Abort()
			return
		}
		c.Set("user", user)
	})
	r.On("chat.post", func(c *router.Context) {
		fmt.Printf("%s says %s\n", c.GetString("user"), c.Frame.Payload)
	})

	post := wspulse.Frame{Event: "chat.post", Payload: []byte(`"hello"`)}
	r.Dispatch(peer("ada"), post)
	r.Dispatch(peer("mallory"), post)
	r.Dispatch(peer("ada"), wspulse.Frame{Event: "chat.pots"})
	// Output:
	// ada says "hello"
	// not you, mallory
	// unknown event chat.pots
}

func ExampleContext_Next() {
	r := router.New()
	r.Use(func(c *router.Context) {
		fmt.Println("begin", c.Frame.Event)
		c.Next()
		fmt.Println("end", c.Frame.Event)
	})
	r.On("ping", func(*router.Context) { fmt.Println("pong") })
	r.Dispatch(nil, wspulse.Frame{Event: "ping"})
	// Output:
	// begin ping
	// pong
	// end ping
}
