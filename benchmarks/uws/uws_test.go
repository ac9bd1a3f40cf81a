package uws

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// script makes a command in a directory.
func script(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

// Everything that may be missing, and then is there.
func TestFind(t *testing.T) {
	dir, path := t.TempDir(), t.TempDir()
	t.Setenv("PATH", path)
	if _, err := Find(dir, true); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without the server: error %v", err)
	}
	script(t, dir, "server.mjs", "")
	if _, err := Find(dir, true); err == nil || err.Error() != "there is no Node" {
		t.Errorf("without Node: error %v", err)
	}
	script(t, path, "node", "echo 9.9.9")
	if _, err := Find(dir, false); !errors.Is(err, ErrNotInstalled) {
		t.Errorf("without the package: error %v", err)
	}
	if _, err := Find(dir, true); err == nil || !strings.Contains(err.Error(), "npm") {
		t.Errorf("without npm: error %v", err)
	}
	script(t, path, "npm", "echo notice >&2; echo npm error offline >&2; echo more >&2; exit 1")
	if _, err := Find(dir, true); err == nil || err.Error() != "npm install: exit status 1: npm error offline" {
		t.Errorf("when npm fails: error %v", err)
	}
	script(t, path, "npm", "/bin/mkdir -p node_modules/uwebsockets")
	want := fmt.Sprintf("{[%s/node %s/server.mjs] 9.9.9}", path, dir)
	for _, install := range []bool{true, false} {
		if program, err := Find(dir, install); err != nil || fmt.Sprint(program) != want {
			t.Errorf("got %v, error %v, want %s", program, err, want)
		}
	}
	script(t, path, "node", "echo Error: no binary for this version >&2; exit 1")
	if _, err := Find(dir, false); err == nil || err.Error() != "node -p: exit status 1: Error: no binary for this version" {
		t.Errorf("when Node cannot load the package: error %v", err)
	}
}
