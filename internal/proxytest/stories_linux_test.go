package proxytest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/client"
)

// serve starts a server on 127.0.0.1 that sets a cookie, and returns its address. It ends with the test.
func serve(t *testing.T, sessions wspulse.Server) (addr string) {
	t.Helper()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "seen", Value: "yes"})
		sessions.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		sessions.Close()
		web.Close()
	})
	return strings.TrimPrefix(web.URL, "http://")
}

func connect(*http.Request) (roomID, connectionID string, err error) { return "r", "", nil }

// echo sends a message back to who has sent it.
func echo(c wspulse.Connection, f wspulse.Frame) { _ = c.Send(f) }

// dial connects from an address of the machine that is not the proxy's.
func (p *proxy) dial(t *testing.T, header http.Header) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	from := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	dialer := websocket.Dialer{NetDialContext: from.DialContext, HandshakeTimeout: patience}
	ws, response, err := dialer.DialContext(t.Context(), "ws://"+p.addr+"/ws", header)
	if err == nil {
		t.Cleanup(func() { ws.Close() })
		_ = ws.SetReadDeadline(time.Now().Add(patience))
	}
	return ws, response, err
}

// ask sends a message and expects it back.
func ask(t *testing.T, ws *websocket.Conn, payload string) error {
	t.Helper()
	message := `{"event":"echo","payload":"` + payload + `"}`
	if err := ws.WriteMessage(websocket.TextMessage, []byte(message)); err != nil {
		return err
	}
	_, data, err := ws.ReadMessage()
	if err == nil && string(data) != message {
		err = errors.New("got something else")
	}
	return err
}

// What passes: the upgrade, a large message, the cookie, the origin's host, and the client's address, whatever it
// claims.
func TestProxy_Passes(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		keys := make(chan string, 10)
		address := wspulse.ClientAddress(netip.MustParsePrefix("127.0.0.1/32"))
		p := k.start(t, serve(t, wspulse.NewServer(connect,
			wspulse.WithCheckOrigin(wspulse.SameOrigin),
			wspulse.WithOnMessage(echo),
			wspulse.WithMaxMessageSize(1<<20),
			wspulse.WithConnectionLimit(func(r *http.Request) string {
				key := address(r)
				keys <- key
				return key
			}, 10))))

		ws, response, err := p.dial(t, http.Header{
			"Origin":          {"http://" + p.addr},
			"X-Forwarded-For": {"203.0.113.9"},
			"Forwarded":       {"for=203.0.113.9"},
		})
		if err != nil {
			t.Fatal(err, answer(response))
		}
		if cookies := response.Cookies(); len(cookies) != 1 || cookies[0].Name != "seen" {
			t.Errorf("the 101 has cookies %v", cookies)
		}
		if key := <-keys; key != "127.0.0.2" {
			t.Errorf("the client's address is %q, want 127.0.0.2", key)
		}
		if err := ask(t, ws, strings.Repeat("x", 300_000)); err != nil {
			t.Error(err)
		}

		_, response, err = p.dial(t, http.Header{"Origin": {"http://elsewhere.example"}})
		if err == nil || response == nil || response.StatusCode != http.StatusForbidden {
			t.Errorf("a page of another site got %s, error %v", answer(response), err)
		}
	})
}

// Where the proxy ends TLS, the server sees http, and the origin that it accepts has to be said.
func TestProxy_EndsTLS(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		web := httptest.NewTLSServer(nil) // which has a certificate of 127.0.0.1
		web.Close()
		p := k.start(t, serve(t, wspulse.NewServer(connect,
			wspulse.WithCheckOrigin(wspulse.AllowOrigins("https://example.com")),
			wspulse.WithOnMessage(echo))), k.encrypt(writeCertificate(t, web.TLS.Certificates[0]))...)
		roots := x509.NewCertPool()
		roots.AddCert(web.Certificate())
		dialer := websocket.Dialer{HandshakeTimeout: patience, TLSClientConfig: &tls.Config{RootCAs: roots}}
		header := http.Header{"Origin": {"https://example.com"}}
		ws, response, err := dialer.DialContext(t.Context(), "wss://"+p.addr+"/ws", header)
		if err != nil {
			t.Fatal(err, answer(response))
		}
		defer ws.Close()
		if err := ask(t, ws, "hello"); err != nil {
			t.Error(err)
		}
		header.Set("Origin", "https://"+p.addr)
		_, response, err = dialer.DialContext(t.Context(), "wss://"+p.addr+"/ws", header)
		if err == nil || response == nil || response.StatusCode != http.StatusForbidden {
			t.Errorf("another origin got %s, error %v", answer(response), err)
		}
	})
}

