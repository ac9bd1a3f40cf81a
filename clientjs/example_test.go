package clientjs_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/wspulse/server/clientjs"
)

// A server brings its client with it, and the source map for developers' tools.
func ExampleHandler() {
	mux := http.NewServeMux()
	mux.Handle("GET /wspulse.js", clientjs.Handler())
	mux.Handle("GET /wspulse.js.map", clientjs.Handler())
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `<script type="module">
  import { connect } from '/wspulse.js'

  const client = await connect('/ws?room=lobby', { onMessage: (frame) => console.log(frame) })
</script>`)
	})
	web := httptest.NewServer(mux)
	defer web.Close()

	response, err := http.Get(web.URL + "/wspulse.js")
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	module, err := io.ReadAll(response.Body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(response.Status, response.Header.Get("Content-Type"))
	fmt.Println("as connect:", strings.Contains(string(module), "as connect"))
	// Output:
	// 200 OK text/javascript; charset=utf-8
	// as connect: true
}
