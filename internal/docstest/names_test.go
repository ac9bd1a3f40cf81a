package docstest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

// A page is one of the documents.
type page struct{ name, text string }

// pages returns README.md and what is under docs.
func pages(t *testing.T) (all []page) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no pages under docs, error %v", err)
	}
	for _, name := range append(names, filepath.Join(root, "README.md")) {
		text, err := os.ReadFile(name)
		if err == nil {
			name, err = filepath.Rel(root, name)
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page{filepath.ToSlash(name), string(text)})
	}
	return all
}

// An index is what there is in the repository.
type index struct {
	files     map[string]bool // by path from the root, and by name
	functions map[string]bool // tests and options
	targets   map[string]bool // of make
}

var (
	span     = regexp.MustCompile("`([^`\n]+)`")
	function = regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark|With)[A-Z]\w*`)
	file     = regexp.MustCompile(`^[\w./-]+\.(?:go|md)$`)
	target   = regexp.MustCompile(`^make ([a-z-]+)`)

	declared = regexp.MustCompile(`(?m)^func (\w+)\(`)
	rule     = regexp.MustCompile(`(?m)^([a-z-]+):`)
)

func TestPages_NameWhatIsThere(t *testing.T) {
	there := newIndex(t)
	checked := 0
	for _, p := range pages(t) {
		for _, code := range spans(p.text) {
			checked++
			if missing := there.missing(code); missing != "" {
				t.Errorf("%s: there is no %s", p.name, missing)
			}
		}
	}
	if checked < 100 {
		t.Errorf("only %d names were found", checked)
	}
}

// spans returns what a page has between single backquotes.
func spans(text string) (found []string) {
	fenced := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
			continue
		}
		for _, match := range span.FindAllStringSubmatch(line, -1) {
			if !fenced {
				found = append(found, match[1])
			}
		}
	}
	return found
}

func newIndex(t *testing.T) *index {
	t.Helper()
	there := &index{files: make(map[string]bool), functions: make(map[string]bool), targets: make(map[string]bool)}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() {
			if strings.HasPrefix(name, ".") && name != ".." || name == "node_modules" {
				return filepath.SkipDir
			}
			return nil
		}
		if path, err = filepath.Rel(root, path); err != nil {
			return err
		}
		there.files[filepath.ToSlash(path)], there.files[name] = true, true
		if filepath.Ext(name) != ".go" {
			return nil
		}
		text, err := os.ReadFile(filepath.Join(root, path))
		for _, match := range declared.FindAllSubmatch(text, -1) {
			there.functions[string(match[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range rule.FindAllSubmatch(makefile, -1) {
		there.targets[string(match[1])] = true
	}
	return there
}

// missing says what of some code is not there.
func (x *index) missing(code string) string {
	for _, name := range function.FindAllString(code, -1) {
		if !x.functions[name] {
			return "function " + name
		}
	}
	if match := target.FindStringSubmatch(code); match != nil && !x.targets[match[1]] {
		return "target of " + code
	}
	if file.MatchString(code) && !x.files[code] {
		return "file " + code
	}
	return ""
}

func TestIndex_MissesWhatIsNotThere(t *testing.T) {
	there := newIndex(t)
	for code, want := range map[string]string{
		"WithLogger(l)":                     "",
		"TestPages_NameWhatIsThere":         "",
		"docs/security.md":                  "",
		"names_test.go":                     "",
		"make test COUNT=20":                "",
		"encoding/json":                     "",
		"WithMessageRate(1), WithLuck(13)":  "function WithLuck",
		"TestSamples_AreReadByEverybody":    "function TestSamples_AreReadByEverybody",
		"docs/insecurity.md":                "file docs/insecurity.md",
		"internal/docstest/nothing_test.go": "file internal/docstest/nothing_test.go",
		"make coffee":                       "target of make coffee",
	} {
		if got := there.missing(code); got != want {
			t.Errorf("%s: got %q, want %q", code, got, want)
		}
	}
}