// writeCertificate writes a file with a certificate and its key.
func writeCertificate(t *testing.T, c tls.Certificate) (path string) {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	data := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})
	data = append(data, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
	path = filepath.Join(t.TempDir(), "certificate.pem")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func answer(r *http.Response) string {
	if r == nil {
		return "no answer"
	}
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1024))
	return r.Status + " " + string(body)
}

// The server's pings keep a connection on which nothing is said from being cut, which the proxy does without them.
func TestProxy_HeartbeatsKeepIdleConnections(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		const idle = 4 * time.Second
		for name, c := range map[string]struct {
			ping time.Duration
			kept bool
		}{
			"pings":    {300 * time.Millisecond, true},
			"no pings": {time.Minute, !k.idle},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				p := k.start(t, serve(t, wspulse.NewServer(connect, wspulse.WithOnMessage(echo),
					wspulse.WithHeartbeat(c.ping, 5*c.ping))), "60s", "2s")
				ws, response, err := p.dial(t, nil)
				if err != nil {
					t.Fatal(err, answer(response))
				}
				read := make(chan error, 1)
				go func() {
					_, _, err := ws.ReadMessage() // which answers pings
					read <- err
				}()
				select {
				case err := <-read:
					if c.kept {
						t.Errorf("it was cut: %v", err)
					}
				case <-time.After(idle):
					if !c.kept {
						t.Errorf("it was not cut in %v: nothing shows that the pings keep it", idle)
					}
				}
			})
		}
	})
}

// A counter writes down numbers that must come in order, each once.
type counter struct {
	mu   sync.Mutex // guards what follows
	next int
	err  string
}

func (c *counter) count(payload []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if got := string(payload); got != strconv.Itoa(c.next) && c.err == "" {
		c.err = "got " + got + ", want " + strconv.Itoa(c.next)
	}
	c.next++
}

func (c *counter) state() (n int, err string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.next, c.err
}

// numbers sends numbers until ctx ends, and returns how many there were.
func numbers(ctx context.Context, send func(payload []byte) error) int {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for n := 0; ; {
		select {
		case <-ctx.Done():
			return n
		case <-tick.C:
			if send([]byte(strconv.Itoa(n))) == nil { // or the buffer is full, while the connection is away
				n++
			}
		}
	}
}

// A reload of the proxy cuts the connection, sooner or later. The Go client comes back, and nothing is lost either way.
func TestProxy_ReloadLosesNothing(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		var down, up counter
		opened := make(chan wspulse.Connection, 10)
		p := k.start(t, serve(t, wspulse.NewServer(connect,
			wspulse.WithResumeWindow(time.Minute),
			wspulse.WithOnConnect(func(c wspulse.Connection) { opened <- c }),
			wspulse.WithOnMessage(func(_ wspulse.Connection, f wspulse.Frame) { up.count(f.Payload) }))), "1h", "1s")
		restored := make(chan struct{}, 100)
		c, err := client.Dial(t.Context(), "ws://"+p.addr+"/ws",
			client.WithReconnect(-1, 10*time.Millisecond, 200*time.Millisecond),
			client.WithOnMessage(func(_ client.Client, f client.Frame) { down.count(f.Payload) }),
			client.WithOnTransportRestore(func(client.Client) { restored <- struct{}{} }),
			client.WithOnSessionLost(func(_ client.Client, lost client.Lost) { t.Errorf("session lost: %+v", lost) }))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		session := <-opened

		ctx, stop := context.WithCancel(t.Context())
		var sending sync.WaitGroup
		var sentDown, sentUp int
		sending.Go(func() {
			sentDown = numbers(ctx, func(payload []byte) error { return session.Send(wspulse.Frame{Payload: payload}) })
		})
		sending.Go(func() {
			sentUp = numbers(ctx, func(payload []byte) error { return c.Send(client.Frame{Payload: payload}) })
		})
		for range 2 {
			time.Sleep(200 * time.Millisecond) // of talk in peace
			k.reload(t, p)
			select {
			case <-restored:
			case <-time.After(patience):
				t.Fatal("the connection was not cut, or the client has not come back")
			}
		}
		time.Sleep(200 * time.Millisecond)
		stop()
		sending.Wait()

		for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
			gotDown, errDown := down.state()
			gotUp, errUp := up.state()
			if errDown != "" || errUp != "" {
				t.Fatalf("down: %s; up: %s", errDown, errUp)
			}
			if gotDown == sentDown && gotUp == sentUp {
				t.Logf("%d down, %d up, %d more reconnects", gotDown, gotUp, len(restored))
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("got %d of %d down, %d of %d up", gotDown, sentDown, gotUp, sentUp)
			}
		}
	})
}
