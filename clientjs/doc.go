// Package clientjs serves the client for pages, an ES module, from the binary of the server. It is one file without
// dependencies, and is embedded.
//
//	http.Handle("GET /wspulse.js", clientjs.Handler())
//	http.Handle("GET /wspulse.js.map", clientjs.Handler()) // for developers' tools
//
// A page imports it:
//
//	<script type="module">
//	  import { connect } from '/wspulse.js'
//
//	  const client = await connect('/ws?room=lobby', { onMessage: (frame) => console.log(frame) })
//	  client.send({ event: 'say', payload: 'hello' })
//	</script>
//
// A program with a bundler takes the same client from this directory, which is the npm package @wspulse/client: its
// types and the hooks for React are there.
package clientjs
