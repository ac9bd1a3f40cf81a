package wire_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wspulse/server/internal/wire"
)

// The key and the answer of RFC 6455, section 1.3.
const (
	sampleKey    = "dGhlIHNhbXBsZSBub25jZQ=="
	sampleAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)

func upgradeRequest(change func(r *http.Request)) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for key, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": sampleKey,
	} {
		r.Header.Set(key, value)
	}
	change(r)
	return r
}

func set(key string, values ...string) func(*http.Request) {
	return func(r *http.Request) { r.Header[http.CanonicalHeaderKey(key)] = values }
}

func TestCheckUpgrade(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*http.Request)
		ok     bool
	}{
		"the RFC's own": {func(*http.Request) {}, true},
		"tokens in any case": {func(r *http.Request) {
			set("Connection", "uPGRADE")(r)
			set("Upgrade", "WebSocket")(r)
		}, true},
		"token among others":         {set("Connection", "keep-alive ,\tUpgrade"), true},
		"token in the second header": {set("Connection", "keep-alive", "upgrade"), true},
		"list with empty elements":   {set("Upgrade", ",, websocket,"), true},
		"HTTP/1.0":                   {func(r *http.Request) { r.Proto, r.ProtoMinor = "HTTP/1.0", 0 }, false},
		"POST":                       {func(r *http.Request) { r.Method = http.MethodPost }, false},
		"a body":                     {func(r *http.Request) { r.ContentLength = 3 }, false},
		"a body of unknown length":   {func(r *http.Request) { r.ContentLength = -1 }, false},
		"no Connection":              {set("Connection"), false},
		"part of a token":            {set("Connection", "upgraded"), false},
		"no Upgrade":                 {set("Upgrade"), false},
		"other Upgrade":              {set("Upgrade", "h2c"), false},
		"tokens without a comma":     {set("Upgrade", "h2c websocket"), false},
		"version 8":                  {set("Sec-WebSocket-Version", "8"), false},
		"two versions":               {set("Sec-WebSocket-Version", "13", "8"), false},
		"versions in a list":         {set("Sec-WebSocket-Version", "13, 8"), false},
		"no key":                     {set("Sec-WebSocket-Key"), false},
		"two keys":                   {set("Sec-WebSocket-Key", sampleKey, sampleKey), false},
		"empty key":                  {set("Sec-WebSocket-Key", ""), false},
		"key of 15 bytes":            {set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25j"), false},
		"key of 17 bytes":            {set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZWE="), false},
		"part of a longer letter":    {set("Upgrade", "web\u017focket"), false},
		"extensions":                 {set("Sec-WebSocket-Extensions", `a, b; c; d=e;f="g" ,, h`, "i"), true},
		"extensions, no name":        {set("Sec-WebSocket-Extensions", ";"), false},
		"extensions, no parameter":   {set("Sec-WebSocket-Extensions", "a;"), false},
		"extensions, no value":       {set("Sec-WebSocket-Extensions", "a; b="), false},
		"extensions, open quotes":    {set("Sec-WebSocket-Extensions", `a; b="c`), false},
		"extensions, two names":      {set("Sec-WebSocket-Extensions", "a b"), false},
		"extensions, no token":       {set("Sec-WebSocket-Extensions", "[a]"), false},
		"key that is not base64":     {set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25j*Q=="), false},
	} {
		if err := wire.CheckUpgrade(upgradeRequest(tc.change)); (err == nil) != tc.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A header of extensions may be as long as a request may be, and costs no more than to read it.
func TestCheckUpgrade_KeepsNoListOfExtensions(t *testing.T) {
	for _, element := range []string{"a,", "a;a;a;a;a;a;a;a;a,", "permessage-deflate;x,"} {
		header := strings.TrimRight(strings.Repeat(element, 1<<20/len(element)), ",")
		r := upgradeRequest(set("Sec-WebSocket-Extensions", header))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := wire.CheckUpgrade(r)
		answer := wire.NegotiateDeflate(r.Header["Sec-Websocket-Extensions"])
		runtime.ReadMemStats(&after)
		if allocated := after.TotalAlloc - before.TotalAlloc; err != nil || answer != "" || allocated > 1<<20 {
			t.Errorf("%q: error %v, answer %q, %d KiB allocated", element, err, answer, allocated>>10)
		}
	}
}

func TestAccept(t *testing.T) {
	server, client := net.Pipe()
	defer client.Close()
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		defer server.Close()
		buffered := bufio.NewReader(io.MultiReader(strings.NewReader("early"), server))
		_, _ = buffered.Peek(1)
		socket := wire.NewSocket(server)
		early, err := socket.Accept(buffered, upgradeRequest(func(*http.Request) {}), wire.Chosen{}, time.Second)
		if err != nil || string(early) != "early" {
			t.Errorf("early %q: %v", early, err)
		}
	}()
	response, err := http.ReadResponse(bufio.NewReader(client), nil)
	<-accepted
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != 101 || response.Header.Get("Sec-WebSocket-Accept") != sampleAccept ||
		response.Header.Get("Upgrade") != "websocket" || response.Header.Get("Connection") != "Upgrade" ||
		len(response.Header) != 3 {
		t.Errorf("%s, %v", response.Status, response.Header)
	}
}

// What is written later has no part in the time of the handshake.
func TestAccept_LeavesNoDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := net.Pipe()
		defer server.Close()
		defer client.Close()
		go func() { _, _ = io.Copy(io.Discard, client) }()
		socket := wire.NewSocket(server)
		_, err := socket.Accept(bufio.NewReader(server), upgradeRequest(func(*http.Request) {}), wire.Chosen{}, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if _, err := server.Write([]byte("later")); err != nil {
			t.Error(err)
		}
	})
}

// Nor has the time that whoever gave the connection away had set for it.
func TestAccept_ClearsADeadline(t *testing.T) {
	server, client := tcpPair(t)
	if err := server.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	socket := wire.NewSocket(server)
	if _, err := socket.Accept(bufio.NewReader(client), upgradeRequest(func(*http.Request) {}), wire.Chosen{}, time.Second); err != nil {
		t.Fatal(err)
	}
	time.Sleep(60 * time.Millisecond)
	if _, err := server.Write([]byte("later")); err != nil {
		t.Error(err)
	}
}

// A client that does not read the answer is given up, and its connection closed.
func TestAccept_GivesUp(t *testing.T) {
	server, client := net.Pipe()
	defer client.Close()
	socket := wire.NewSocket(server)
	_, err := socket.Accept(bufio.NewReader(server), upgradeRequest(func(*http.Request) {}), wire.Chosen{}, time.Millisecond)
	if err == nil {
		t.Fatal("no error")
	}
	if _, err := client.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the connection is open: %v", err)
	}
}
