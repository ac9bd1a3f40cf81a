package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The bounds on what members and callers of the API send.
const (
	maxName   = 24       // characters, of rooms too
	maxText   = 1000     // characters
	minSecret = 16       // bytes
	maxSecret = 64       // bytes
	maxRef    = 64       // bytes
	maxBody   = 16 << 10 // bytes; a text of maxText characters that are all escaped fits
)

// A joinRequest is a wish to be somebody somewhere. The secret is the page's own, and proves later that it is the same
// page that comes back.
type joinRequest struct {
	Name   string `json:"name"`
	Room   string `json:"room"`
	Secret string `json:"secret"`
}

func (j joinRequest) check() error {
	if err := checkName("name", j.Name); err != nil {
		return err
	}
	if err := checkName("room", j.Room); err != nil {
		return err
	}
	if len(j.Secret) < minSecret || len(j.Secret) > maxSecret {
		return fmt.Errorf("the secret must have %d to %d bytes", minSecret, maxSecret)
	}
	return nil
}

// checkName checks the name of a member or of a room. What it accepts is fit for a path segment.
func checkName(what, name string) error {
	if n := utf8.RuneCountInString(name); n < 1 || n > maxName {
		return fmt.Errorf("the %s must have 1 to %d characters", what, maxName)
	}
	for i, r := range name {
		inner := i > 0 && (r == '-' || r == '_' || unicode.IsMark(r))
		if !inner && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return fmt.Errorf("the %s may have letters, digits, - and _, and begins with a letter or digit", what)
		}
	}
	return nil
}

// cleanText returns a text without the space around it.
func cleanText(text string) (string, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return "", errors.New("the text is empty")
	}
	if utf8.RuneCountInString(text) > maxText {
		return "", fmt.Errorf("the text has more than %d characters", maxText)
	}
	return text, nil
}

// sameOrigin accepts the chat's own page, and programs that are no browser.
func sameOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, r.Host)
}

// isLoopback says whether a Host header names this machine by localhost or by a loopback address, at any port.
func isLoopback(host string) bool {
	name := (&url.URL{Host: host}).Hostname()
	return strings.EqualFold(name, "localhost") || net.ParseIP(name).IsLoopback()
}
