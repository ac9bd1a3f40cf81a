package client_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/client"
	"github.com/wspulse/server/internal/control"
	"github.com/wspulse/server/wstest"
)

// An answer that is no upgrade says whether it makes sense to come back, and when.
func TestDial_RefusedByStatus(t *testing.T) {
	for _, c := range []struct {
		status    int
		after     string
		reconnect bool
		min       time.Duration
	}{
		{200, "", true, 0}, // the page of a network that wants a login
		{302, "", true, 0},
		{400, "", false, 0},
		{401, "", true, 0},
		{403, "", false, 0},
		{404, "", false, 0},
		{408, "", true, 0},
		{409, "", false, 0},
		{429, "7", true, 7 * time.Second},
		{429, "-7", true, 0},
		{429, "soon", true, 0},
		{429, "100000000", true, time.Hour},
		{502, "", true, 0},
		{503, "Sat, 01 Jan 2000 00:01:00 GMT", true, time.Minute},
		{503, "Fri, 31 Dec 1999 00:00:00 GMT", true, 0},
	} {
		t.Run(fmt.Sprint(c.status, c.after), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // where it is 2000-01-01
				w := &world{t: t, web: wstest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Retry-After", c.after)
					w.WriteHeader(c.status)
					fmt.Fprint(w, " because \n", strings.Repeat("x", 5000))
				}))}
				_, err := w.tryDial()
				var refused *client.RefusedError
				if !errors.As(err, &refused) {
					t.Fatal(err)
				}
				if refused.Status != c.status || refused.Code != 0 || refused.Reconnect != c.reconnect ||
					refused.AfterMin != c.min || (refused.AfterMax > 0) != (c.min > 0) ||
					!strings.HasPrefix(refused.Reason, "because") || len(err.Error()) > 300 {
					t.Errorf("%+v", refused)
				}
			})
		})
	}
}

func TestDial_RefusedInBand(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		_, err := s.tryDial()
		var refused *client.RefusedError
		want := client.RefusedError{Status: 101, Code: 4429, Reason: "connections", Reconnect: true,
			AfterMin: time.Second, AfterMax: 3 * time.Second}
		if !errors.As(err, &refused) || *refused != want {
			t.Errorf("%+v", err)
		}
		const text = "wspulse: client: the server has refused: connections (close code 4429); come back after 1s to 3s"
		if err.Error() != text {
			t.Error(err)
		}
	}, func(p *peer) {
		p.say(control.Message{Type: control.Bye, Reason: "connections", Reconnect: true, After: [2]int64{1000, 3000}})
		p.close(4429, "")
	})
}

// What is no answer at all stays an error of the network, and of the caller's context.
func TestDial_NetworkErrors(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		soon, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := client.Dial(soon, "ws://wstest/", client.WithDialer(s.web.Listener.DialContext))
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		for _, url := range []string{"http://wstest/", "::", "ws://user:secret@wstest/"} {
			if _, err := client.Dial(t.Context(), url, client.WithDialer(s.web.Listener.DialContext)); err == nil ||
				strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: %v", url, err)
			}
		}
		mine := errors.New("mine")
		for name, option := range map[string]client.Option{
			"url":       client.WithURL(func() (string, error) { return "", mine }),
			"header":    client.WithHeader(func() (http.Header, error) { return nil, mine }),
			"protocols": client.WithProtocols(func() ([]string, error) { return nil, mine }),
			"dialer":    client.WithDialer(func(context.Context, string, string) (net.Conn, error) { return nil, mine }),
		} {
			if _, err := s.tryDial(option); !errors.Is(err, mine) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}, func(*peer) {})
}

