// Package proxytest tests the configurations under docs/proxies: it runs nginx, HAProxy and Caddy with them, on ports
// of 127.0.0.1, and talks through them. It has tests only, for Linux. A proxy that is not installed is skipped, unless
// the flag -required is given.
package proxytest
