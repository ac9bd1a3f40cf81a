package clientjs

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

//go:embed dist/wspulse.js
var script []byte

//go:embed dist/wspulse.js.map
var sourceMap []byte

// Handler serves the client under any path, and its source map under paths that end in ".map". The client names its map
// as "wspulse.js.map", relative to where it was loaded from; without a handler there, only developers' tools miss it.
//
// The answer says no-cache: a browser keeps the file, but asks each time whether it is still the same, by a strong ETag
// of the content, and is told 304. So a new binary is a new client at the next load of the page. It is compressed, once
// for the process, for whoever prefers gzip by Accept-Encoding. Ranges are served. Methods but GET and HEAD get 405.
// Pages of any origin may import it: there is nothing secret in it.
//
// All handlers that it returns are the same. They can be called from any goroutine.
func Handler() http.Handler { return http.HandlerFunc(serve) }

// A file is served in two encodings.
type file struct{ plain, gzipped variant }

// A variant is what one encoding of a file comes to.
type variant struct {
	encoding string // empty: none
	etag     string
	content  []byte
}

var (
	scriptFile = sync.OnceValue(func() file { return newFile(script) })
	mapFile    = sync.OnceValue(func() file { return newFile(sourceMap) })
)

// newFile compresses the content.
func newFile(content []byte) file {
	var gzipped bytes.Buffer
	w, err := gzip.NewWriterLevel(&gzipped, gzip.BestCompression)
	if err == nil {
		_, err = w.Write(content)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic(err) // a bytes.Buffer takes everything
	}
	sum := sha256.Sum256(content)
	return file{
		plain:   variant{"", fmt.Sprintf(`"%x"`, sum[:12]), content},
		gzipped: variant{"gzip", fmt.Sprintf(`"%x-gzip"`, sum[:12]), gzipped.Bytes()},
	}
}

func serve(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	header.Set("Content-Type", "text/javascript; charset=utf-8")
	asked := scriptFile
	if strings.HasSuffix(r.URL.Path, ".map") {
		header.Set("Content-Type", "application/json")
		asked = mapFile
	}
	chosen := asked().plain
	if prefersGzip(r.Header.Values("Accept-Encoding")) {
		chosen = asked().gzipped
		header.Set("Content-Encoding", chosen.encoding)
		if r.Header.Get("If-Match") == "" { // else there may be no content
			header.Set("Content-Length", strconv.Itoa(len(chosen.content))) // ServeContent leaves it to the caller
		}
	}
	header.Add("Vary", "Accept-Encoding")
	header.Set("Access-Control-Allow-Origin", "*") // else it is no module for pages of other origins
	header.Set("Cache-Control", "no-cache")
	header.Set("ETag", chosen.etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(chosen.content))
}

// prefersGzip says whether a client takes gzip, and likes it as much as what is not compressed (RFC 9110, 12.5.3). A
// client that does not mention the latter, or takes nothing at all, takes that.
func prefersGzip(acceptEncoding []string) bool {
	const unknown = -1
	gzip, identity, others := float64(unknown), float64(unknown), float64(unknown)
	for element := range strings.SplitSeq(strings.Join(acceptEncoding, ","), ",") {
		coding, weight, _ := strings.Cut(element, ";")
		switch strings.ToLower(strings.TrimSpace(coding)) {
		case "gzip", "x-gzip":
			gzip = max(gzip, quality(weight))
		case "identity":
			identity = quality(weight)
		case "*":
			others = quality(weight)
		}
	}
	if gzip == unknown {
		gzip = others
	}
	if identity == unknown {
		identity = others
	}
	return gzip > 0 && gzip >= identity
}

// quality reads a weight such as "q=0.5". One that is not there is 1, and one that is wrong is 0.
func quality(weight string) float64 {
	weight = strings.TrimSpace(weight)
	if weight == "" {
		return 1
	}
	name, value, _ := strings.Cut(weight, "=")
	q, err := strconv.ParseFloat(value, 64)
	if !strings.EqualFold(name, "q") || err != nil || !(q >= 0 && q <= 1) {
		return 0
	}
	return q
}
