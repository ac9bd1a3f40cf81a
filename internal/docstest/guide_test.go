package docstest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// guide is the page whose samples are one program.
const guide = "docs/guide.md"

// The samples of the guide are built as one package, and tested by its own test and by testdata/guide_test.go.
func TestGuide_Runs(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	replace := map[string]string{
		filepath.Join(here, "guide", "guide_test.go"): filepath.Join(here, "testdata", "guide_test.go"),
	}
	for _, page := range pages(t) {
		if page.name != guide {
			continue
		}
		for i, s := range samples(page.name, page.text) {
			code, err := complete(s)
			if err != nil {
				t.Fatal(err)
			}
			code = strings.Replace(code, "package sample\n", "package guide\n", 1)
			name := fmt.Sprintf("sample%d.go", i)
			if strings.Contains(s.code, "*testing.T") {
				name = fmt.Sprintf("sample%d_test.go", i)
			}
			file := filepath.Join(dir, name)
			if err := os.WriteFile(file, []byte(code), 0o600); err != nil {
				t.Fatal(err)
			}
			replace[filepath.Join(here, "guide", name)] = file
		}
	}
	if len(replace) < 10 {
		t.Fatalf("%s has %d samples", guide, len(replace)-1)
	}
	data, err := json.Marshal(map[string]any{"Replace": replace})
	list := filepath.Join(dir, "overlay.json")
	if err == nil {
		err = os.WriteFile(list, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "guide.test")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-vet=off", "-o", program, "-overlay", list, "./guide")
	build.Env = append(os.Environ(), "GOPROXY=off")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	output, err := exec.CommandContext(t.Context(), program, "-test.v", "-test.timeout=1m").CombinedOutput()
	if err != nil || !strings.Contains(string(output), "--- PASS: TestLunch") {
		t.Errorf("%v\n%s", err, output)
	}
}