// Other subprotocols are offered behind the client's own, and headers go along.
func TestDial_Offers(t *testing.T) {
	play(t, func(t *testing.T, s *script) {
		n := 0
		u := s.dial(hurry(), client.WithProtocols(func() ([]string, error) {
			n++
			return []string{fmt.Sprint("ticket-", n)}, nil
		}))
		u.drop(false)
		time.Sleep(1500 * time.Millisecond)
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.offers) != 2 || s.offers[0] != "wspulse.v1, ticket-1" ||
			s.offers[1] != "wspulse.v1, wspulse.v1.resume.YWxpY2U.0."+strings.Repeat("t", 43)+", ticket-2" {
			t.Errorf("offered %q", s.offers)
		}
	}, greets(), greets(resumed(0, 0)))
}

func TestWithoutProtocol_OffersNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		offered := make(chan []string, 1)
		w := &world{t: t, web: wstest.NewServer(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			offered <- r.Header["Sec-Websocket-Protocol"]
			echoWithoutProtocol(rw, r)
		}))}
		u := w.dial(client.WithoutProtocol())
		if got := <-offered; got != nil || u.ID() != "" {
			t.Errorf("%q, %q", got, u.ID())
		}
	})
}

// A wss URL, and a server that only the client's configuration trusts.
func TestDial_TLS(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		listener := wstest.Listen()
		secure := httptest.NewUnstartedServer(w.server)
		_ = secure.Listener.Close()
		secure.Listener, secure.Config.ErrorLog = listener, log.New(io.Discard, "", 0)
		secure.StartTLS()
		t.Cleanup(secure.Close)
		const url = "wss://example.com/?id=alice"
		dial := client.WithDialer(listener.DialContext)
		if _, err := client.Dial(t.Context(), url, dial); !errors.As(err, new(*tls.CertificateVerificationError)) {
			t.Error(err)
		}
		trust := secure.Client().Transport.(*http.Transport).TLSClientConfig
		c, err := client.Dial(t.Context(), url, dial, client.WithTLSConfig(&tls.Config{RootCAs: trust.RootCAs}))
		w.must(err)
		w.must(c.Send(client.Frame{Event: "a"}))
		w.must(c.Close())
		w.expect("a")
	})
}

// Messages are compressed, and control messages are not. The limit is for what is inflated.
func TestCompression(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		u := w.dial(client.WithCompression(), client.WithMaxMessageSize(4<<10), hurry())
		u.say(strings.Repeat("a", 300))
		w.send(strings.Repeat("x", 2<<10))
		u.expect(strings.Repeat("x", 2<<10))
		w.expect(strings.Repeat("a", 300))
		w.must(u.Drained(t.Context()))
		w.send(strings.Repeat("y", 64<<10), "z")
		time.Sleep(2 * time.Second)
		u.expect("gap:1 drop restore z")
		w.must(u.Close())
	}, wspulse.WithCompression(6, 0))
}

// With a codec of binary messages, control messages are texts.
type binaryCodec struct{ client.Codec }

func (binaryCodec) FrameType() int { return wspulse.BinaryMessage }

func TestCodec_Binary(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		u := w.dial(client.WithCodec(binaryCodec{wspulse.JSONCodec}), hurry())
		u.say("a")
		w.send("x")
		u.expect("x")
		u.drop(false)
		u.say("b")
		w.send("y")
		time.Sleep(2 * time.Second)
		u.expect("drop restore y")
		w.expect("a b")
		w.must(u.Close())
	}, wspulse.WithCodec(binaryCodec{wspulse.JSONCodec}))
}

// A server that takes one message a second is no server that is gone.
func TestSend_BackPressureIsNoDrop(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		u := w.dial(client.WithSendBuffer(1000))
		u.conn().Upstream(wstest.Faults{Window: 4 << 10})
		for range 200 {
			u.say(strings.Repeat("a", 400))
		}
		w.must(u.Drained(t.Context()))
		u.expect("")
		synctest.Wait()
		if n := len(strings.Fields(w.events.take())); n != 200 {
			t.Errorf("%d came", n)
		}
	}, wspulse.WithMessageRate(1, 1))
}
