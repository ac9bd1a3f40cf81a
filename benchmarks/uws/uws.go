// Package uws finds what the server of the peer uws, server.mjs, is run with: Node, and the npm package that it imports.
package uws

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A Program is what can be run.
type Program struct {
	Command []string
	Version string // of the package
}

// ErrNotInstalled says that Node is there and the package is not.
var ErrNotInstalled = errors.New("its npm package is not installed")

const (
	probeTimeout   = 30 * time.Second
	installTimeout = 5 * time.Minute
)

// Find returns the program in a directory, which is where this package is. With install it asks npm for the package, into
// node_modules there, if it is not there.
func Find(dir string, install bool) (Program, error) {
	server := filepath.Join(dir, "server.mjs")
	if _, err := os.Stat(server); err != nil {
		return Program{}, err
	}
	node, err := exec.LookPath("node")
	if err != nil {
		return Program{}, errors.New("there is no Node")
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "uwebsockets")); err != nil {
		if !install {
			return Program{}, ErrNotInstalled
		}
		_, err := run(dir, installTimeout, "npm", "install", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund")
		if err != nil {
			return Program{}, err
		}
	}
	version, err := run(dir, probeTimeout, node, "-p", `require("uwebsockets"), require("uwebsockets/package.json").version`)
	return Program{Command: []string{node, server}, Version: version}, err
}

// run returns what a program writes to its standard output. The error is one line.
func run(dir string, timeout time.Duration, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err == nil {
		return strings.TrimSpace(string(out)), nil
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		for line := range strings.Lines(string(exit.Stderr)) {
			if strings.Contains(strings.ToLower(line), "error") {
				err = fmt.Errorf("%w: %s", err, strings.TrimSpace(line))
				break
			}
		}
	}
	return "", fmt.Errorf("%s %s: %w", filepath.Base(name), args[0], err)
}
