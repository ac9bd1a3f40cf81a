package wspulse

import (
	"cmp"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.uber.org/zap"

	"github.com/wspulse/server/internal/control"
)

// A Refusal is an error of ConnectFunc, or one that it wraps, that says what the peer is told. Any other error is 401
// and reveals nothing. The zero value of a field but Status is what the default says.
type Refusal struct {
	Status int         // of the HTTP answer, in [400, 599]
	Header http.Header // of it: Location, WWW-Authenticate, …
	Text   string      // its body; default: what package net/http calls the status

	// A page can't read any of that. One that speaks wspulse.v1 gets a close code and a reason.
	Code   int    // in [4000, 4999]; default: 4000 and the status
	Reason string // 123 bytes of UTF-8 at the most; default: Text, if it is no longer, or what the status is called

	// RetryAfter is after what time it makes sense to come back; 0: nothing is said. Where it is more than 0, or Status
	// is 401, 408, 425, 429 or one from 500 on, a client of wspulse.v1 comes back by itself.
	RetryAfter time.Duration
}

// Error says what the peer is told.
func (r *Refusal) Error() string { return fmt.Sprintf("refused with %d: %s", r.Status, r.text()) }

func (r *Refusal) text() string {
	if r.Text == "" {
		return r.called()
	}
	return r.Text
}

// called returns what the status is called.
func (r *Refusal) called() string {
	return cmp.Or(http.StatusText(r.Status), fmt.Sprintf("status %d", r.Status))
}

func (r *Refusal) reason() string {
	switch text := r.text(); {
	case r.Reason != "":
		return r.Reason
	case len(text) <= maxCloseReason && utf8.ValidString(text):
		return text
	default:
		return r.called()
	}
}

func (r *Refusal) code() int {
	if r.Code == 0 {
		return 4000 + r.Status
	}
	return r.Code
}

// check says what is wrong with a Refusal.
func (r *Refusal) check() error {
	switch {
	case r.Status < 400 || r.Status > 599:
		return fmt.Errorf("Refusal.Status %d is not in [400, 599]", r.Status)
	case r.Code != 0 && (r.Code < 4000 || r.Code > 4999):
		return fmt.Errorf("Refusal.Code %d is not in [4000, 4999]", r.Code)
	case len(r.Reason) > maxCloseReason:
		return fmt.Errorf("Refusal.Reason has %d bytes, %d are allowed", len(r.Reason), maxCloseReason)
	case !utf8.ValidString(r.Reason):
		return fmt.Errorf("Refusal.Reason is not UTF-8")
	case r.RetryAfter < 0:
		return fmt.Errorf("Refusal.RetryAfter %v is negative", r.RetryAfter)
	}
	for name, values := range r.Header {
		for _, value := range values {
			if strings.ContainsAny(name+value, "\r\n\x00") {
				return fmt.Errorf("Refusal.Header: %.40q: %.80q has a line break or a NUL", name, value)
			}
		}
	}
	return nil
}

// comesBack says whether it makes sense to come back.
func (r *Refusal) comesBack() bool {
	switch r.Status {
	case http.StatusUnauthorized, http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return r.RetryAfter > 0 || r.Status >= 500
}

// bye is what a peer that speaks wspulse.v1 hears.
func (r *Refusal) bye() control.Message {
	m := control.Message{Reason: r.reason(), Reconnect: r.comesBack()}
	if r.RetryAfter > 0 && m.Reconnect {
		after := r.RetryAfter.Milliseconds()
		m.After = [2]int64{after, 2 * after}
	}
	return m
}

// refuseAs is for whom ConnectFunc does not let in, and says why.
func refuseAs(r *Refusal) *refusal {
	if err := r.check(); err != nil {
		text := "ConnectFunc: " + err.Error()
		return &refusal{status: http.StatusInternalServerError, answer: "ConnectFunc failed: the server's log says how",
			level: zap.WarnLevel, kind: "Refusal", detail: text, text: text}
	}
	text := fmt.Sprintf("ConnectFunc: %.200s", r)
	f := &refusal{status: r.Status, answer: r.text(), header: r.Header.Clone(), level: zap.WarnLevel, kind: "ConnectFunc",
		detail: text, text: text, code: r.code(), bye: r.bye(), reason: r.reason()}
	if r.RetryAfter > 0 {
		if f.header == nil {
			f.header = make(http.Header)
		}
		seconds := math.Ceil(r.RetryAfter.Seconds()) // RFC 9110, section 10.2.3: whole ones
		f.header.Set("Retry-After", strconv.FormatFloat(seconds, 'f', 0, 64))
	}
	return f
}

// refuseID is for whom ConnectFunc returns what is too long.
func refuseID(err error) *refusal {
	return &refusal{status: http.StatusBadRequest, answer: err.Error(), level: zap.WarnLevel, kind: "ID", text: err.Error(),
		code: codeProtocol, bye: bye("id"), reason: err.Error()}
}

// refuseDetails is for whom Attach is given what can't be.
func refuseDetails(err error) *refusal {
	text := "Attach: " + err.Error()
	return &refusal{status: http.StatusInternalServerError, answer: text, level: zap.WarnLevel, kind: "Attach", text: text}
}
