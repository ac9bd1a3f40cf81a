package wspulse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/wspulse/server/internal/control"
	"github.com/wspulse/server/internal/wire"
)

// A refusal is what a request gets that becomes no session. It names what is wrong and what helps, to the client as far
// as that may know, and to the log.
type refusal struct {
	status int
	answer string // the body, but for the end of its line
	limit  Limit  // that was reached, or ""
	speaks bool   // the answer names the version that the server speaks
	header http.Header

	// In the place of what inBand says; code 0: that counts.
	code   int
	bye    control.Message
	reason string

	// Of the log; all empty where that knows already.
	level        zapcore.Level
	kind, detail string // the cause, by which lines are limited
	text         string // no longer than a line should be, whatever the request holds
}

// maxInBand is how many refused requests may be told why over a WebSocket at a time.
const maxInBand = 64

// refuseInBand tells a client why it is refused over a WebSocket, if it speaks wspulse.v1: a page can't read a status.
// It returns false where the client is to get the status.
func (s *server) refuseInBand(w http.ResponseWriter, r *http.Request, f *refusal) bool {
	code, m := f.inBand()
	if v1, _ := offeredBy(r); !v1 || code == 0 || s.cfg.refusalStatus || checkWriter(w) != nil {
		return false
	}
	defer s.inBand.Add(-1)
	if s.inBand.Add(1) > maxInBand {
		return false
	}
	if s.hub.beginRefusal() {
		defer s.hub.upgrades.Done()
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return false
	}
	s.record(r, f)
	socket := wire.NewSocket(conn)
	chosen := wire.Chosen{Protocol: control.Protocol, Header: w.Header()}
	if _, err := socket.Accept(buffered.Reader, r, chosen, s.cfg.writeWait); err == nil {
		reason := f.answer
		if f.code != 0 {
			reason = f.reason
		}
		socket.CloseAfter(wire.Join(s.cfg.bye(m, 0), wire.Close(code, reason)), time.Now().Add(closeGrace))
	}
	return true
}

// inBand returns the close code of a refusal, and the bye before it; 0: it has none, since its request is no opening
// handshake, or nobody is there to read it.
func (f *refusal) inBand() (code int, m control.Message) {
	switch {
	case f.code != 0:
		code, m = f.code, f.bye
	case f.limit == LimitHandshakeTime:
		code, m = codeUnavailable, later(f.limit)
	case f.limit != "":
		code, m = codeTooMany, later(f.limit)
	case f.status == http.StatusUnauthorized:
		code, m = codeUnauthorized, back("unauthorized")
	case f.status == http.StatusForbidden:
		code, m = codeForbidden, bye("origin")
	case f.status == http.StatusConflict:
		code, m = codeConflict, bye("duplicate")
	case f == refuseClosed:
		code, m = codeUnavailable, endServerClosed.bye
	case f.status == http.StatusInternalServerError:
		code, m = codeUnavailable, back("internal")
	}
	return code, m
}

// later is what a peer hears that a limit has refused, and that may come back after between 5 and 10 s.
func later(limit Limit) control.Message {
	return control.Message{Reason: string(limit), Reconnect: true, After: [2]int64{5000, 10_000}}
}

// retryAfter is what a client that a limit has refused is told to wait, in seconds.
const retryAfter = "5"

// refuse logs a refusal, and answers the request. The line is written before the answer, unless the sink is slow.
func (s *server) refuse(w http.ResponseWriter, r *http.Request, f *refusal) {
	if s.record(r, f) {
		s.cfg.logs.wait(logHaste)
	}
	for name, values := range f.header {
		w.Header()[name] = values
	}
	if f.limit != "" {
		w.Header().Set("Retry-After", retryAfter)
	}
	if f.speaks {
		w.Header().Set("Sec-WebSocket-Version", "13") // RFC 6455, section 4.4
	}
	if f.header.Get("Content-Type") == "" {
		http.Error(w, f.answer, f.status)
		return
	}
	w.WriteHeader(f.status) // of the application's type, byte for byte
	_, _ = io.WriteString(w, f.answer)
}

// record tells the log, if its turn has come, and the collector. It says whether a line has been logged, by it or by
// whoever found the fault.
func (s *server) record(r *http.Request, f *refusal) (logged bool) {
	remote := zap.String("remoteAddr", r.RemoteAddr)
	switch {
	case f.limit != "":
		return s.hub.limitReached(f.limit, "", "", remote)
	case f.kind == "":
		return true
	}
	entry := s.hub.limited.checkCause(f.level, "wspulse: upgrade refused", f.kind, f.detail)
	if logged = entry != nil; logged {
		entry.Write(zap.Int("status", f.status), remote, zap.String("error", f.text))
	}
	return logged
}

// refuseClosed is for all that comes to a server that has ended.
var refuseClosed = &refusal{status: http.StatusServiceUnavailable, answer: "server closed: try again in a moment",
	level: zap.DebugLevel, kind: "closed", text: "server closed"}

