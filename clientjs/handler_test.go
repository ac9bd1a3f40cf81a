package clientjs_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/wspulse/server/clientjs"
)

const script, sourceMap = "/wspulse.js", "/wspulse.js.map"

// get asks a handler for a path, with headers: name, value, ….
func get(path string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for pair := range slices.Chunk(headers, 2) {
		r.Header.Add(pair[0], pair[1])
	}
	w := httptest.NewRecorder()
	clientjs.Handler().ServeHTTP(w, r)
	return w
}

// built reads a file that was built.
func built(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile("dist" + path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func expect(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestHandler_Script(t *testing.T) {
	w := get(script)
	if w.Code != http.StatusOK || !bytes.Equal(w.Body.Bytes(), built(t, script)) {
		t.Errorf("%d, %d bytes: not the built file", w.Code, w.Body.Len())
	}
	expect(t, "type", w.Header().Get("Content-Type"), "text/javascript; charset=utf-8")
	expect(t, "cache", w.Header().Get("Cache-Control"), "no-cache")
	expect(t, "vary", w.Header().Get("Vary"), "Accept-Encoding")
	expect(t, "other origins", w.Header().Get("Access-Control-Allow-Origin"), "*")
	expect(t, "encoding", w.Header().Get("Content-Encoding"), "")
	expect(t, "length", w.Header().Get("Content-Length"), strconv.Itoa(w.Body.Len()))
	if tag := w.Header().Get("ETag"); !regexp.MustCompile(`^"[0-9a-f]{24}"$`).MatchString(tag) {
		t.Errorf("no strong ETag: %s", tag)
	}
	expect(t, "body under another name", get("/lib/v1.js").Body.String(), w.Body.String())
}

func TestHandler_Map(t *testing.T) {
	w := get(sourceMap)
	if w.Code != http.StatusOK || !bytes.Equal(w.Body.Bytes(), built(t, sourceMap)) {
		t.Errorf("%d, %d bytes: not the built file", w.Code, w.Body.Len())
	}
	expect(t, "type", w.Header().Get("Content-Type"), "application/json")
	var read struct {
		Version        int
		Sources        []string
		SourcesContent []string
	}
	if err := json.Unmarshal(w.Body.Bytes(), &read); err != nil || read.Version != 3 {
		t.Errorf("version %d, error %v", read.Version, err)
	}
	if len(read.Sources) == 0 || len(read.Sources) != len(read.SourcesContent) {
		t.Errorf("%d sources, the text of %d", len(read.Sources), len(read.SourcesContent))
	}
	if tag := get(script).Header().Get("ETag"); tag == w.Header().Get("ETag") {
		t.Errorf("the script has the same ETag, %s", tag)
	}
	if !strings.HasSuffix(get(script).Body.String(), "\n//# sourceMappingURL=wspulse.js.map\n") {
		t.Error("the script does not name its map by a relative URL")
	}
}

func TestHandler_Gzip(t *testing.T) {
	for _, path := range []string{script, sourceMap} {
		w, plain := get(path, "Accept-Encoding", "gzip, deflate, br, zstd"), get(path)
		expect(t, "encoding", w.Header().Get("Content-Encoding"), "gzip")
		expect(t, "vary", w.Header().Get("Vary"), "Accept-Encoding")
		expect(t, "type", w.Header().Get("Content-Type"), plain.Header().Get("Content-Type"))
		expect(t, "length", w.Header().Get("Content-Length"), strconv.Itoa(w.Body.Len()))
		want := strings.TrimSuffix(plain.Header().Get("ETag"), `"`) + `-gzip"`
		expect(t, "ETag", w.Header().Get("ETag"), want)
		t.Logf("%s: %d bytes, %d compressed", path, plain.Body.Len(), w.Body.Len())
		r, err := gzip.NewReader(w.Body)
		if err != nil {
			t.Fatal(err)
		}
		if content, err := io.ReadAll(r); err != nil || !bytes.Equal(content, built(t, path)) {
			t.Errorf("%s: other content, error %v", path, err)
		}
	}
}

func TestHandler_AcceptEncoding(t *testing.T) {
	for _, c := range []struct {
		accept string
		gzip   bool
	}{
		{"gzip", true},
		{"GZip", true},
		{"x-gzip", true},
		{"br , gzip ; q=0.2", true},
		{"gzip;Q=1.000", true},
		{"deflate, *", true},
		{"*;q=0.1", true},
		{"identity, gzip", true},
		{"identity;q=0.5, gzip;q=0.5", true},
		{"identity;q=0, gzip;q=0.001", true},
		{"gzip;q=0.5, *;q=0", true},
		{"", false},
		{"br", false},
		{"identity", false},
		{"gzip;q=0", false},
		{"gzip;q=0.000", false},
		{"gzip;q=0, *", false},
		{"*;q=0", false},
		{"identity, gzip;q=0.9", false},
		{"*, gzip;q=0.9", false},
		{"gzip;q=2", false},
		{"gzip;q=-1", false},
		{"gzip;q=NaN", false},
		{"gzip;q=", false},
		{"gzip;q=x", false},
		{"gzip;level=1", false},
		{"gzipped", false},
		{"not-gzip", false},
		{";,;q=1,,", false},
	} {
		encoding := get(script, "Accept-Encoding", c.accept).Header().Get("Content-Encoding")
		if (encoding == "gzip") != c.gzip {
			t.Errorf("%q: %q, want gzip: %v", c.accept, encoding, c.gzip)
		}
	}
	if w := get(script, "Accept-Encoding", "br", "Accept-Encoding", "gzip"); w.Header().Get("Content-Encoding") != "gzip" {
		t.Error("the second line of the header is not read")
	}
}

func TestHandler_NotModified(t *testing.T) {
	for _, accept := range []string{"identity", "gzip"} {
		first := get(script, "Accept-Encoding", accept)
		tag := first.Header().Get("ETag")
		for _, has := range []string{tag, "W/" + tag, `"other", ` + tag, "*"} {
			w := get(script, "Accept-Encoding", accept, "If-None-Match", has)
			if w.Code != http.StatusNotModified || w.Body.Len() > 0 {
				t.Errorf("%s, %s: %d with %d bytes", accept, has, w.Code, w.Body.Len())
			}
			expect(t, "ETag", w.Header().Get("ETag"), tag)
			expect(t, "vary", w.Header().Get("Vary"), "Accept-Encoding")
			expect(t, "cache", w.Header().Get("Cache-Control"), "no-cache")
		}
		w := get(script, "Accept-Encoding", accept, "If-None-Match", get(sourceMap).Header().Get("ETag"))
		if w.Code != http.StatusOK || w.Body.Len() != first.Body.Len() {
			t.Errorf("%s, another ETag: %d with %d bytes", accept, w.Code, w.Body.Len())
		}
	}
}

// What the header promises is what comes over a connection, which is good for the next request.
func TestHandler_OverConnection(t *testing.T) {
	web := httptest.NewServer(clientjs.Handler())
	defer web.Close()
	web.Client().Transport.(*http.Transport).DisableCompression = true
	whole := get(script, "Accept-Encoding", "gzip").Body.Bytes()
	for _, c := range []struct {
		method, header, value string
		status                int
		body                  []byte
	}{
		{http.MethodGet, "", "", http.StatusOK, whole},
		{http.MethodHead, "", "", http.StatusOK, nil},
		{http.MethodGet, "Range", "bytes=10-19", http.StatusPartialContent, whole[10:20]},
		{http.MethodGet, "If-Match", `"other"`, http.StatusPreconditionFailed, nil},
		{http.MethodGet, "If-Match", "*", http.StatusOK, whole},
		{http.MethodGet, "If-None-Match", "*", http.StatusNotModified, nil},
		{http.MethodHead, "If-None-Match", "*", http.StatusNotModified, nil},
	} {
		r, err := http.NewRequest(c.method, web.URL+script, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept-Encoding", "gzip")
		if c.header != "" {
			r.Header.Set(c.header, c.value)
		}
		response, err := web.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != c.status || !bytes.Equal(body, c.body) {
			t.Errorf("%s %s %s: %d, %d bytes, error %v", c.method, c.header, c.value, response.StatusCode, len(body), err)
		}
		if c.method == http.MethodHead && c.status == http.StatusOK && response.ContentLength != int64(len(whole)) {
			t.Errorf("HEAD: length %d", response.ContentLength)
		}
	}
}

func TestHandler_Methods(t *testing.T) {
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions, "get"} {
		w := httptest.NewRecorder()
		clientjs.Handler().ServeHTTP(w, httptest.NewRequest(method, script, nil))
		if w.Code != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d", method, w.Code)
		}
		expect(t, "allow", w.Header().Get("Allow"), "GET, HEAD")
	}
}

// A middleware may have set headers already.
func TestHandler_KeepsVary(t *testing.T) {
	w := httptest.NewRecorder()
	w.Header().Set("Vary", "Origin")
	clientjs.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, script, nil))
	expect(t, "vary", strings.Join(w.Header().Values("Vary"), ", "), "Origin, Accept-Encoding")
}

// The window of a compressor alone has 32 KiB.
func TestHandler_CompressesOnce(t *testing.T) {
	const requests = 100
	get(script, "Accept-Encoding", "gzip")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range requests {
		w := get(script, "Accept-Encoding", "gzip")
		expect(t, "encoding", w.Header().Get("Content-Encoding"), "gzip")
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / requests; each > 32<<10 {
		t.Errorf("%d bytes for a request", each)
	}
}

func TestHandler_Concurrent(t *testing.T) {
	want := get(script).Body.Len()
	var requests sync.WaitGroup
	for range 16 {
		requests.Go(func() {
			if n := get(script).Body.Len(); n != want {
				t.Errorf("%d bytes", n)
			}
			get(sourceMap, "Accept-Encoding", "gzip")
		})
	}
	requests.Wait()
}
