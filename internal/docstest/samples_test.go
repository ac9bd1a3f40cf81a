package docstest

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// imports are what samples that are no whole file may use without saying so.
var imports = map[string]string{
	"context": "context", "errors": "errors", "fmt": "fmt", "http": "net/http", "io": "io", "json": "encoding/json",
	"log": "log", "net": "net", "netip": "net/netip", "os": "os", "rand": "crypto/rand", "signal": "os/signal",
	"slices": "slices", "strings": "strings", "sync": "sync", "synctest": "testing/synctest", "testing": "testing",
	"time": "time",

	"client":    "github.com/wspulse/server/client",
	"router":    "github.com/wspulse/core/router",
	"rpc":       "github.com/wspulse/server/rpc",
	"websocket": "github.com/gorilla/websocket",
	"wspulse":   "github.com/wspulse/server",
	"clientjs":  "github.com/wspulse/server/clientjs",
	"wstest":    "github.com/wspulse/server/wstest",
	"zap":       "go.uber.org/zap",
}

// A sample is a block of Go in a page.
type sample struct {
	page string
	line int // of its first line
	code string
}

func TestSamples_Compile(t *testing.T) {
	var all []sample
	for _, page := range pages(t) {
		if page.name == guide {
			continue // whose samples are one program: see TestGuide_Runs
		}
		found := samples(page.name, page.text)
		if page.name == "README.md" && len(found) == 0 {
			t.Error("README.md has no Go in it")
		}
		all = append(all, found...)
	}
	if err := compile(t, all); err != nil {
		t.Error(err)
	}
}

// samples returns the blocks of Go in a page.
func samples(page, text string) (found []sample) {
	var current *sample
	number := 0
	for line := range strings.Lines(text) {
		number++
		switch {
		case current == nil && strings.TrimSpace(line) == "```go":
			current = &sample{page: page, line: number + 1}
		case current != nil && strings.TrimSpace(line) == "```":
			found = append(found, *current)
			current = nil
		case current != nil:
			current.code += line
		}
	}
	return found
}

// compile builds the samples, each as a package below this one, where the compiler finds it and nobody else does.
func compile(t *testing.T, all []sample) error {
	t.Helper()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	overlay := struct{ Replace map[string]string }{make(map[string]string)}
	list := filepath.Join(dir, "overlay.json")
	args := []string{"build", "-o", os.DevNull, "-overlay", list}
	for i, s := range all {
		code, err := complete(s)
		if err != nil {
			return err
		}
		name := fmt.Sprint("sample", i)
		file := filepath.Join(dir, name+".go")
		if err := os.WriteFile(file, []byte(code), 0o600); err != nil {
			t.Fatal(err)
		}
		overlay.Replace[filepath.Join(here, name, "sample.go")] = file
		args = append(args, "./"+name)
	}
	data, err := json.Marshal(overlay)
	if err == nil {
		err = os.WriteFile(list, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", args...)
	build.Env = append(os.Environ(), "GOPROXY=off")
	if output, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, output)
	}
	return nil
}

// complete makes a file of a sample. Declarations get the imports that they need, statements a function too.
func complete(s sample) (string, error) {
	origin := fmt.Sprintf("//line %s:%d\n", filepath.ToSlash(s.page), s.line)
	if _, err := parse(origin + s.code); err == nil {
		return origin + s.code, nil
	}
	const clause = "package sample\n"
	code := origin + s.code
	file, err := parse(clause + code)
	if err != nil {
		code = "func _() {\n" + origin + s.code + "\n}\n"
		if file, err = parse(clause + code); err != nil {
			return "", err
		}
		code = strings.TrimSuffix(code, "}\n") + uses(file) + "}\n"
	}
	header := clause
	for _, name := range missing(file) {
		header += fmt.Sprintf("import %s %q\n", name, imports[name])
	}
	return header + code, nil
}

func parse(code string) (*ast.File, error) {
	return parser.ParseFile(token.NewFileSet(), "sample.go", code, 0)
}

// uses uses what the statements of the first function declare, since a sample may end before it does.
func uses(file *ast.File) (code string) {
	for _, statement := range file.Decls[0].(*ast.FuncDecl).Body.List {
		if assign, ok := statement.(*ast.AssignStmt); ok && assign.Tok == token.DEFINE {
			for _, left := range assign.Lhs {
				if name := left.(*ast.Ident).Name; name != "_" {
					code += "_ = " + name + "\n"
				}
			}
		}
	}
	return code
}

// missing returns the packages that a file uses and does not import.
func missing(file *ast.File) (names []string) {
	for _, ident := range file.Unresolved {
		if imports[ident.Name] != "" {
			names = append(names, ident.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func TestCompile_SaysWhereTheFaultIs(t *testing.T) {
	const (
		whole        = "package main\n\nfunc main() { %s }\n"
		declarations = "func f() { _ = time.Now; %s }\n"
		statements   = "server := wspulse.NewServer(nil)\n%s\n"
	)
	for name, form := range map[string]string{"a file": whole, "declarations": declarations, "statements": statements} {
		code := fmt.Sprintf(form, "")
		if err := compile(t, []sample{{"docs/page.md", 7, code}}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		code = fmt.Sprintf(form, "clientAddress()")
		line := 7 + strings.Count(code[:strings.Index(code, "clientAddress")], "\n")
		want := fmt.Sprintf("page.md:%d:", line)
		err := compile(t, []sample{{"docs/page.md", 7, code}})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "undefined: clientAddress") {
			t.Errorf("%s: got error %v, want it to say %s", name, err, want)
		}
	}
}
