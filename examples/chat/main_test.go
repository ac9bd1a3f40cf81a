package main

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/wspulse/server/examples/internal/program"
)

func TestMain(m *testing.M) { program.Main(m, main) }

// TestMain_EndsAsItIsTold is the one test with real sockets: what is said before the end is heard.
func TestMain_EndsAsItIsTold(t *testing.T) {
	p := program.Start(t, "-addr", "127.0.0.1:0", "-key", "sesame")
	addr := p.Addr()
	p.Await("open http://" + addr + "; the key of admins is sesame")
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	do := func(method, path, host string) int {
		t.Helper()
		body := strings.NewReader("good night")
		request, err := http.NewRequestWithContext(t.Context(), method, "http://"+addr+"/"+path, body)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = host // instead of that of the URL, unless it is empty
		request.Header.Set("Authorization", "Bearer sesame")
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.StatusCode
	}
	if here, elsewhere := do("GET", "", ""), do("GET", "", "evil.example"); here != 200 || elsewhere != 421 {
		t.Errorf("the page got %d, and %d of another host, want 200 and 421", here, elsewhere)
	}
	ws, _, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+addr+"/ws?name=ann",
		http.Header{"Cookie": {cookieName + "=x"}})
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	if _, _, err := ws.ReadMessage(); err != nil { // who is there: the session is open
		t.Fatal(err)
	}
	if status := do("POST", "rooms/lobby/announce", ""); status != 204 {
		t.Errorf("the announcement got %d", status)
	}
	heard := make(chan string, 1)
	go func() {
		for all := ""; ; {
			_, data, err := ws.ReadMessage()
			if err != nil {
				heard <- all + err.Error()
				return
			}
			all += string(data)
		}
	}()
	p.Terminate()
	if all := <-heard; !strings.Contains(all, "good night") || !strings.Contains(all, "1001") {
		t.Errorf("ann heard %s", all)
	}
}

func TestMain_Refuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct {
		arg, value string
		fails      bool
		text       string
	}{
		{"-addr", taken.Addr().String(), true, "address already in use"},
		{"-addr", "nonsense", true, "missing port"},
		{"-h", "", false, `(default "127.0.0.1:8080")`},
		{"-port", "80", true, "not defined: -port"},
		{"-resume", "-1s", true, "no negative durations"},
		{"8080", "", true, "no arguments"},
	} {
		p := program.Start(t, strings.Fields(c.arg+" "+c.value)...)
		if err := p.Wait(); (err != nil) != c.fails || !strings.Contains(p.Output(), c.text) {
			t.Errorf("%s %s ended with %v after\n%s\nwant %q", c.arg, c.value, err, p.Output(), c.text)
		}
		if strings.Contains(p.Output(), "listening on") {
			t.Errorf("%s %s: it says that it listens, and does not", c.arg, c.value)
		}
	}
}
