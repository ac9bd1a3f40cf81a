// Package browsertest drives the chat in headless Chromium, with real clicks and keys. It is a module of its own, so
// that nothing else depends on what it needs. It wants Chromium, and installs nothing:
//
//	go test ./...
//
// Chromium is $CHROMIUM, or the first of chromium, chromium-browser and google-chrome in $PATH. The screenshots go to
// the directory $SCREENSHOTS, or where go test -artifacts puts them.
package browsertest
