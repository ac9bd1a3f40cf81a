package wspulse_test

import (
	"fmt"

	wspulse "github.com/wspulse/core"
)

func ExampleJSONCodec() {
	data, err := wspulse.JSONCodec.Encode(wspulse.Frame{
		ID:      "42",
		Event:   "chat.post",
		Payload: []byte(`{"text":"hello"}`),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s\n", data)

	f, err := wspulse.JSONCodec.Decode([]byte(`{"event":"cursor","payload":[3,4]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s %s\n", f.Event, f.Payload)

	_, err = wspulse.JSONCodec.Encode(wspulse.Frame{Payload: []byte(`hello`)})
	fmt.Println(err)
	// Output:
	// {"id":"42","event":"chat.post","payload":{"text":"hello"}}
	// cursor [3,4]
	// wspulse: encode frame: payload is not valid JSON at offset 0
}