// refuseUpgrade is for what is no opening handshake.
func refuseUpgrade(wrong *wire.Refusal) *refusal {
	text := wrong.Error()
	return &refusal{status: http.StatusBadRequest, answer: text, speaks: wrong.Version,
		level: zap.WarnLevel, kind: wrong.Cause, text: text}
}

// refusePanic is for a request that makes a function of the application panic, which has been logged.
func refusePanic(name string) *refusal {
	return &refusal{status: http.StatusInternalServerError, answer: name + " panicked: the server's log says where"}
}

// refuseConnect is for whom ConnectFunc does not let in. Why is not for the client to know.
func refuseConnect(err error) *refusal {
	if said := (*Refusal)(nil); errors.As(err, &said) && said != nil {
		return refuseAs(said)
	}
	text := fmt.Sprintf("ConnectFunc: %.200s", err)
	return &refusal{status: http.StatusUnauthorized, answer: "unauthorized",
		level: zap.WarnLevel, kind: "ConnectFunc", detail: text, text: text}
}

// refuseOrigin is for a page that may not connect. expected is not for it to know.
func refuseOrigin(r *http.Request, expected string) *refusal {
	answer := fmt.Sprintf("origin %.100q is not allowed", strings.Join(r.Header["Origin"], ", "))
	return &refusal{status: http.StatusForbidden, answer: answer,
		level: zap.WarnLevel, kind: "origin", detail: answer, text: answer + ": " + expected}
}

// refuseEnded is for a request that ended before its session could open.
func refuseEnded(cause error) *refusal {
	const answer = "the request ended before its session could open"
	f := &refusal{status: http.StatusServiceUnavailable, answer: answer, level: zap.WarnLevel, kind: "ended",
		text: fmt.Sprintf(answer+": %.200s; what is in front of the server must give ConnectFunc more time", cause)}
	if errors.Is(cause, context.Canceled) { // mostly by the client, which has left
		f.level, f.text = zap.DebugLevel, answer+": its client has left"
	}
	return f
}

// refuseDuplicate is for whom WithDuplicatePolicy keeps out.
func refuseDuplicate() *refusal {
	return &refusal{status: http.StatusConflict, answer: isConnected,
		level: zap.DebugLevel, kind: "duplicate", text: isConnected}
}

// checkDuplicate refuses a request whose ID is connected, if that counts more. A claim is weighed later.
func (s *server) checkDuplicate(connectionID string, o *overture) *refusal {
	if s.cfg.duplicates != Reject || connectionID == "" || o != nil && o.claim != nil {
		return nil
	}
	if s.hub.isConnected(connectionID) {
		return refuseDuplicate()
	}
	return nil
}

// refuseLimit is for whom a limit keeps out.
func (s *server) refuseLimit(limit Limit) *refusal {
	f := &refusal{status: http.StatusServiceUnavailable, answer: noSeat(limit), limit: limit}
	switch limit {
	case LimitConnections:
		f.status = http.StatusTooManyRequests
	case LimitHandshakeTime:
		f.answer = fmt.Sprintf("the handshake took longer than %v (WithHandshakeTimeout)", s.cfg.handshakeTimeout)
	default:
	}
	return f
}

// checkWriter finds out whether the connection can be taken over from a ResponseWriter, as http.ResponseController does
// it. It refuses a request whose middleware keeps it. A Hijacker that wraps another ResponseWriter is looked behind,
// since it passes the call on: gin's would panic where that can't be done.
func checkWriter(w http.ResponseWriter) *refusal {
	for {
		wrapper, wraps := w.(interface{ Unwrap() http.ResponseWriter })
		_, hijacks := w.(http.Hijacker)
		var inner http.ResponseWriter
		if wraps {
			inner = wrapper.Unwrap()
		}
		switch {
		case inner != nil:
			w = inner
		case hijacks:
			return nil
		case wraps:
			return refuseWriter(w, "returns nil from its Unwrap method", "it must return the ResponseWriter that it wraps")
		case fmt.Sprintf("%T", w) == "*http.timeoutWriter":
			return refuseWriter(w, "has no Unwrap method", "serve WebSockets without http.TimeoutHandler")
		default:
			return refuseWriter(w, "has no Unwrap method",
				"add `Unwrap() http.ResponseWriter`, or serve WebSockets without it")
		}
	}
}

func refuseWriter(w http.ResponseWriter, fault, cure string) *refusal {
	text := fmt.Sprintf("%T %s, so the connection cannot be taken over: %s", w, fault, cure)
	return &refusal{status: http.StatusInternalServerError, answer: text, level: zap.WarnLevel, kind: text, text: text}
}

// refuseHijack is for a request whose connection is kept in another way.
func refuseHijack(w http.ResponseWriter, err error) *refusal {
	text := fmt.Sprintf("%T cannot hand over the connection: %.200s", w, err)
	return &refusal{status: http.StatusInternalServerError, answer: text,
		level: zap.WarnLevel, kind: "hijack", detail: text, text: text}
}
