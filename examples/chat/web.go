package main

import (
	"crypto/rand"
	"embed"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/clientjs"
)

//go:embed web
var web embed.FS

// cookieName is the cookie that makes a browser the one that a name belongs to. The page can't read it.
const cookieName = "chat-key"

// handler serves all of the chat: the page, the client that it imports, its socket, and what admins post.
func (c *chat) handler() http.Handler {
	files, err := fs.Sub(web, "web")
	if err != nil {
		panic(err) // the path is a valid one
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(files))
	mux.Handle("GET /{$}", withCookie(http.FileServerFS(files)))
	mux.Handle("GET /wspulse.js", clientjs.Handler())
	mux.Handle("GET /ws", c.server)
	mux.HandleFunc("GET /stats", c.serveStats)
	mux.HandleFunc("POST /rooms/{name}/announce", c.forAdmins(func(room, text string) error {
		if c.server.RoomSize(room) == 0 {
			return wspulse.ErrConnectionNotFound
		}
		return c.tell("", "announcement", said{Room: room, Text: text})
	}))
	mux.HandleFunc("POST /users/{name}/send", c.forAdmins(func(user, text string) error {
		return c.tell("", "private", said{to: user, Text: text})
	}))
	return withHeaders(withLocalHost(mux))
}

// forAdmins takes a text that an admin posts to a room or a user, with the key in the header Authorization.
func (c *chat) forAdmins(do func(name, text string) error) http.HandlerFunc {
	post := func(w http.ResponseWriter, r *http.Request) (status int, err error) {
		if key, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); !c.isAdmin(key) {
			return http.StatusUnauthorized, errors.New("that is not the key of admins")
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			return http.StatusBadRequest, err
		}
		text, err := cleanText(string(body))
		if err != nil {
			return http.StatusBadRequest, err
		}
		if err = do(r.PathValue("name"), text); errors.Is(err, wspulse.ErrConnectionNotFound) {
			return http.StatusNotFound, errors.New("nobody is there")
		}
		return http.StatusServiceUnavailable, err // a full buffer, or a server that is closed
	}
	return func(w http.ResponseWriter, r *http.Request) {
		if status, err := post(w, r); err != nil {
			http.Error(w, err.Error(), status)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

// withCookie gives a browser the key by which a name is its own.
func withCookie(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := r.Cookie(cookieName); err != nil {
			http.SetCookie(w, &http.Cookie{Name: cookieName, Value: rand.Text(), Path: "/", HttpOnly: true,
				Secure: r.TLS != nil, SameSite: http.SameSiteLaxMode})
		}
		next.ServeHTTP(w, r)
	})
}

// withHeaders lets the page load and reach nothing but this server.
func withHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-cache")
		h.Set("Content-Security-Policy", "default-src 'self'; base-uri 'none'; form-action 'none'; "+
			"frame-ancestors 'none'; require-trusted-types-for 'script'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		next.ServeHTTP(w, r)
	})
}

// withLocalHost lets connections to a loopback address ask for localhost or a loopback address only. A site whose name
// has been made to resolve to this machine (DNS rebinding) names its own host, and SameOrigin would let its page in.
func withLocalHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
		host := (&url.URL{Host: r.Host}).Hostname()
		if ok && local.IP.IsLoopback() && !strings.EqualFold(host, "localhost") && !net.ParseIP(host).IsLoopback() {
			http.Error(w, "this server is localhost, or a loopback address, and no other host", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}
