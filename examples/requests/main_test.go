package main

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap/zaptest"

	"github.com/wspulse/server/client"
	"github.com/wspulse/server/examples/internal/program"
	"github.com/wspulse/server/wstest"
)

func TestMain(m *testing.M) { program.Main(m, main) }

func TestMain_Addr(t *testing.T) { program.TestAddr(t, "/ws") }

// orders asks the server, for a guest who answers questions like that.
func orders(t *testing.T, answer func(question string) (any, error), o order) (bill, error) {
	t.Helper()
	server := wstest.NewServer(t, newServer(zaptest.NewLogger(t)))
	guest, err := client.Dial(t.Context(), "ws://wstest/",
		client.WithDialer(func(ctx context.Context, network, addr string) (net.Conn, error) {
			return server.Listener.DialContext(ctx, network, addr)
		}),
		client.WithRequestHandler("confirm", func(_ client.Client, f client.Frame) (any, error) {
			var question string
			if err := client.Bind(f, &question); err != nil {
				return nil, err
			}
			return answer(question)
		}))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = guest.Close(); <-guest.Done() }()
	f, err := client.NewFrame("order", o)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := guest.Request(t.Context(), f)
	if err != nil {
		return bill{}, err
	}
	var b bill
	err = client.Bind(reply, &b)
	return b, err
}

func TestRequests_ConfirmsAnOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := ""
		b, err := orders(t, func(question string) (any, error) { asked = question; return true, nil }, order{"soup", 2})
		if err != nil || b.Cents != 900 || asked != "2 soup: 900 cents?" {
			t.Errorf("asked %q, got %+v, error %v", asked, b, err)
		}
	})
}

func TestRequests_Refuses(t *testing.T) {
	for name, c := range map[string]struct {
		order  order
		answer func(string) (any, error)
		want   string // code and text
	}{
		"too many": {order{"soup", 13}, nil, "invalid: count must be 1 to 12"},
		"unknown":  {order{"stew", 1}, nil, `unknown: there is no "stew"`},
		"no":       {order{"soup", 1}, func(string) (any, error) { return false, nil }, "cancelled: you have not confirmed"},
		"error":    {order{"soup", 1}, func(string) (any, error) { return nil, errors.New("mine") }, "internal: internal error"},
		"asleep": {order{"soup", 1}, func(string) (any, error) { time.Sleep(2 * patience); return true, nil },
			"internal: internal error"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, err := orders(t, c.answer, c.order)
				var refused *client.ReplyError
				if !errors.As(err, &refused) || refused.Code+": "+refused.Message != c.want {
					t.Errorf("got %v, want %s", err, c.want)
				}
			})
		})
	}
}
