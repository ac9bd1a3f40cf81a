package client_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/wspulse/server/client"
)

type pingCodec struct{ client.Codec }

func (pingCodec) FrameType() int { return 9 }

// An option that can't be meant panics when it is made, and says which it is, what it was given, and what it takes.
func TestOptions_Panic(t *testing.T) {
	for want, option := range map[string]func(){
		"WithReconnect: base 0s is not in (0, limit 1s]":                          func() { client.WithReconnect(1, 0, time.Second) },
		"WithReconnect: base 2s is not in (0, limit 1s]":                          func() { client.WithReconnect(1, 2*time.Second, time.Second) },
		"or limit not in (0, 1h0m0s]":                                             func() { client.WithReconnect(1, time.Second, 2*time.Hour) },
		"WithJitter: -0.1 is not in [0, 1]":                                       func() { client.WithJitter(-0.1) },
		"WithJitter: 2 is not in [0, 1]":                                          func() { client.WithJitter(2) },
		"WithHeartbeat: 0s is not in (0, 10m0s]":                                  func() { client.WithHeartbeat(0) },
		"WithHeartbeat: 11m0s is not in":                                          func() { client.WithHeartbeat(11 * time.Minute) },
		"WithCodec: codec must not be nil":                                        func() { client.WithCodec(nil) },
		"WithCodec: FrameType 9 is neither TextMessage (1) nor BinaryMessage (2)": func() { client.WithCodec(pingCodec{}) },
		"WithHeader: fn must not be nil":                                          func() { client.WithHeader(nil) },
		"WithURL: fn must not be nil":                                             func() { client.WithURL(nil) },
		"WithProtocols: fn must not be nil":                                       func() { client.WithProtocols(nil) },
		"WithDialer: fn must not be nil":                                          func() { client.WithDialer(nil) },
		"WithLogger: logger must not be nil":                                      func() { client.WithLogger(nil) },
		"WithMaxMessageSize: 0 is not in [1, 67108864]":                           func() { client.WithMaxMessageSize(0) },
		"WithMaxMessageSize: 67108865 is not in":                                  func() { client.WithMaxMessageSize(64<<20 + 1) },
		"WithSendBuffer: 0 is not in [1, 1048576]":                                func() { client.WithSendBuffer(0) },
		"WithSendBuffer: 1048577 is not in":                                       func() { client.WithSendBuffer(1<<20 + 1) },
	} {
		func() {
			defer func() {
				if got := fmt.Sprint(recover()); !strings.HasPrefix(got, "wspulse: client: ") || !strings.Contains(got, want) {
					t.Errorf("panicked with %q, want %q", got, want)
				}
			}()
			option()
		}()
	}
}
