package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestRun_ServesUntilItIsTold is the one test with real sockets.
func TestRun_ServesUntilItIsTold(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	printed := make(lines, 1)
	var log bytes.Buffer // read when run has returned
	returned := make(chan error, 1)
	go func() { returned <- run(ctx, []string{"-addr", "127.0.0.1:0"}, printed, &log) }()

	url := regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(<-printed)
	for host, want := range map[string]int{"": http.StatusOK, "evil.example": http.StatusMisdirectedRequest} {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = host // instead of that of the URL, unless it is empty
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("the page of host %q got %s, want %d", host, response.Status, want)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	cancel()
	if err := <-returned; err != nil {
		t.Errorf("run returned %v", err)
	}
	if !strings.Contains(log.String(), "server closed") {
		t.Errorf("the log does not tell of the end: %s", log.String())
	}
}

// lines is a writer that hands on what is written.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

func TestRun_Refuses(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	taken := listener.Addr().String()
	for _, c := range []struct {
		args []string
		is   error
		text string // of the error, or on stderr
	}{
		{[]string{"-addr", taken}, nil, taken + ": bind: address already in use; choose another address with -addr"},
		{[]string{"-addr", "nonsense"}, nil, "missing port"},
		{[]string{"-h"}, flag.ErrHelp, `default "127.0.0.1:8080"`},
		{[]string{"-port", "80"}, errUsage, "not defined: -port"},
		{[]string{"-resume", "-1s"}, errUsage, "no negative durations"},
		{[]string{"8080"}, errUsage, "no arguments"},
	} {
		var stdout, stderr bytes.Buffer
		err := run(t.Context(), c.args, &stdout, &stderr)
		if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error()+stderr.String(), c.text) {
			t.Errorf("%q: got error %v and\n%s\nwant %q", c.args, err, &stderr, c.text)
		}
		if stdout.Len() > 0 {
			t.Errorf("%q: printed %s", c.args, &stdout)
		}
	}
}
