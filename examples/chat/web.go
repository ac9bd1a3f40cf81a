package main

import (
	"bytes"
	"embed"
	"net"
	"net/http"
	"path"
	"time"
)

//go:embed web
var web embed.FS

// newHandler returns all that the chat serves: the page, its socket and the API.
func newHandler(c *chat) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", asset("index.html", "text/html; charset=utf-8"))
	mux.Handle("GET /chat.css", asset("chat.css", "text/css; charset=utf-8"))
	mux.Handle("GET /chat.js", asset("chat.js", "text/javascript; charset=utf-8"))
	mux.Handle("GET /link.js", asset("link.js", "text/javascript; charset=utf-8"))
	mux.Handle("GET /icon.svg", asset("icon.svg", "image/svg+xml"))
	mux.HandleFunc("GET /ws", c.serveSocket)
	mux.Handle("POST /join", endpoint(c.join))
	mux.Handle("GET /rooms/{room}", endpoint(c.members))
	mux.Handle("POST /rooms/{room}/announce", endpoint(c.announce))
	mux.Handle("POST /users/{name}/send", endpoint(c.send))
	mux.Handle("POST /users/{name}/kick", endpoint(c.kick))
	mux.Handle("GET /stats", endpoint(c.statistics))

	// A page of another site must not be able to announce and kick with its visitors' browsers.
	sameSite := http.NewCrossOriginProtection()
	sameSite.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, &problem{http.StatusForbidden, "requests from other sites are refused"})
	}))
	return withHeaders(withLocalHost(sameSite.Handler(withErrors(mux))))
}

// asset serves an embedded file.
func asset(name, contentType string) http.Handler {
	data, err := web.ReadFile(path.Join("web", name))
	if err != nil {
		panic(err) // it is not in the binary
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Cache-Control", "no-cache")
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(data))
	})
}

// withHeaders lets the page load and reach nothing but this server.
func withHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy",
			"default-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		next.ServeHTTP(w, r)
	})
}

// withLocalHost lets connections to a loopback address ask for localhost or a loopback address only. The page of a site
// whose name has been made to resolve to this machine (DNS rebinding) names its own host, in Origin too, and would
// otherwise be of the same origin.
func withLocalHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
		if ok && local.IP.IsLoopback() && !isLoopback(r.Host) {
			writeError(w, &problem{http.StatusMisdirectedRequest,
				"this server is localhost, or a loopback address, and no other host"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// withErrors gives the mux's own errors, 404 and 405, a JSON body. The Allow header of a 405 stays. A redirect to the
// clean form of a path where there is nothing either is a 404 at once.
func withErrors(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		d := &discarder{header: make(http.Header)}
		h.ServeHTTP(d, r)
		if allow := d.header.Get("Allow"); allow != "" {
			w.Header().Set("Allow", allow)
		}
		p := &problem{d.status, "there is nothing here"}
		switch {
		case p.status == http.StatusMethodNotAllowed:
			p.text = "the method is not allowed here"
		case p.status < http.StatusBadRequest:
			p.status = http.StatusNotFound
		}
		writeError(w, p)
	})
}

// A discarder is a ResponseWriter that keeps the status and the header.
type discarder struct {
	header http.Header
	status int
}

func (d *discarder) Header() http.Header         { return d.header }
func (d *discarder) WriteHeader(status int)      { d.status = status }
func (d *discarder) Write(p []byte) (int, error) { return len(p), nil }
