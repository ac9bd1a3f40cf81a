package wspulse

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/wspulse/server/internal/wire"
)

// What each error that can end reading means: to the application, to the peer, to the limits and to the log.
func TestJudge(t *testing.T) {
	cfg := defaultConfig(func(*http.Request) (string, string, error) { return "", "", nil })
	timeout := &net.OpError{Op: "read", Net: "tcp", Err: os.ErrDeadlineExceeded}
	reset := &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	closes := func(code int, reason string) *wire.Frame { return wire.Close(code, reason) }
	for _, tc := range []struct {
		name  string
		err   error
		is    error // what the application's error is; nil for a clean close
		frame *wire.Frame
		limit Limit
		fault fault
	}{
		{"normal close", &websocket.CloseError{Code: 1000, Text: "bye"}, nil, closes(1000, ""), "", noFault},
		{"going away", &websocket.CloseError{Code: 1001}, nil, closes(1001, ""), "", noFault},
		{"no status", &websocket.CloseError{Code: 1005}, nil, closes(1005, ""), "", noFault},
		{"end without a close frame", io.ErrUnexpectedEOF, &websocket.CloseError{Code: 1006, Text: "unexpected EOF"}, nil, "", noFault},
		{"too large", wire.ErrTooLarge, websocket.ErrReadLimit,
			closes(1009, "message larger than 512 bytes (WithMaxMessageSize)"), LimitMaxMessageSize, noFault},
		{"time-out", timeout, os.ErrDeadlineExceeded, nil, "", answeredNone},
		{"reset", reset, syscall.ECONNRESET, nil, "", noFault},
		{"Goexit", errGoexit, errGoexit, nil, "", noFault},
	} {
		t.Run(tc.name, func(t *testing.T) { check(t, judge(tc.err, cfg), tc.is, tc.frame, tc.limit, tc.fault) })
	}
	for _, err := range []error{
		&websocket.CloseError{Code: 3000, Text: "own"}, &wire.Violation{Code: 1002, Reason: "mask"},
		&LimitError{LimitMessageRate, 1008, "too many"}, &PanicError{Value: 1},
	} {
		frame, limit, fault := closes(3000, ""), Limit(""), noFault
		switch err.(type) {
		case *wire.Violation:
			frame, fault = closes(1002, "mask"), brokeRules
		case *LimitError:
			frame, limit = closes(1008, "too many"), LimitMessageRate
		case *PanicError:
			frame = closes(1011, "the server failed in handling a message")
		}
		t.Run(fmt.Sprintf("%T", err), func(t *testing.T) { check(t, judge(err, cfg), err, frame, limit, fault) })
	}
}

func check(t *testing.T, got verdict, is error, frame *wire.Frame, limit Limit, fault fault) {
	t.Helper()
	closed, _ := is.(*websocket.CloseError)
	switch {
	case is == nil:
		if got.err != nil {
			t.Errorf("error %v for a clean close", got.err)
		}
	case closed != nil:
		if c := new(websocket.CloseError); !errors.As(got.err, &c) || *c != *closed {
			t.Errorf("error %v, want %v", got.err, is)
		}
	case !errors.Is(got.err, is):
		t.Errorf("error %v, want %v", got.err, is)
	}
	if (got.closeFrame == nil) != (frame == nil) || frame != nil && string(got.closeFrame.Bytes) != string(frame.Bytes) {
		t.Errorf("close frame %v, want %v", got.closeFrame, frame)
	}
	if got.limit != limit || got.fault != fault {
		t.Errorf("limit %q, fault %v, want %q, %v", got.limit, got.fault, limit, fault)
	}
}
