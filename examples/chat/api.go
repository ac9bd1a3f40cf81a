package main

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	wspulse "github.com/wspulse/server"
)

// A problem is an error with the status to answer.
type problem struct {
	status int
	text   string
}

func (p *problem) Error() string { return p.text }

// An answer is what an endpoint has to say: the status, and a body unless it is nil.
type answer struct {
	status int
	body   any
}

// An endpoint answers a request of the API with JSON.
type endpoint func(*http.Request) (answer, error)

func (e endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	a, err := e(r)
	if err != nil {
		writeError(w, err)
		return
	}
	writeJSON(w, a.status, a.body)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Cache-Control", "no-store")
	if body == nil {
		w.WriteHeader(status)
		return
	}
	data, err := json.Marshal(body)
	if err != nil {
		panic(err) // bodies are structs of strings and numbers
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n')) // whoever asked may have gone
}

func writeError(w http.ResponseWriter, err error) {
	p, ok := errors.AsType[*problem](err)
	switch {
	case ok:
	case errors.Is(err, errNameTaken):
		p = &problem{http.StatusConflict, err.Error()}
	case errors.Is(err, wspulse.ErrConnectionNotFound):
		p = &problem{http.StatusNotFound, "there is no user of that name"}
	case errors.Is(err, wspulse.ErrServerClosed):
		p = &problem{http.StatusServiceUnavailable, "the server is shutting down"}
	case errors.Is(err, wspulse.ErrSendBufferFull):
		w.Header().Set("Retry-After", "1")
		p = &problem{http.StatusServiceUnavailable, "too much is waiting for that user already; try again later"}
	default:
		p = &problem{http.StatusInternalServerError, "that went wrong"}
	}
	writeJSON(w, p.status, map[string]string{"error": p.text})
}

// readJSON reads a body that is one JSON object with the fields of v, and nothing else.
func readJSON(r *http.Request, v any) error {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/json" {
		return &problem{http.StatusUnsupportedMediaType, "the Content-Type must be application/json"}
	}
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	err = decoder.Decode(v)
	if err == nil {
		if _, err = decoder.Token(); errors.Is(err, io.EOF) {
			return nil
		}
	}
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok && tooLarge != nil {
		return &problem{http.StatusRequestEntityTooLarge, "the body is larger than 16 KiB"}
	}
	return &problem{http.StatusBadRequest,
		"the body must be one JSON object with the fields that are asked for, and no others"}
}

// readText reads a body {"text": "..."}.
func readText(r *http.Request) (string, error) {
	var body struct {
		Text string `json:"text"`
	}
	if err := readJSON(r, &body); err != nil {
		return "", err
	}
	text, err := cleanText(body.Text)
	if err != nil {
		return "", &problem{http.StatusBadRequest, err.Error()}
	}
	return text, nil
}

// join says whether a name can be had: 204, 400 or 409. It keeps nothing.
func (c *chat) join(r *http.Request) (answer, error) {
	var j joinRequest
	if err := readJSON(r, &j); err != nil {
		return answer{}, err
	}
	if err := j.check(); err != nil {
		return answer{}, &problem{http.StatusBadRequest, err.Error()}
	}
	return answer{status: http.StatusNoContent}, c.roster.check(j.Name, j.Secret)
}

// members lists a room.
func (c *chat) members(r *http.Request) (answer, error) {
	room := r.PathValue("room")
	connections := c.server.GetConnections(room)
	if len(connections) == 0 {
		return answer{}, errNoRoom
	}
	away := make(map[string]bool)
	for _, p := range c.roster.present(room) {
		away[p.Name] = p.Away
	}
	members := make([]presence, 0, len(connections))
	for _, conn := range connections {
		members = append(members, presence{Name: conn.ID(), Away: away[conn.ID()]})
	}
	slices.SortFunc(members, func(a, b presence) int { return strings.Compare(a.Name, b.Name) })
	return answer{http.StatusOK, map[string]any{"room": room, "members": members}}, nil
}

// errNoRoom: a room is there as long as it has members.
var errNoRoom = &problem{http.StatusNotFound, "there is nobody in a room of that name"}

// announce says something to a room.
func (c *chat) announce(r *http.Request) (answer, error) {
	room := r.PathValue("room")
	text, err := readText(r)
	if err != nil {
		return answer{}, err
	}
	if len(c.server.GetConnections(room)) == 0 {
		return answer{}, errNoRoom
	}
	f := c.frame("announcement", textPayload{Text: text, At: now()})
	return accepted(f), c.server.Broadcast(room, f)
}

// send says something to one member.
func (c *chat) send(r *http.Request) (answer, error) {
	text, err := readText(r)
	if err != nil {
		return answer{}, err
	}
	f := c.frame("private", textPayload{Text: text, At: now()})
	return accepted(f), c.server.Send(r.PathValue("name"), f)
}

// accepted answers that a frame is queued, which is not yet delivered.
func accepted(f wspulse.Frame) answer {
	return answer{http.StatusAccepted, map[string]string{"id": f.ID}}
}

// kick ends the session of a member, who may come back.
func (c *chat) kick(r *http.Request) (answer, error) {
	return answer{status: http.StatusNoContent}, c.server.Kick(r.PathValue("name"))
}

func (c *chat) statistics(*http.Request) (answer, error) {
	return answer{http.StatusOK, c.stats.snapshot()}, nil
}
