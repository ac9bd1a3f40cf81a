// Package browsertest runs the JavaScript client in headless Chromium, against the server, through a network with
// faults: it loses nothing, and does what the life of a page asks for. It is a module of its own, so that nothing else
// depends on what it needs. It wants Chromium, and installs nothing:
//
//	go test ./...
//
// Chromium is $CHROMIUM, or the first of chromium, chromium-browser and google-chrome in $PATH. Package others does what
// can be done in other browsers.
package browsertest
